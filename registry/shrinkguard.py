"""Keeps serving instances that Eureka has forgotten rather than lost.

A restarted Spring server has no warm-up: it lists nothing, with status 200, until every instance has found
out and registered again (spring-cloud-netflix#380, #1685). Believing it would fail all calls to healthy
instances.
"""

from collections.abc import Callable

import structlog

from registry.instance import Instance
from registry.snapshot import InstanceKey, Snapshot

_log = structlog.get_logger()

# All of them are back after one renewal interval (30 s); others see them after the server's response cache
# (30 s) and our own fetch (30 s).
_GRACE_S = 90.0


class ShrinkGuard:
    """Holds what vanished when more than half of the registry vanished without a word, for `grace_s` at most.

    Held instances that really are dead cost a retry and are ejected by the balancer.
    """

    def __init__(self, clock: Callable[[], float], grace_s: float = _GRACE_S) -> None:
        self._clock = clock
        self._grace_s = grace_s
        self._held: dict[InstanceKey, Instance] = {}
        self._until_s = 0.0

    @property
    def held(self) -> int:
        """How many instances are served although Eureka does not list them."""
        return len(self._held)

    def compare(self, before: Snapshot, after: Snapshot) -> None:
        """To be called with two successive full views. A delta needs no guard: it names what it deletes."""
        lost = before.instances.keys() - after.instances.keys()
        if 2 * len(lost) > len(before.instances):
            self._held |= {key: before.instances[key] for key in lost}
            self._until_s = self._clock() + self._grace_s
            _log.warning("registry shrank, keeping what it forgot", forgotten=len(lost), grace_s=self._grace_s)

    def cover(self, listed: Snapshot) -> Snapshot:
        """`listed` and what is held; `listed` itself when nothing is."""
        if self._clock() >= self._until_s:
            self._held.clear()
        for key in self._held.keys() & listed.instances.keys():
            del self._held[key]
        return Snapshot.of([*listed.instances.values(), *self._held.values()]) if self._held else listed
