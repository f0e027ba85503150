"""The circuit breaker: Hystrix's rules, evaluated at every outcome, or in mode "hystrix" when Hystrix does.

Hystrix looks at its health window every 500 ms and counts closed buckets only, so it opens up to half a second late; in
mode "eager" the outcome that fills the measure opens the circuit. Four defects of Hystrix are kept in neither mode: any
command that ended during the trial could reopen the circuit (Netflix/Hystrix#1853, #1781), a client error in the trial
reopened it (#2005), a lost race could leave it open or closed for good (#1806, #2108), and after a single trial all the
traffic came back at once (#1647), where `half_open_permits` and `ramp_s` go more slowly.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from pybreaker import CircuitBreakerListener

from prana.resilience.health import Health, Mode, Thresholds
from prana.resilience.ramp import Ramp
from prana.resilience.statebus import CircuitState, StateBus
from prana.resilience.trials import Permit, Trials
from prana.resilience.verdict import Verdict

Force = Literal["none", "open", "closed"]

_CLOSED: Final = "closed"
_OPEN: Final = "open"
_HALF_OPEN: Final = "half-open"
_BYSTANDER: Final = Permit(0)  # admitted by force: its outcome is counted and changes no state


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """Hystrix's defaults. The percentages are compared with whole percent, rounded down."""

    enabled: bool = True  # False: everybody is admitted, forced or not, as by Hystrix's NoOpCircuitBreaker
    mode: Mode = "eager"
    window_s: float = 10.0
    health_interval_s: float = 0.5  # between the snapshots of mode "hystrix"
    request_volume: int = 20
    error_percentage: int = 50
    slow_call_percentage: int = 0  # 0: off
    slow_call_s: float = 1.0  # calls that take longer are slow, whatever comes of them
    sleep_window_s: float = 5.0
    half_open_permits: int = 1
    max_trial_s: float = 15.0  # a trial is not waited for any longer; to be above all timeouts
    ramp_s: float = 0.0  # 0: none
    force: Force = "none"


class Breaker:
    """One service's circuit. `reason` is why it is not closed."""

    def __init__(
        self,
        name: str,
        settings: BreakerSettings,
        clock: Callable[[], float],
        listeners: Iterable[CircuitBreakerListener] = (),
    ) -> None:
        self.name = name
        self.settings = settings
        self.reason = ""
        self._clock = clock
        self._thresholds = Thresholds(
            settings.mode, settings.error_percentage, settings.slow_call_percentage, settings.slow_call_s
        )
        volume = settings.request_volume if settings.enabled else None
        self._health = Health(self._thresholds, volume, settings.window_s, settings.health_interval_s, clock)
        self._state: CircuitState = _CLOSED
        self._force: Force = settings.force
        # Shared by all requests of a closed period. A trial has its own, and whatever else comes back is late.
        self._permit: Permit | None = Permit(1)
        self._last_permit = Permit(1)
        self._opened_s = 0.0
        self._trials = self._new_trials()
        self._ramp: Ramp | None = None
        self._free = False  # whether everybody is admitted without a further look
        self._set_free()
        self._bus = StateBus(name, listeners)

    def admit(self) -> Permit | None:
        """A permit, or None for a request to be refused: see `refusal`. Each must come back through `record` once.

        Once more than `sleep_window_s` has passed since the circuit opened, `half_open_permits` callers get a trial.
        """
        if self._free:
            return self._permit
        self._catch_up()
        if self._forced != "none":
            return None if self._forced == "open" else self._permit or _BYSTANDER
        if self._state == _CLOSED:
            return self._permit if self._ramp_admits() else None
        if self._state == _OPEN:
            if not self._slept:
                return None
            self._enter(_HALF_OPEN)
        permit = self._last_permit = Permit(self._last_permit + 1)
        return permit if self._trials.begin(permit) else None

    def record(self, permit: Permit, verdict: Verdict, duration_s: float = 0.0) -> None:
        """Give the permit back with what the request told, after `duration_s`.

        FAILURE is also the verdict for a request that a concurrency limit refused after its admission: Hystrix counts
        SEMAPHORE_REJECTED among the errors.
        """
        health = self._health
        if not health.eager:
            self._catch_up()
        if permit == self._permit:
            if health.count(verdict, duration_s):
                self._open(health.complaint, self._clock())
        elif permit in self._trials:
            self._end_trial(permit, verdict, duration_s)
        elif self._state != _CLOSED or not health.eager:
            # Late: admitted before the last change of state. Shown to operators while the circuit is open; after that
            # forgotten with what was before, but by Hystrix, which counts a command when it ends.
            health.count(verdict, duration_s)

    @property
    def state(self) -> CircuitState:
        self._catch_up()
        return self._state

    @property
    def force(self) -> Force:
        """What an operator wants, whatever the traffic tells: "open" refuses all, "closed" admits all, "none" leaves
        it to the breaker. Meanwhile the state goes on to follow the outcomes. Without effect on a disabled breaker.
        """
        return self._force

    @force.setter
    def force(self, force: Force) -> None:
        self._force = force
        self._set_free()

    @property
    def is_open(self) -> bool:
        """As Hystrix shows it: also during the trial, never when disabled or forced closed, always when forced open."""
        return self._forced == "open" or (self._forced == "none" and self.state != _CLOSED)

    @property
    def allows_request(self) -> bool:
        """Whether the next request would be admitted (HystrixCircuitBreaker.allowRequest)."""
        if self._forced != "none":
            return self._forced == "closed"
        if self.state == _CLOSED:
            return self._ramp is None or self._ramp.admits()
        return self._slept if self._state == _OPEN else self._trials.may_begin()

    @property
    def refusal(self) -> str:
        """Why a request was just refused, and where it is known, until when."""
        if self._forced == "open":
            return "an operator has forced the circuit open"
        if self._ramp is not None:
            return f"the circuit has just closed, {self._ramp.share:.0%} of the requests are admitted for now"
        if self._state == _HALF_OPEN:
            return f"{self.reason}; {'a trial is under way' if self._trials.under_way else 'no further trial yet'}"
        return f"{self.reason}; next trial in {self.retry_after_s:.1f} s"

    @property
    def retry_after_s(self) -> float:
        """The rest of the sleep window, a whole one when forced; 0 when the circuit is not open or a trial is due."""
        if self._forced == "open":
            return self.settings.sleep_window_s
        if self.state != _OPEN:
            return 0.0
        return max(0.0, self._opened_s + self.settings.sleep_window_s - self._clock())

    @property
    def health(self) -> Health:
        """The counts as of now."""
        self._catch_up()
        return self._health

    @property
    def _forced(self) -> Force:
        return self._force if self.settings.enabled else "none"

    @property
    def _slept(self) -> bool:
        return self._clock() > self._opened_s + self.settings.sleep_window_s

    def _catch_up(self) -> None:
        while (at_s := self._health.next_alarm()) is not None:
            if self._state == _CLOSED:
                self._open(self._health.complaint, at_s)

    def _ramp_admits(self) -> bool:
        if self._ramp is not None and self._ramp.share == 1.0:
            self._ramp = None
            self._set_free()
        return self._ramp is None or self._ramp.admit()

    def _end_trial(self, permit: Permit, verdict: Verdict, duration_s: float) -> None:
        """A caller's leaving reopens the circuit in mode "hystrix", as there (markNonSuccess on unsubscribe)."""
        trials, health = self._trials, self._health
        if verdict is Verdict.CANCELLED and not health.eager:
            self._open("the caller of the trial left", self._clock())
        elif verdict is Verdict.CANCELLED or verdict is Verdict.IGNORED:
            trials.give_back(permit)
        elif works := trials.end(permit, verdict is Verdict.FAILURE, duration_s):
            health.reset()
            self._enter(_CLOSED)
            if not health.eager:  # for Hystrix a command ends after it has closed the circuit
                health.count(verdict, duration_s)
        else:
            health.count(verdict, duration_s)
            if works is False:
                self._open(trials.complaint, self._clock())

    def _open(self, reason: str, at_s: float) -> None:
        self.reason = reason
        self._opened_s = at_s
        self._enter(_OPEN)

    def _enter(self, state: CircuitState) -> None:
        """All in one step, so that the state and what belongs to it never differ."""
        self._state = state
        self._permit = self._ramp = None
        if state == _CLOSED:
            self.reason = ""
            self._permit = self._last_permit = Permit(self._last_permit + 1)
            if self.settings.ramp_s > 0:
                self._ramp = Ramp(self.settings.ramp_s, self._clock)
        self._trials = self._new_trials()
        self._set_free()
        self._bus.enter(state)

    def _new_trials(self) -> Trials:
        settings = self.settings
        patience_s, interval_s = settings.max_trial_s, settings.sleep_window_s
        return Trials(settings.half_open_permits, self._thresholds, patience_s, interval_s, self._clock)

    def _set_free(self) -> None:
        """In mode "hystrix" each request first asks what snapshots have done since the last."""
        closed = self._state == _CLOSED and self._ramp is None and self._force == "none"
        self._free = not self.settings.enabled or (closed and self._health.eager)
