"""Keeps serving instances that Eureka has forgotten rather than lost.

A restarted Spring server has no warm-up: it lists nothing, with status 200, until every instance has found out and
registered again (spring-cloud-netflix#380, #1685). Believing it would fail all calls to healthy instances.

So a sudden shrink is held back until a second full read confirms it. One made at once would only show that the
server is of one mind; to be a confirmation it has to come when everybody who is alive has had the time to be back.
What a delta deletes it names, so there a second read at once is enough; `registry.discovery` makes it.
"""

from collections.abc import Callable

import structlog

from registry.instance import Instance
from registry.snapshot import InstanceKey, Refusal, Snapshot, anyone

_log = structlog.get_logger()

# An instance finds out by its next heartbeat (30 s), and the server's response cache hides it for another 30 s;
# what our own reading adds comes on top.
RETURN_S = 60.0


def sudden(before: Snapshot, after: Snapshot) -> bool:
    """Whether more than half of the registry is gone."""
    lost = len(before.instances.keys() - after.instances.keys())
    return 2 * lost > len(before.instances)


class ShrinkGuard:
    """Holds what vanished when more than half of the registry vanished without a word.

    Held instances that really are dead cost a retry and are ejected by the balancer.
    """

    def __init__(self, clock: Callable[[], float], grace_s: float, refusal: Refusal = anyone) -> None:
        self._clock = clock
        self._grace_s = grace_s
        self._refusal = refusal
        self._held: dict[InstanceKey, Instance] = {}
        self._since_s = 0.0

    @property
    def held(self) -> int:
        """How many instances are served although Eureka does not list them."""
        return len(self._held)

    @property
    def wants_confirmation(self) -> bool:
        """True when a full read now would decide about what is held."""
        return bool(self._held) and self._clock() >= self._since_s + self._grace_s

    def full_read(self, before: Snapshot, after: Snapshot) -> None:
        """To be called with two successive full views."""
        if self.wants_confirmation:
            dropped = self._held.keys() - after.instances.keys()
            self._held.clear()
            _log.warning("registry shrink confirmed", dropped=len(dropped), listed=len(after.instances))
        if sudden(before, after):
            lost = before.instances.keys() - after.instances.keys()
            self._held |= {key: before.instances[key] for key in lost}
            self._since_s = self._clock()
            _log.warning(
                "registry shrank, keeping what it forgot",
                forgotten=len(lost),
                listed=len(after.instances),
                until_confirmed_after_s=self._grace_s,
            )

    def cover(self, listed: Snapshot) -> Snapshot:
        """`listed` and what is held; `listed` itself when nothing is."""
        if not self._held:
            return listed
        for key in self._held.keys() & listed.instances.keys():
            del self._held[key]
        if not self._held:
            _log.info("registry recovered, nothing is held back any more", listed=len(listed.instances))
        return listed.changed(self._held.values(), refusal=self._refusal)
