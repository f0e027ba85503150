"""Defects of Hystrix that neither mode has, each by the issues in which it was reported."""

import pytest
from pybreaker import CircuitBreaker, CircuitBreakerListener

from prana.errors import BadRequest
from prana.resilience.breaker import Breaker, BreakerSettings
from prana.resilience.classify import verdict_of_error, verdict_of_status
from prana.resilience.verdict import Verdict

from .conftest import SLEEP_S, TICK_S, Clock, NewBreaker, permits, request, requests, state_of


@pytest.fixture(params=["eager", "hystrix"])
def mode(request: pytest.FixtureRequest) -> str:
    mode: str = request.param
    return mode


@pytest.fixture
def breaker(new_breaker: NewBreaker, mode: str) -> Breaker:
    return new_breaker(mode=mode)


def sleep(breaker: Breaker, clock: Clock) -> None:
    """Open, and through its sleep window."""
    requests(breaker, failures=20)
    clock.now_s += 0.5
    assert state_of(breaker) == "open"
    clock.now_s += SLEEP_S + TICK_S


def test_1853_1781_a_neighbour_that_ends_during_the_trial_does_not_reopen_the_circuit(
    breaker: Breaker, clock: Clock
) -> None:
    """There, the end of any command, even of a short-circuited one, reopened it, and the successful trial could not
    close it any more: under load the circuit stayed open."""
    neighbours = permits(breaker, 200)
    sleep(breaker, clock)
    (trial,) = permits(breaker, 200)
    for n, neighbour in enumerate(neighbours):
        breaker.record(neighbour, list(Verdict)[n % len(Verdict)])
        assert (breaker.admit(), state_of(breaker)) == (None, "half-open")
    breaker.record(trial, Verdict.SUCCESS)
    assert state_of(breaker) == "closed"


def test_2005_674_a_client_error_in_the_trial_closes_the_circuit(breaker: Breaker, clock: Clock) -> None:
    """The service has answered, and that was the question."""
    sleep(breaker, clock)
    (trial,) = permits(breaker, 10)
    breaker.record(trial, verdict_of_status(404))
    assert state_of(breaker) == "closed"


def test_2005_674_a_request_that_was_malformed_leaves_the_trial_to_another(breaker: Breaker, clock: Clock) -> None:
    sleep(breaker, clock)
    (trial,) = permits(breaker, 10)
    breaker.record(trial, verdict_of_error(BadRequest("x")))
    assert state_of(breaker) == "half-open"
    assert request(breaker, Verdict.SUCCESS)
    assert state_of(breaker) == "closed"


def test_1806_2108_1723_state_and_opening_time_never_differ(clock: Clock, mode: str) -> None:
    """There, a lost race left it CLOSED with a time of opening, which refused for good, or OPEN without one. Whoever
    looks while it changes, from a listener, sees a state that is whole."""
    seen: list[tuple[str, bool, bool, bool]] = []

    class Looks(CircuitBreakerListener):
        def state_change(self, cb: CircuitBreaker, old_state: object, new_state: object) -> None:
            seen.append((looked.state, looked.is_open, looked.allows_request, looked.retry_after_s > 0))

    looked = Breaker("orders", BreakerSettings(mode="hystrix" if mode == "hystrix" else "eager"), clock, [Looks()])
    for verdict in (Verdict.FAILURE, Verdict.SUCCESS):
        if state_of(looked) == "closed":
            sleep(looked, clock)
        else:
            clock.now_s += SLEEP_S + 1
        assert request(looked, verdict)
    opened, half_open = ("open", True, False, True), ("half-open", True, True, False)
    assert seen == [opened, half_open, opened, half_open, ("closed", False, True, False)]


def test_1806_2108_1723_it_trips_again_and_closes_again_any_number_of_times(breaker: Breaker, clock: Clock) -> None:
    for _ in range(50):
        sleep(breaker, clock)
        clock.now_s += 1
        assert request(breaker, Verdict.SUCCESS)
        assert (state_of(breaker), breaker.allows_request) == ("closed", True)
        clock.now_s += 20


def test_1647_1739_not_all_traffic_comes_back_after_a_single_trial(
    new_breaker: NewBreaker, clock: Clock, mode: str
) -> None:
    breaker = new_breaker(mode=mode, half_open_permits=5, ramp_s=10.0)
    sleep(breaker, clock)
    clock.now_s += 1
    trials = permits(breaker, 1000)
    breaker.record(trials.pop(), Verdict.SUCCESS)
    assert (len(trials), state_of(breaker)) == (4, "half-open"), "one success is not enough"
    for trial in trials:
        breaker.record(trial, Verdict.SUCCESS)
    assert state_of(breaker) == "closed"
    assert len(permits(breaker, 1000)) == 100
