"""What holds for a breaker under any interleaving of requests."""

from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pybreaker import CircuitBreaker, CircuitBreakerListener, CircuitBreakerState

from prana.resilience.breaker import Breaker, BreakerSettings, Force
from prana.resilience.health import Mode
from prana.resilience.trials import Permit
from prana.resilience.verdict import Verdict

from .conftest import SLEEP_S, TICK_S, Clock, state_of


class Changes(CircuitBreakerListener):
    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def state_change(
        self, cb: CircuitBreaker, old_state: CircuitBreakerState | None, new_state: CircuitBreakerState
    ) -> None:
        self.heard.append((old_state.name if old_state else "", new_state.name))


class BreakerMachine(RuleBasedStateMachine):
    """Never more trials than permits, only outcomes of the present period change the state, and it is never stuck."""

    @initialize(
        mode=st.sampled_from(["eager", "hystrix"]),
        permits=st.integers(1, 4),
        slow_call_percentage=st.sampled_from([0, 60]),
        ramp_s=st.sampled_from([0.0, 7.0]),
    )
    def start(self, mode: Mode, permits: int, slow_call_percentage: int, ramp_s: float) -> None:
        self.clock = Clock()
        self.changes = Changes()
        self.breaker = Breaker(
            "orders",
            BreakerSettings(
                mode=mode,
                request_volume=3,
                half_open_permits=permits,
                slow_call_percentage=slow_call_percentage,
                ramp_s=ramp_s,
                max_trial_s=1e9,
            ),
            self.clock,
            [self.changes],
        )
        self.under_way: list[tuple[Permit, int]] = []  # with the period in which it was admitted
        self.trials: set[Permit] = set()

    @property
    def period(self) -> int:
        return len(self.changes.heard)

    @rule(callers=st.integers(1, 20))
    def admit(self, callers: int) -> None:
        for _ in range(callers):
            expected = self.breaker.allows_request
            permit = self.breaker.admit()
            assert (permit is not None) == expected
            if permit is None:
                continue
            self.under_way.append((permit, self.period))
            if state_of(self.breaker) == "half-open" and self.breaker.force == "none":
                self.trials.add(permit)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), verdict=st.sampled_from(Verdict), duration_s=st.sampled_from([0.0, 2.0]))
    def end(self, data: st.DataObject, verdict: Verdict, duration_s: float) -> None:
        permit, period = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        before = state_of(self.breaker)
        late = period != self.period
        self.breaker.record(permit, verdict, duration_s)
        after = state_of(self.breaker)
        if late or (verdict is Verdict.IGNORED):
            assert after == before
        if before == "half-open" and permit not in self.trials:
            assert after == before
        if before == "open":
            assert after == before
        self.trials.discard(permit)

    @rule(seconds=st.sampled_from([0.1, 0.5, SLEEP_S, SLEEP_S + TICK_S, 30.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now_s += seconds

    @rule(force=st.sampled_from(["none", "none", "open", "closed"]))
    def force(self, force: Force) -> None:
        before = state_of(self.breaker)
        self.breaker.force = force
        assert state_of(self.breaker) == before

    @invariant()
    def no_more_trials_than_permits_are_under_way(self) -> None:
        if state_of(self.breaker) != "half-open":
            self.trials.clear()
        assert len(self.trials) <= self.breaker.settings.half_open_permits

    @invariant()
    def the_bus_tells_the_same_story(self) -> None:
        state, heard = state_of(self.breaker), self.changes.heard
        assert state == (heard[-1][1] if heard else "closed")
        assert all(before[1] == after[0] for before, after in pairwise(heard))

    def teardown(self) -> None:
        """Whatever happened: once those under way have come back and the service works, the circuit closes."""
        if not hasattr(self, "breaker"):
            return
        breaker = self.breaker
        breaker.force = "none"
        for permit, _ in self.under_way:
            breaker.record(permit, Verdict.CANCELLED)
        for _ in range(3):
            self.clock.now_s += 30.0
            for _ in range(breaker.settings.half_open_permits):
                if (trial := breaker.admit()) is not None:
                    breaker.record(trial, Verdict.SUCCESS)
        assert state_of(breaker) == "closed"


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
