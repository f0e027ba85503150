"""What Ribbon's rules know of a node: its ServerStats, with the circuit that refused connections trip."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

_MAX_DOUBLINGS = 16  # ServerStats.getCircuitBreakerBlackoutPeriod


@dataclass(frozen=True, slots=True)
class CircuitSettings:
    """Ribbon's defaults. A node that failed to answer `failures` times running is left alone for `factor_s` seconds,
    for twice as long after each further time, up to `max_s`."""

    failures: int = 3
    factor_s: float = 10.0
    max_s: float = 30.0
    active_window_s: float = 600.0  # after so long without a change, requests under way are not believed in any more


class ServerStats:
    """Figures of one node, by Ribbon's rules. Connection failures are what `loadbalancer.pick.Trouble` names.

    Nothing ever decays: the average is that of a lifetime, and one answer of any status ends the failures in a row.
    """

    __slots__ = ("_active", "_blackout_ends_s", "_changed_s", "_clock", "_settings", "_total_s", "failures", "requests")

    def __init__(self, settings: CircuitSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._active = 0
        self._changed_s = -inf
        self.forget()

    def forget(self) -> None:
        """As if the node were new; requests under way still count."""
        self.requests = 0  # those that have ended
        self.failures = 0  # successive connection failures
        self._total_s = 0.0
        self._blackout_ends_s = -inf

    def start(self, now_s: float) -> None:
        self._active += 1
        self._changed_s = now_s

    def settle(self, connection_failure: bool, latency_s: float, now_s: float) -> None:
        """Take in how an attempt ended; one that was given up tells nothing and is left out."""
        self.requests += 1
        self._total_s += latency_s
        if not connection_failure:
            self.failures = 0
            self._blackout_ends_s = -inf
            return
        self.failures += 1
        excess = self.failures - self._settings.failures
        if excess >= 0:
            blackout_s = self._settings.factor_s * 2 ** min(excess, _MAX_DOUBLINGS)
            self._blackout_ends_s = now_s + min(blackout_s, self._settings.max_s)

    def release(self) -> None:
        self._active -= 1
        self._changed_s = self._clock()

    def active(self, now_s: float) -> int:
        """Requests under way."""
        return self._active if now_s - self._changed_s <= self._settings.active_window_s else 0

    @property
    def response_time_s(self) -> float:
        """The mean of a lifetime, failures included; 0 before the first."""
        return self._total_s / self.requests if self.requests else 0.0

    def tripped(self, now_s: float) -> bool:
        """Whether the circuit is open. There is no half-open: when its time is over, all traffic comes back."""
        return now_s < self._blackout_ends_s
