"""The names in CamelCase are those of Hystrix's HystrixCircuitBreakerTest, whose cases these are."""

import pytest
from pybreaker import CircuitBreaker, CircuitBreakerListener, CircuitBreakerState
from structlog.testing import capture_logs

from prana.resilience.breaker import Breaker, BreakerSettings
from prana.resilience.verdict import Verdict

from .conftest import SLEEP_S, TICK_S, Clock, NewBreaker, request, requests, trial, trip


class Changes(CircuitBreakerListener):
    """What the listener bus told, and what pybreaker holds in the end."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.bus: CircuitBreaker | None = None

    def state_change(
        self, cb: CircuitBreaker, old_state: CircuitBreakerState | None, new_state: CircuitBreakerState
    ) -> None:
        self.bus = cb
        self.heard.append((old_state.name if old_state else "", new_state.name))


def test_testTripCircuit(breaker: Breaker) -> None:
    requests(breaker, failures=20)
    assert breaker.state == "open"
    assert breaker.admit() is None


def test_testTripCircuitOnFailuresAboveThreshold(breaker: Breaker) -> None:
    requests(breaker, successes=10, failures=10)
    assert breaker.state == "open"


def test_testCircuitDoesNotTripOnFailuresBelowThreshold(breaker: Breaker) -> None:
    requests(breaker, successes=11, failures=9)
    assert (breaker.state, breaker.health.error_percentage) == ("closed", 45)


def test_testLowVolumeDoesNotTripCircuit(breaker: Breaker) -> None:
    requests(breaker, failures=19)
    assert (breaker.state, breaker.health.error_percentage) == ("closed", 100)
    requests(breaker, failures=1)
    assert breaker.state == "open"


def test_the_outcome_that_fills_the_volume_trips_even_when_it_is_a_success(breaker: Breaker) -> None:
    requests(breaker, failures=19)
    requests(breaker, successes=1)
    assert breaker.state == "open"


def test_the_percentage_is_rounded_down(new_breaker: NewBreaker) -> None:
    breaker = new_breaker(request_volume=10_000)
    requests(breaker, successes=5001, failures=4999)
    assert (breaker.state, breaker.health.error_percentage) == ("closed", 49)
    breaker = new_breaker(request_volume=100, error_percentage=29)
    requests(breaker, successes=71, failures=29)
    assert breaker.state == "open", "29 of 100 are 29 percent, though 29 / 100 * 100 is less in floating point"


def test_outcomes_older_than_the_window_do_not_count(breaker: Breaker, clock: Clock) -> None:
    requests(breaker, failures=19)
    clock.now_s += 10
    requests(breaker, failures=1)
    assert (breaker.state, breaker.health.request_count) == ("closed", 1)


def test_testSingleTestOnOpenCircuitAfterTimeWindow(breaker: Breaker, clock: Clock) -> None:
    trip(breaker)
    clock.now_s += SLEEP_S
    assert breaker.admit() is None, "exactly the sleep window is not yet more than it"
    clock.now_s += TICK_S
    assert breaker.admit() is not None
    assert [breaker.admit() for _ in range(10)] == [None] * 10
    clock.now_s += 10
    assert breaker.admit() is None, "the trial is still under way"


def test_testCircuitClosedAfterSuccess(breaker: Breaker, clock: Clock) -> None:
    trip(breaker)
    breaker.record(trial(breaker, clock), Verdict.SUCCESS)
    assert breaker.state == "closed"
    assert (breaker.health.request_count, breaker.health.error_count, breaker.health.error_percentage) == (0, 0, 0)
    requests(breaker, failures=19)
    assert breaker.state == "closed", "the failures from before are forgotten"


def test_testMultipleTimeWindowRetriesBeforeClosingCircuit(breaker: Breaker, clock: Clock) -> None:
    trip(breaker)
    for _ in range(3):
        breaker.record(trial(breaker, clock), Verdict.FAILURE)
        assert breaker.retry_after_s == SLEEP_S, "a failed trial starts a full new sleep window"
        assert breaker.admit() is None
    breaker.record(trial(breaker, clock), Verdict.SUCCESS)
    assert breaker.state == "closed"


def test_testUnsubscriptionDoesNotLeaveCircuitStuckHalfOpen(breaker: Breaker, clock: Clock) -> None:
    trip(breaker)
    breaker.record(trial(breaker, clock), Verdict.CANCELLED)
    requests(breaker, successes=1)
    assert breaker.state == "closed"


def test_200_neighbours_refused_during_the_trial_do_not_keep_it_from_closing(breaker: Breaker, clock: Clock) -> None:
    """Netflix/Hystrix#1781: there, the end of a short-circuited neighbour reopened the circuit."""
    late = [breaker.admit() for _ in range(200)]
    trip(breaker)
    permit = trial(breaker, clock)
    for n, neighbour in enumerate(late):
        assert breaker.admit() is None
        assert neighbour is not None
        breaker.record(neighbour, list(Verdict)[n % 3])
        assert breaker.state == "half-open"
    breaker.record(permit, Verdict.SUCCESS)
    assert breaker.state == "closed"


def test_a_late_success_does_not_close_an_open_circuit(breaker: Breaker) -> None:
    late = breaker.admit()
    assert late is not None
    trip(breaker)
    breaker.record(late, Verdict.SUCCESS)
    assert breaker.state == "open"
    assert breaker.health.request_count == 21, "operators see it nevertheless"


def test_late_failures_neither_prolong_the_sleep_nor_trip_a_circuit_that_closed_since(
    breaker: Breaker, clock: Clock
) -> None:
    late = [permit for permit in (breaker.admit() for _ in range(60)) if permit is not None]
    trip(breaker)
    clock.now_s += 4
    breaker.record(late.pop(), Verdict.FAILURE)
    assert breaker.retry_after_s == pytest.approx(1)
    clock.now_s -= 4
    breaker.record(trial(breaker, clock), Verdict.SUCCESS)
    for permit in late:
        breaker.record(permit, Verdict.FAILURE)
    assert (breaker.state, breaker.health.request_count) == ("closed", 0)


def test_the_verdict_of_an_earlier_trial_says_nothing_about_the_present_one(breaker: Breaker, clock: Clock) -> None:
    trip(breaker)
    first = trial(breaker, clock)
    breaker.record(first, Verdict.FAILURE)
    trial(breaker, clock)
    breaker.record(first, Verdict.SUCCESS)
    assert breaker.state == "half-open"


def test_a_trial_refused_by_a_concurrency_limit_reopens(breaker: Breaker, clock: Clock) -> None:
    trip(breaker)
    breaker.record(trial(breaker, clock), Verdict.FAILURE)
    assert (breaker.state, breaker.health.error_count) == ("open", 21)


def test_cancelled_requests_count_for_nothing(breaker: Breaker) -> None:
    for _ in range(100):
        assert request(breaker, Verdict.CANCELLED)
    requests(breaker, failures=19)
    assert request(breaker, Verdict.CANCELLED)
    assert (breaker.state, breaker.health.request_count, breaker.health.error_count) == ("closed", 19, 19)


def test_a_disabled_breaker_admits_everything_and_still_counts(new_breaker: NewBreaker) -> None:
    breaker = new_breaker(enabled=False)
    requests(breaker, failures=100)
    assert (breaker.state, breaker.health.request_count, breaker.health.error_percentage) == ("closed", 100, 100)


def test_forced_open_admits_nobody_and_follows_what_is_under_way(breaker: Breaker, clock: Clock) -> None:
    late = breaker.admit()
    assert late is not None
    breaker.force = "open"
    assert (breaker.admit(), breaker.state, breaker.is_open, breaker.allows_request) == (None, "closed", True, False)
    assert (breaker.refusal, breaker.retry_after_s) == ("an operator has forced the circuit open", SLEEP_S)
    breaker.record(late, Verdict.FAILURE)
    assert breaker.health.error_count == 1
    clock.now_s += 100
    assert breaker.admit() is None, "no trial either"
    breaker.force = "none"
    assert (breaker.admit() is not None, breaker.is_open) == (True, False)


def test_forced_closed_admits_everybody_while_the_state_goes_on_to_follow(breaker: Breaker, clock: Clock) -> None:
    breaker.force = "closed"
    requests(breaker, failures=30)
    assert (breaker.state, breaker.is_open, breaker.health.error_count) == ("open", False, 30)
    clock.now_s += SLEEP_S + 0.001
    requests(breaker, successes=1)
    breaker.force = "none"
    assert breaker.is_open, "a success that was forced in is no trial"
    requests(breaker, successes=1)
    assert not breaker.is_open


def test_a_trial_under_way_decides_though_the_circuit_is_forced(breaker: Breaker, clock: Clock) -> None:
    trip(breaker)
    permit = trial(breaker, clock)
    breaker.force = "closed"
    requests(breaker, failures=1)
    assert (breaker.state, breaker.is_open) == ("half-open", False)
    breaker.record(permit, Verdict.SUCCESS)
    assert breaker.state == "closed"
    breaker.force = "open"
    assert breaker.admit() is None


def test_a_disabled_breaker_cannot_be_forced(new_breaker: NewBreaker) -> None:
    breaker = new_breaker(enabled=False, force="open")
    assert (breaker.admit() is not None, breaker.is_open) == (True, False)


def test_retry_after_is_the_rest_of_the_sleep_window(breaker: Breaker, clock: Clock) -> None:
    assert breaker.retry_after_s == 0
    trip(breaker)
    assert breaker.retry_after_s == 5
    clock.now_s += 3.5
    assert breaker.retry_after_s == 1.5
    clock.now_s += 100
    assert breaker.retry_after_s == 0
    assert breaker.admit() is not None
    assert breaker.retry_after_s == 0


def test_listeners_hear_every_change_once_and_pybreaker_holds_the_state(clock: Clock) -> None:
    changes = Changes()
    breaker = Breaker("orders", BreakerSettings(), clock, [changes])
    trip(breaker)
    breaker.record(trial(breaker, clock), Verdict.FAILURE)
    breaker.record(trial(breaker, clock), Verdict.SUCCESS)
    assert changes.heard == [
        ("closed", "open"),
        ("open", "half-open"),
        ("half-open", "open"),
        ("open", "half-open"),
        ("half-open", "closed"),
    ]
    assert changes.bus is not None
    assert (changes.bus.name, changes.bus.current_state) == ("orders", "closed")


def test_a_listener_that_raises_is_logged_and_changes_nothing(clock: Clock) -> None:
    class Broken(CircuitBreakerListener):
        def state_change(self, cb: object, old_state: object, new_state: object) -> None:
            raise ZeroDivisionError

    changes = Changes()
    breaker = Breaker("orders", BreakerSettings(), clock, [Broken(), changes])
    with capture_logs() as logs:
        trip(breaker)
        breaker.record(trial(breaker, clock), Verdict.SUCCESS)
    assert breaker.state == "closed"
    assert [new for _, new in changes.heard] == ["open", "half-open", "closed"]
    assert changes.bus is not None
    assert changes.bus.current_state == "closed"
    assert [(log["event"], log["service"], log["state"], log["log_level"]) for log in logs] == [
        ("breaker listener failed", "orders", state, "error") for state in ("open", "half-open", "closed")
    ]
