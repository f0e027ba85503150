"""Mode "hystrix" against what Java does on the same clock.

The clock starts at 1000 s, so snapshots are due at 1000.5, 1001.0 and so on, and count the 20 buckets closed by then
(HealthCountsStream; metrics.healthSnapshot.intervalInMilliseconds 500, rollingStats.timeInMilliseconds 10000).
The names in CamelCase are those of HystrixCircuitBreakerTest.
"""

import pytest

from prana.resilience.breaker import Breaker
from prana.resilience.trials import Permit
from prana.resilience.verdict import Verdict

from .conftest import SLEEP_S, TICK_S, Clock, NewBreaker, permits, request, requests, state_of

INTERVAL_S = 0.5


@pytest.fixture
def breaker(new_breaker: NewBreaker) -> Breaker:
    return new_breaker(mode="hystrix")


def trip(breaker: Breaker, clock: Clock) -> None:
    requests(breaker, failures=20)
    clock.now_s += INTERVAL_S
    assert state_of(breaker) == "open"


def half_open(breaker: Breaker, clock: Clock) -> list[Permit]:
    """The sleep window over, all trials that there are."""
    clock.now_s += SLEEP_S + TICK_S
    return permits(breaker, 1000)


def test_testTripCircuit(breaker: Breaker, clock: Clock) -> None:
    requests(breaker, successes=20)
    clock.now_s += INTERVAL_S
    assert (breaker.allows_request, breaker.is_open) == (True, False)
    requests(breaker, failures=20)
    clock.now_s += INTERVAL_S
    assert (breaker.allows_request, breaker.is_open, breaker.health.error_percentage) == (False, True, 50)


def test_nothing_counts_before_the_snapshot_that_closes_its_bucket(breaker: Breaker, clock: Clock) -> None:
    requests(breaker, failures=1000)
    assert (breaker.health.request_count, state_of(breaker)) == (0, "closed")
    clock.now_s += INTERVAL_S - TICK_S
    assert (breaker.health.request_count, state_of(breaker)) == (0, "closed")
    requests(breaker, failures=1)
    clock.now_s += TICK_S
    assert (breaker.health.request_count, breaker.health.error_count, state_of(breaker)) == (1001, 1001, "open")


def test_it_opens_at_the_snapshot_and_not_when_somebody_looks(breaker: Breaker, clock: Clock) -> None:
    requests(breaker, failures=20)
    clock.now_s += INTERVAL_S + SLEEP_S
    assert breaker.admit() is None, "exactly the sleep window after the snapshot"
    clock.now_s += TICK_S
    assert breaker.admit() is not None


def test_a_snapshot_long_past_has_opened_it_all_the_same(breaker: Breaker, clock: Clock) -> None:
    """Java's timer ran; here nobody looked for an hour, and the window is empty by now."""
    requests(breaker, failures=20)
    clock.now_s += 3600
    assert (state_of(breaker), breaker.health.request_count) == ("open", 0)
    assert len(permits(breaker, 10)) == 1


def test_a_later_snapshot_may_trip_when_the_successes_have_left_the_window(breaker: Breaker, clock: Clock) -> None:
    requests(breaker, successes=30)
    clock.now_s += INTERVAL_S
    requests(breaker, failures=20)
    clock.now_s += INTERVAL_S
    assert (state_of(breaker), breaker.health.error_percentage) == ("closed", 40)
    clock.now_s += 9.0
    assert state_of(breaker) == "closed", "20 buckets, the first with the successes"
    clock.now_s += INTERVAL_S - TICK_S
    assert state_of(breaker) == "closed"
    clock.now_s += 3.0
    assert state_of(breaker) == "open"
    assert breaker.retry_after_s == pytest.approx(SLEEP_S - 3.0 + TICK_S)


def test_an_outcome_counts_in_the_bucket_in_which_it_comes(breaker: Breaker, clock: Clock) -> None:
    (late,) = permits(breaker, 1)
    requests(breaker, failures=5)
    clock.now_s += INTERVAL_S + TICK_S
    breaker.record(late, Verdict.SUCCESS)
    assert breaker.health.request_count == 5
    clock.now_s += INTERVAL_S
    assert breaker.health.request_count == 6


def test_testTripCircuitOnFailuresAboveThreshold(breaker: Breaker, clock: Clock) -> None:
    requests(breaker, successes=10, failures=10)
    clock.now_s += INTERVAL_S
    assert (breaker.is_open, breaker.health.error_percentage) == (True, 50)


def test_testCircuitDoesNotTripOnFailuresBelowThreshold(breaker: Breaker, clock: Clock) -> None:
    requests(breaker, successes=11, failures=9)
    clock.now_s += INTERVAL_S
    assert (breaker.is_open, breaker.health.error_percentage, breaker.allows_request) == (False, 45, True)


def test_testLowVolumeDoesNotTripCircuit(breaker: Breaker, clock: Clock) -> None:
    requests(breaker, failures=19)
    clock.now_s += INTERVAL_S
    assert (state_of(breaker), breaker.health.error_percentage) == ("closed", 100)
    requests(breaker, failures=1)
    clock.now_s += INTERVAL_S
    assert state_of(breaker) == "open"


@pytest.mark.parametrize(("threshold", "percentage", "state"), [(29, 28, "closed"), (28, 28, "open")])
def test_the_percentage_is_that_of_a_java_double(
    new_breaker: NewBreaker, clock: Clock, threshold: int, percentage: int, state: str
) -> None:
    """(int) (29d / 100 * 100) is 28."""
    breaker = new_breaker(mode="hystrix", error_percentage=threshold)
    requests(breaker, successes=71, failures=29)
    clock.now_s += INTERVAL_S
    assert (breaker.health.error_percentage, state_of(breaker)) == (percentage, state)


def test_counts_leave_with_their_bucket_after_ten_seconds(breaker: Breaker, clock: Clock) -> None:
    requests(breaker, failures=5)
    clock.now_s += 10.0
    assert breaker.health.request_count == 5, "the bucket of 1000.0 to 1000.5 is one of 20 at 1010.0"
    clock.now_s += INTERVAL_S
    assert breaker.health.request_count == 0


def test_testSingleTestOnOpenCircuitAfterTimeWindow(breaker: Breaker, clock: Clock) -> None:
    trip(breaker, clock)
    assert (breaker.allows_request, breaker.is_open) == (False, True)
    clock.now_s += SLEEP_S
    assert (breaker.allows_request, breaker.admit()) == (False, None)
    clock.now_s += TICK_S
    assert (breaker.allows_request, breaker.is_open) == (True, True)
    assert len(permits(breaker, 1000)) == 1
    assert (breaker.allows_request, breaker.is_open) == (False, True)


def test_testCircuitClosedAfterSuccess(breaker: Breaker, clock: Clock) -> None:
    trip(breaker, clock)
    (permit,) = half_open(breaker, clock)
    assert not breaker.allows_request
    breaker.record(permit, Verdict.SUCCESS)
    assert (breaker.allows_request, breaker.is_open) == (True, False)
    assert (breaker.health.request_count, breaker.health.error_percentage) == (0, 0)


def test_a_close_starts_a_new_stream_in_which_the_trial_itself_counts(breaker: Breaker, clock: Clock) -> None:
    """resetStream() comes with markSuccess(), and the command is done after that (AbstractCommand.handleCommandEnd)."""
    trip(breaker, clock)
    (permit,) = half_open(breaker, clock)
    clock.now_s += 0.2
    breaker.record(permit, Verdict.SUCCESS)
    clock.now_s += INTERVAL_S - TICK_S
    assert breaker.health.request_count == 0, "buckets start with the stream"
    clock.now_s += TICK_S
    assert (breaker.health.request_count, breaker.health.error_count) == (1, 0)


def test_what_is_in_flight_when_it_closes_counts_in_the_new_window(breaker: Breaker, clock: Clock) -> None:
    late = permits(breaker, 30)
    trip(breaker, clock)
    (permit,) = half_open(breaker, clock)
    breaker.record(permit, Verdict.SUCCESS)
    for each in late[:19]:
        breaker.record(each, Verdict.FAILURE)
    clock.now_s += INTERVAL_S
    assert (state_of(breaker), breaker.health.request_count, breaker.health.error_count) == ("open", 20, 19)


def test_testMultipleTimeWindowRetriesBeforeClosingCircuit(breaker: Breaker, clock: Clock) -> None:
    trip(breaker, clock)
    for _ in range(3):
        (permit,) = half_open(breaker, clock)
        breaker.record(permit, Verdict.FAILURE)
        assert (breaker.retry_after_s, breaker.is_open) == (SLEEP_S, True), "always the same, it does not grow"
        assert breaker.admit() is None
    (permit,) = half_open(breaker, clock)
    breaker.record(permit, Verdict.SUCCESS)
    assert (state_of(breaker), breaker.allows_request) == ("closed", True)


def test_testUnsubscriptionDoesNotLeaveCircuitStuckHalfOpen(breaker: Breaker, clock: Clock) -> None:
    trip(breaker, clock)
    (permit,) = half_open(breaker, clock)
    breaker.record(permit, Verdict.CANCELLED)
    assert (state_of(breaker), breaker.refusal) == ("open", "the caller of the trial left; next trial in 5.0 s")
    clock.now_s += SLEEP_S
    assert permits(breaker, 1000) == []
    clock.now_s += TICK_S
    assert len(permits(breaker, 1000)) == 1


def test_cancelled_and_refused_requests_count_for_nothing(breaker: Breaker, clock: Clock) -> None:
    for verdict in (Verdict.CANCELLED, Verdict.IGNORED):
        assert request(breaker, verdict)
    requests(breaker, failures=19)
    clock.now_s += INTERVAL_S
    assert (state_of(breaker), breaker.health.request_count) == ("closed", 19)


def test_the_window_goes_on_while_the_circuit_is_open(breaker: Breaker, clock: Clock) -> None:
    late = permits(breaker, 5)
    trip(breaker, clock)
    for each in late:
        breaker.record(each, Verdict.SUCCESS)
    clock.now_s += INTERVAL_S
    assert (breaker.health.request_count, breaker.health.error_percentage, state_of(breaker)) == (25, 80, "open")


def test_forced_closed_it_tracks_all_the_same(breaker: Breaker, clock: Clock) -> None:
    breaker.force = "closed"
    requests(breaker, failures=20)
    clock.now_s += INTERVAL_S
    assert (state_of(breaker), breaker.is_open, breaker.allows_request) == ("open", False, True)
    clock.now_s += 60
    requests(breaker, successes=5)
    assert state_of(breaker) == "open", "attemptExecution() does not come to the sleep window"
    breaker.force = "none"
    assert (breaker.is_open, len(permits(breaker, 1000))) == (True, 1)


def test_forced_open_beats_what_traffic_tells(breaker: Breaker, clock: Clock) -> None:
    breaker.force = "open"
    clock.now_s += 3600
    assert (breaker.admit(), breaker.is_open, breaker.allows_request, state_of(breaker)) == (
        None,
        True,
        False,
        "closed",
    )


def test_disabled_it_admits_all_and_is_never_open(new_breaker: NewBreaker, clock: Clock) -> None:
    """NoOpCircuitBreaker; the health counts go on."""
    breaker = new_breaker(mode="hystrix", enabled=False, force="open")
    requests(breaker, failures=100)
    clock.now_s += INTERVAL_S
    assert (breaker.admit() is not None, breaker.is_open, breaker.allows_request) == (True, False, True)
    assert breaker.health.error_count == 100


def test_the_interval_and_window_are_as_configured(new_breaker: NewBreaker, clock: Clock) -> None:
    """numHealthCountBuckets is an integer division: 3 buckets of 300 ms in a second."""
    breaker = new_breaker(mode="hystrix", window_s=1.0, health_interval_s=0.3)
    requests(breaker, failures=3)
    clock.now_s += 0.9
    assert breaker.health.request_count == 3
    clock.now_s += 0.3 + TICK_S
    assert breaker.health.request_count == 0


def test_slow_calls_trip_at_a_snapshot_too(new_breaker: NewBreaker, clock: Clock) -> None:
    breaker = new_breaker(mode="hystrix", slow_call_percentage=50, slow_call_s=0.5)
    for duration_s in [0.6] * 10 + [0.4] * 10:
        assert request(breaker, Verdict.SUCCESS, duration_s)
    assert state_of(breaker) == "closed"
    clock.now_s += INTERVAL_S
    assert (state_of(breaker), breaker.reason) == (
        "open",
        "50 % of 20 recent requests to this service took over 0.5 s",
    )
