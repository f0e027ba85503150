"""The circuit breaker: Hystrix's rules, evaluated at every outcome.

Hystrix looks at its health window every 500 ms and counts closed buckets only, so it opens up to half a second late;
here the outcome that fills the measure opens the circuit. Three defects of Hystrix are not kept: any command that ended
during the trial could reopen the circuit (Netflix/Hystrix#1853, #1781), a client error in the trial reopened it
(#2005), and a lost race could leave it open or closed for good (#1806, #2108).

pybreaker holds the state for its listeners and is never asked to `call()`: in half-open it would admit everybody, count
cancellations as failures and trip on consecutive failures only.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, NewType

import structlog
from pybreaker import CircuitBreaker, CircuitBreakerListener
from pybreaker import CircuitBreakerState as State

from loadbalancer.window import RollingWindow

_BUCKETS = 10  # metrics.rollingStats.numBuckets
_SUCCESS, _FAILURE = 0, 1  # kinds in the window

Permit = NewType("Permit", int)
CircuitState = Literal["closed", "open", "half-open"]  # pybreaker's words
Force = Literal["none", "open", "closed"]
_CLOSED: Final = "closed"
_OPEN: Final = "open"
_HALF_OPEN: Final = "half-open"
_BYSTANDER: Final = Permit(0)  # admitted by force: its outcome is counted and changes no state


class Verdict(Enum):
    """What a request tells about the service; CANCELLED tells nothing."""

    SUCCESS = "success"
    FAILURE = "failure"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """Hystrix's defaults. `error_percentage` is compared with whole percent, rounded down."""

    enabled: bool = True
    window_s: float = 10.0
    request_volume: int = 20
    error_percentage: int = 50
    sleep_window_s: float = 5.0
    force: Force = "none"


class Breaker:
    """One service's circuit. `state` is pybreaker's word for it: "closed", "open" or "half-open".

    Listeners hear of a change after it has happened here; while they run, pybreaker itself still reports the old state.
    A listener that raises is logged and changes nothing.
    """

    def __init__(
        self,
        name: str,
        settings: BreakerSettings,
        clock: Callable[[], float],
        listeners: Iterable[CircuitBreakerListener] = (),
    ) -> None:
        self.name = name
        self.settings = settings
        self.state: CircuitState = _CLOSED
        self._clock = clock
        self._window = RollingWindow(2, settings.window_s, _BUCKETS, clock)
        # The one permit whose outcome may change the state: shared by all requests of a closed period, or held by the
        # trial alone. Every change of state issues a new one, which makes all outcomes still under way late.
        self._permit = Permit(1)
        self._force: Force = settings.force
        self._free = settings.force == "none"  # whether everybody is admitted, closed as it is
        self._opened_s = 0.0
        guarded = [_Guarded(listener) for listener in listeners]
        self._bus = CircuitBreaker(fail_max=sys.maxsize, name=name, listeners=guarded)

    def admit(self) -> Permit | None:
        """A permit, or None for a request to be refused. Each permit must come back through `record` exactly once.

        Once more than `sleep_window_s` has passed since the circuit opened, one caller gets the trial.
        """
        if self._free:
            return self._permit
        if self._force != "none" and self.settings.enabled:
            return self._forced()
        if self.state == _CLOSED:
            return self._permit
        if self.state == _OPEN and self._clock() > self._opened_s + self.settings.sleep_window_s:
            self._enter(_HALF_OPEN)
            return self._permit
        return None

    def _forced(self) -> Permit | None:
        if self._force == "open":
            return None
        return self._permit if self.state == _CLOSED else _BYSTANDER

    @property
    def force(self) -> Force:
        """What an operator wants, whatever the traffic tells: "open" refuses all, "closed" admits all, "none" leaves
        it to the breaker. Meanwhile the state goes on to follow the outcomes. Without effect on a disabled breaker.
        """
        return self._force

    @force.setter
    def force(self, force: Force) -> None:
        self._force = force
        self._free = self.state == _CLOSED and force == "none"

    @property
    def is_open(self) -> bool:
        """As Hystrix shows it: also during the trial, never when disabled or forced closed, always when forced open."""
        if not self.settings.enabled or self._force == "closed":
            return False
        return self._force == "open" or self.state != _CLOSED

    def record(self, permit: Permit, verdict: Verdict) -> None:
        """Give the permit back with what the request told.

        FAILURE is also the verdict for a request that a concurrency limit refused after its admission: Hystrix counts
        SEMAPHORE_REJECTED among the errors. A trial that ends CANCELLED has proved nothing; the circuit opens for
        another sleep window, as in Hystrix, so that impatient callers cannot turn trials into a stream of traffic.
        """
        if permit != self._permit:
            # Late: admitted before the last change of state. Shown to operators while the circuit is open, forgotten
            # with the window when it closes, and never counted after that.
            if self.state != _CLOSED:
                self._count(verdict)
        elif self.state == _CLOSED:
            totals = self._count(verdict)
            if totals is not None and self._must_trip(*totals):
                self._enter(_OPEN)
        elif verdict is Verdict.SUCCESS:
            self._window.reset()
            self._enter(_CLOSED)
        else:
            self._count(verdict)
            self._enter(_OPEN)

    @property
    def retry_after_s(self) -> float:
        """The rest of the sleep window; 0 when the circuit is not open or a trial is due."""
        if self.state != _OPEN:
            return 0.0
        return max(0.0, self._opened_s + self.settings.sleep_window_s - self._clock())

    @property
    def health_interval_s(self) -> float:
        """How wide the steps are in which outcomes leave the window."""
        return self.settings.window_s / _BUCKETS

    @property
    def request_count(self) -> int:
        """Successes and failures in the window."""
        return sum(self._window.totals())

    @property
    def error_count(self) -> int:
        return self._window.total(_FAILURE)

    @property
    def error_percentage(self) -> int:
        """0-100, rounded down, as in HystrixCommandMetrics.HealthCounts; 0 without requests."""
        successes, failures = self._window.totals()
        # In integers: Java's `(int) (29d / 100 * 100)` is 28.
        return failures * 100 // (successes + failures) if failures else 0

    def _count(self, verdict: Verdict) -> Sequence[int] | None:
        """Successes and failures in the window, if this was one of them."""
        if verdict is Verdict.SUCCESS:
            return self._window.add(_SUCCESS)
        return self._window.add(_FAILURE) if verdict is Verdict.FAILURE else None

    def _must_trip(self, successes: int, failures: int) -> bool:
        settings = self.settings
        total = successes + failures
        return (
            failures > 0
            and settings.enabled
            and total >= settings.request_volume
            and failures * 100 // total >= settings.error_percentage
        )

    def _enter(self, state: CircuitState) -> None:
        self.state = state
        self._free = state == _CLOSED and self._force == "none"
        self._permit = Permit(self._permit + 1)
        if state == _OPEN:
            self._opened_s = self._clock()
            self._bus.open()
        elif state == _HALF_OPEN:
            self._bus.half_open()
        else:
            self._bus.close()


class _Guarded(CircuitBreakerListener):
    """pybreaker notifies before it stores the new state: a listener's exception would leave it with the old one, and
    would reach the request that happened to cause the change.
    """

    def __init__(self, listener: CircuitBreakerListener) -> None:
        self._listener = listener

    def state_change(self, cb: CircuitBreaker, old_state: State | None, new_state: State) -> None:
        try:
            self._listener.state_change(cb, old_state, new_state)
        except Exception:  # noqa: BLE001 - whatever it is, it must not decide about a request; logged with its stack
            structlog.get_logger().exception("breaker listener failed", service=cb.name, state=new_state.name)
