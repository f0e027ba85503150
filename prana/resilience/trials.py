"""The requests that find out whether a service works again."""

from collections import deque
from collections.abc import Callable
from typing import NewType

from prana.resilience.health import Thresholds

Permit = NewType("Permit", int)

_BEGINNINGS = 2  # trials per permit that may begin within one interval


class Trials:
    """At most `permits` requests at once, judged together as soon as those still under way cannot change the verdict.

    One that told nothing gives its permit back at once, and so does one that has not ended after `patience_s`, such as
    a long upload. So that callers who give up soon do not turn trials into a stream of traffic, no more than twice as
    many as there are permits begin within `interval_s`.
    """

    def __init__(
        self, permits: int, thresholds: Thresholds, patience_s: float, interval_s: float, clock: Callable[[], float]
    ) -> None:
        self._permits = permits
        self._thresholds = thresholds
        self._patience_s = patience_s
        self._interval_s = interval_s
        self._clock = clock
        self._begun_s: dict[Permit, float] = {}  # those under way, the oldest first
        self._beginnings_s: deque[float] = deque(maxlen=_BEGINNINGS * permits)
        self._ended = self._failures = self._slow = 0

    def __contains__(self, permit: Permit) -> bool:
        return permit in self._begun_s

    @property
    def under_way(self) -> bool:
        """Whether any has not ended."""
        return bool(self._begun_s)

    def may_begin(self) -> bool:
        """Whether `begin` would let another request in."""
        now_s, beginnings_s = self._clock(), self._beginnings_s
        if len(beginnings_s) == beginnings_s.maxlen and now_s - beginnings_s[0] <= self._interval_s:
            return False
        return self._room or any(now_s - begun_s > self._patience_s for begun_s in self._begun_s.values())

    def begin(self, permit: Permit) -> bool:
        """Let the request with this new permit in, if there is room."""
        if not self.may_begin():
            return False
        if not self._room:
            del self._begun_s[next(iter(self._begun_s))]
        now_s = self._clock()
        self._begun_s[permit] = now_s
        self._beginnings_s.append(now_s)
        return True

    def give_back(self, permit: Permit) -> None:
        """The trial told nothing."""
        del self._begun_s[permit]

    def end(self, permit: Permit, failure: bool, duration_s: float) -> bool | None:
        """Count a trial. Whether the service works; None while the others may tell either way."""
        del self._begun_s[permit]
        self._ended += 1
        self._failures += failure
        self._slow += self._thresholds.is_slow(duration_s)
        if self._thresholds.reached(self._permits, self._failures, self._slow):
            return False
        missing = self._permits - self._ended
        return None if self._thresholds.reached(self._permits, self._failures + missing, self._slow + missing) else True

    @property
    def complaint(self) -> str:
        """What was the matter when they did not work."""
        said = [f"{count} {what}" for count, what in ((self._failures, "failed"), (self._slow, "slow")) if count]
        return f"of {self._ended} trials: {', '.join(said)}"

    @property
    def _room(self) -> bool:
        return self._ended + len(self._begun_s) < self._permits
