"""Taking a failing node out of the rotation for a while: linkerd's unified failure accrual.

Two signs make a node a candidate: a run of consecutive failures (fast, needs little traffic), or a low share of
successes in the last seconds (catches a node that fails every third request). It then waits, twice as long each time;
after that one real request probes it and decides. How many nodes may be out at once is the balancer's business.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from loadbalancer.window import RollingWindow

_BUCKETS = 10
_JITTER = 0.5  # linkerd: up to half the backoff on top, so that many sidecars do not probe in step
_SUCCESS, _FAILURE = 0, 1  # kinds in the window

LATE = 0  # a ticket that is never valid


@dataclass(frozen=True, slots=True)
class EjectionSettings:
    """Defaults are linkerd's, and Envoy's advice for the share that may be out."""

    consecutive_failures: int = 7
    min_success_ratio: float = 0.8
    min_requests: int = 5
    window_s: float = 10.0
    base_s: float = 1.0
    max_s: float = 60.0
    max_ejected_percent: float = 50.0


class Reason(StrEnum):
    """Why a node was ejected or readmitted."""

    CONSECUTIVE_FAILURES = "consecutive_failures"
    SUCCESS_RATIO = "success_ratio"
    PROBE_FAILED = "probe_failed"
    PROBE_SUCCEEDED = "probe_succeeded"
    REGISTERED_AGAIN = "registered_again"


class Standing:
    """Whether one node is in the rotation, and what its outcomes say about that.

    Outcomes carry the ticket that was current when their attempt began. Leaving and joining the rotation each make a
    new one, so a late answer to an attempt from before can neither eject nor readmit. Ordinary attempts on an ejected
    node get none that counts; the probe does, and so it alone decides about the node.
    """

    __slots__ = (
        "_backoff_s",
        "_rng",
        "_settings",
        "_ticket",
        "_window",
        "consecutive_failures",
        "ejected",
        "probing",
        "retry_at_s",
    )

    def __init__(self, settings: EjectionSettings, clock: Callable[[], float], rng: Random) -> None:
        self._settings = settings
        self._rng = rng
        self._window = RollingWindow(2, settings.window_s, _BUCKETS, clock)
        self.consecutive_failures = 0
        self._ticket = LATE + 1
        self._backoff_s = settings.base_s
        self.ejected = False
        self.probing = False
        self.retry_at_s = 0.0  # while ejected: when the next probe may start

    @property
    def ticket(self) -> int:
        """The ticket of an ordinary attempt; one on an ejected node (panic) proves nothing."""
        return LATE if self.ejected else self._ticket

    def is_current(self, ticket: int) -> bool:
        """Whether an outcome with this ticket may still change the standing."""
        return ticket == self._ticket

    def count(self, success: bool) -> Reason | None:
        """Take in the outcome of an ordinary attempt; gives why the node should be ejected, if it should."""
        if success:
            self.consecutive_failures = 0
            successes, failures = self._window.add(_SUCCESS)
        else:
            self.consecutive_failures += 1
            successes, failures = self._window.add(_FAILURE)
            if self.consecutive_failures >= self._settings.consecutive_failures:
                return Reason.CONSECUTIVE_FAILURES
        if not failures:
            return None
        total = successes + failures
        if total >= self._settings.min_requests and successes / total < self._settings.min_success_ratio:
            return Reason.SUCCESS_RATIO
        return None

    def eject(self, now_s: float) -> float:
        """Out of the rotation, again or still; gives the seconds until a probe may start."""
        base_s = self._backoff_s
        backoff_s = min(base_s * (1 + _JITTER * self._rng.random()), self._settings.max_s)
        self._backoff_s = min(base_s * 2, self._settings.max_s)
        self.ejected = True
        self.probing = False
        self.retry_at_s = now_s + backoff_s
        self._ticket += 1
        return backoff_s

    def probe(self) -> int:
        """Begin the one probe; gives its ticket."""
        self.probing = True
        return self._ticket

    def withdraw_probe(self) -> None:
        """The probe ended without a verdict: the next request may probe."""
        self.probing = False

    def retire(self) -> None:
        """The node is no longer a member: nothing that is still under way counts."""
        self._ticket += 1

    def readmit(self) -> None:
        """Back into the rotation with a clean record."""
        self.ejected = False
        self.probing = False
        self._backoff_s = self._settings.base_s
        self.consecutive_failures = 0
        self._window.reset()
        self._ticket += 1
