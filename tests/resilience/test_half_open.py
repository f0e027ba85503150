"""How a circuit finds out whether its service works again."""

from collections.abc import Callable
from functools import partial

import pytest

from prana.resilience.breaker import Breaker
from prana.resilience.verdict import Verdict

from .conftest import SLEEP_S, TICK_S, Clock, NewBreaker, permits, requests, state_of, trial, trip

CALLERS = 1000


@pytest.fixture
def half_open(new_breaker: NewBreaker, clock: Clock) -> Callable[..., Breaker]:
    """A breaker whose sleep window has passed."""

    def new(**settings: object) -> Breaker:
        breaker = new_breaker(**settings)
        trip(breaker)
        clock.now_s += SLEEP_S + TICK_S
        return breaker

    return new


@pytest.mark.parametrize("mode", ["eager", "hystrix"])
@pytest.mark.parametrize("k", [1, 3, 10])
def test_exactly_k_of_1000_concurrent_callers_get_a_trial(
    new_breaker: NewBreaker, clock: Clock, k: int, mode: str
) -> None:
    breaker = new_breaker(half_open_permits=k, mode=mode)
    requests(breaker, failures=20)
    clock.now_s += SLEEP_S + 1
    assert breaker.allows_request
    trials = permits(breaker, CALLERS)
    assert (len(trials), len(set(trials)), state_of(breaker)) == (k, k, "half-open")
    assert not breaker.allows_request
    assert breaker.refusal == "100 % of 20 recent requests to this service failed; a trial is under way"


@pytest.mark.parametrize(
    ("failures", "successes", "state"), [(5, 0, "open"), (4, 5, "half-open"), (4, 6, "closed"), (0, 6, "closed")]
)
def test_trials_are_judged_together_once_those_missing_cannot_change_the_verdict(
    half_open: Callable[..., Breaker], failures: int, successes: int, state: str
) -> None:
    """At a threshold of 50 %: five failures of ten are enough to open, and six successes to close."""
    breaker = half_open(half_open_permits=10)
    trials = permits(breaker, 10)
    for verdict in [Verdict.FAILURE] * failures + [Verdict.SUCCESS] * successes:
        assert state_of(breaker) == "half-open"
        breaker.record(trials.pop(), verdict)
    assert state_of(breaker) == state
    for permit in trials:
        breaker.record(permit, Verdict.FAILURE)
    if state != "half-open":
        assert state_of(breaker) == state, "trials that end later are late"


def test_trials_that_have_ended_leave_room_for_no_others(half_open: Callable[..., Breaker]) -> None:
    breaker = half_open(half_open_permits=5)
    for permit in permits(breaker, 2):
        breaker.record(permit, Verdict.SUCCESS)
    assert len(permits(breaker, CALLERS)) == 3


def test_slow_trials_are_judged_together_too(half_open: Callable[..., Breaker]) -> None:
    """At a threshold of 50 % of three, one slow one is not enough to open, nor a quick one beside it to close."""
    breaker = half_open(half_open_permits=3, slow_call_percentage=50, slow_call_s=1.0)
    for duration_s in (2.0, 0.5):
        breaker.record(permits(breaker, 1)[0], Verdict.SUCCESS, duration_s)
        assert state_of(breaker) == "half-open"
    breaker.record(permits(breaker, 1)[0], Verdict.SUCCESS, 2.0)
    assert (state_of(breaker), breaker.reason) == ("open", "of 3 trials: 2 slow")


def test_a_failed_round_says_how_many_and_starts_a_full_sleep_window(
    half_open: Callable[..., Breaker], clock: Clock
) -> None:
    breaker = half_open(half_open_permits=3)
    for permit in permits(breaker, 3):
        breaker.record(permit, Verdict.FAILURE)
    assert breaker.refusal == "of 2 trials: 2 failed; next trial in 5.0 s"
    clock.now_s += SLEEP_S
    assert permits(breaker, 10) == []
    clock.now_s += TICK_S
    assert len(permits(breaker, 10)) == 3


@pytest.mark.parametrize("verdict", [Verdict.CANCELLED, Verdict.IGNORED])
def test_a_trial_that_told_nothing_gives_its_permit_back_at_once(
    half_open: Callable[..., Breaker], verdict: Verdict
) -> None:
    breaker = half_open()
    (permit,) = permits(breaker, CALLERS)
    breaker.record(permit, verdict)
    assert (state_of(breaker), breaker.allows_request) == ("half-open", True)
    (permit,) = permits(breaker, CALLERS)
    breaker.record(permit, Verdict.SUCCESS)
    assert state_of(breaker) == "closed"


def test_who_is_refused_meanwhile_is_not_told_of_a_trial_that_is_over(half_open: Callable[..., Breaker]) -> None:
    breaker = half_open()
    for _ in range(2):
        (permit,) = permits(breaker, CALLERS)
        breaker.record(permit, Verdict.CANCELLED)
    assert permits(breaker, CALLERS) == []
    assert breaker.refusal.endswith("; no further trial yet")


def test_impatient_callers_do_not_turn_trials_into_a_stream(half_open: Callable[..., Breaker], clock: Clock) -> None:
    """Each of them leaves after a tenth of a second, and the service never answers."""
    breaker = half_open(half_open_permits=3)
    begun = 0
    for _ in range(100):
        trials = permits(breaker, 10)
        begun += len(trials)
        clock.now_s += 0.1
        for permit in trials:
            breaker.record(permit, Verdict.CANCELLED)
    assert begun == 12, "twice as many as permits in each of the two sleep windows"
    assert state_of(breaker) == "half-open"


def test_a_trial_that_does_not_end_is_not_waited_for_beyond_the_longest_timeout(
    half_open: Callable[..., Breaker], clock: Clock
) -> None:
    """Such as an upload, while which the deadline waits."""
    breaker = half_open(half_open_permits=2, max_trial_s=15.0)
    (uploading,) = permits(breaker, 1)
    clock.now_s += 14
    (other,) = permits(breaker, CALLERS)
    clock.now_s += 1 + TICK_S
    (instead,) = permits(breaker, CALLERS)
    breaker.record(uploading, Verdict.FAILURE)
    assert state_of(breaker) == "half-open", "it has lost its say"
    breaker.record(instead, Verdict.SUCCESS)
    breaker.record(other, Verdict.SUCCESS)
    assert state_of(breaker) == "closed"


def test_a_slow_trial_reopens_when_slow_calls_matter(half_open: Callable[..., Breaker], clock: Clock) -> None:
    slow_matters = half_open(slow_call_percentage=100, slow_call_s=1.0)
    slow_matters.record(permits(slow_matters, 1)[0], Verdict.SUCCESS, 1.001)
    assert (state_of(slow_matters), slow_matters.reason) == ("open", "of 1 trials: 1 slow")
    slow_does_not = half_open()
    slow_does_not.record(permits(slow_does_not, 1)[0], Verdict.SUCCESS, 60.0)
    assert state_of(slow_does_not) == "closed"


def test_after_closing_a_growing_share_is_admitted(new_breaker: NewBreaker, clock: Clock) -> None:
    """Envoy's slow start: at least 10 %, and age / ramp."""
    breaker = new_breaker(ramp_s=10.0)
    trip(breaker)
    breaker.record(trial(breaker, clock), Verdict.SUCCESS)
    shares = []
    for _ in range(11):
        shares.append(len(permits(breaker, 1000)) / 1000)
        clock.now_s += 1
    assert shares == pytest.approx([0.1, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0], abs=0.002)


def test_who_is_refused_while_it_ramps_up_is_told_so(new_breaker: NewBreaker, clock: Clock) -> None:
    breaker = new_breaker(ramp_s=10.0)
    trip(breaker)
    breaker.record(trial(breaker, clock), Verdict.SUCCESS)
    clock.now_s += 4
    admitted = [breaker.allows_request == (breaker.admit() is not None) for _ in range(100)]
    assert all(admitted), "as it said"
    while breaker.admit() is not None:
        pass
    assert breaker.refusal == "the circuit has just closed, 40% of the requests are admitted for now"
    assert (state_of(breaker), breaker.retry_after_s, breaker.is_open) == ("closed", 0, False)


def test_a_service_that_fails_again_while_it_ramps_up_is_cut_off_again(new_breaker: NewBreaker, clock: Clock) -> None:
    breaker = new_breaker(ramp_s=10.0)
    trip(breaker)
    breaker.record(trial(breaker, clock), Verdict.SUCCESS)
    for permit in permits(breaker, 200):
        breaker.record(permit, Verdict.FAILURE)
    assert (state_of(breaker), breaker.refusal) == (
        "open",
        "100 % of 20 recent requests to this service failed; next trial in 5.0 s",
    )
    breaker.record(trial(breaker, clock), Verdict.SUCCESS)
    clock.now_s += 10
    assert len(permits(breaker, 100)) == 100


class TestSlowCalls:
    """resilience4j's slow-call rate, over the window and volume of the failures."""

    @pytest.fixture
    def breaker(self, new_breaker: NewBreaker) -> Breaker:
        return new_breaker(slow_call_percentage=80, slow_call_s=1.0)

    def call(self, breaker: Breaker, duration_s: float, verdict: Verdict = Verdict.SUCCESS) -> None:
        permit = breaker.admit()
        assert permit is not None
        breaker.record(permit, verdict, duration_s)

    def test_that_share_of_slow_calls_opens_and_less_does_not(self, breaker: Breaker) -> None:
        for duration_s in [1.001] * 15 + [1.0] * 4:
            self.call(breaker, duration_s)
        assert (state_of(breaker), breaker.health.slow_call_percentage) == ("closed", 78)
        self.call(breaker, 1.0)
        assert state_of(breaker) == "closed", "15 of 20 are 75 %"
        for _ in range(5):
            self.call(breaker, 1.001)
        assert state_of(breaker) == "open", "20 of 25 are 80 %"
        assert breaker.reason == "80 % of 25 recent requests to this service took over 1 s"

    def test_too_few_calls_tell_nothing(self, breaker: Breaker) -> None:
        for _ in range(19):
            self.call(breaker, 9.0)
        assert state_of(breaker) == "closed"
        self.call(breaker, 9.0)
        assert state_of(breaker) == "open"

    def test_slow_failures_are_slow_too_and_slow_cancellations_are_nothing(self, breaker: Breaker) -> None:
        call = partial(self.call, breaker, 9.0)
        for verdict in [Verdict.FAILURE] * 9 + [Verdict.SUCCESS] * 10 + [Verdict.CANCELLED] * 100:
            call(verdict)
        assert (state_of(breaker), breaker.health.request_count) == ("closed", 19)
        call(Verdict.SUCCESS)
        assert (state_of(breaker), breaker.health.error_percentage) == ("open", 45)

    def test_off_they_do_not_count(self, new_breaker: NewBreaker) -> None:
        breaker = new_breaker()
        for _ in range(100):
            self.call(breaker, 3600.0)
        assert (state_of(breaker), breaker.health.slow_call_percentage) == ("closed", 0)
