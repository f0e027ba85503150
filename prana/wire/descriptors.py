"""How many file descriptors we may have, what that allows, and what is said when they run short."""

import resource
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

_log = structlog.get_logger()

# Never given to callers' connections: for the admin port, Eureka, health checks, and connections to instances.
RESERVED: Final = 64
_QUIET_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    descriptors: int  # of the whole process
    connections: int  # callers' connections that they are enough for, at most as many as configured

    @property
    def spared(self) -> int:
        """Descriptors from this number on are not given to callers."""
        return max(self.descriptors - RESERVED, self.descriptors // 2)


def limits_for(connections: int) -> Limits:
    """Each of them may be served over a connection to an instance; raises the soft limit as far as that takes."""
    descriptors = raise_limit(2 * connections + RESERVED)
    return Limits(descriptors, max(1, min(connections, (descriptors - RESERVED) // 2)))


def raise_limit(wanted: int) -> int:
    """Raise the soft limit towards `wanted`, as nginx and Envoy do, but no further than that: a health command
    inherits it, and there are programs that close every descriptor up to it. Returns the limit in effect."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < target:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        except (ValueError, OSError):  # macOS has a lower limit of its own behind an unlimited hard one
            return soft
        return target
    return soft


class Shortage:
    """One line when descriptors run short and one when that is over, however often accepting pauses between."""

    def __init__(self, clock: Callable[[], float], relieve: Callable[[], None]) -> None:
        """`relieve` is called at the start: closes what can be done without."""
        self._clock = clock
        self._relieve = relieve
        self._began_s: float | None = None
        self._latest_s = 0.0
        self.pauses_total = 0
        self._pauses_before = 0

    def noted(self) -> None:
        """Accepting pauses, or goes on pausing."""
        self._latest_s = self._clock()
        if self._began_s is None:
            self._began_s = self._latest_s
            self._pauses_before = self.pauses_total
            _log.warning("file descriptors run short; accepting pauses until some are free")
            self._relieve()
        self.pauses_total += 1

    def check(self) -> None:
        """Call it once in a while: the shortage is over when it has not been noted for some seconds."""
        if self._began_s is not None and self._clock() - self._latest_s >= _QUIET_S:
            lasted_s = round(self._latest_s - self._began_s, 1)
            _log.warning(
                "file descriptors suffice again", lasted_s=lasted_s, pauses=self.pauses_total - self._pauses_before
            )
            self._began_s = None
