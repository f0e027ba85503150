"""A caller that sends its body a byte at a time holds a place in the bulkhead and an instance's connection."""

from dataclasses import dataclass

from prana.wire.body import BodyStream
from prana.wire.limits import PACE_WINDOW_S


@dataclass(slots=True)
class Pace:
    """How fast one request body comes in; looked at once in a while, so that bodies cost nothing for it."""

    body: BodyStream
    since_s: float
    since_bytes: int

    def keeps_up(self, now_s: float, least_bytes_per_s: int, *, held_back: bool) -> bool:
        """False when a stretch of `PACE_WINDOW_S` has brought too little, but for one that we held back ourselves."""
        lasted_s = now_s - self.since_s
        if lasted_s < PACE_WINDOW_S and not held_back:
            return True
        came_bytes = self.body.received_bytes - self.since_bytes
        self.since_s, self.since_bytes = now_s, self.body.received_bytes
        return held_back or came_bytes >= least_bytes_per_s * lasted_s
