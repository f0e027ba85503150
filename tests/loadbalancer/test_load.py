from math import exp

import pytest

from loadbalancer.load import FAILURE_PENALTY_S, MAX_REST_S, REST_S, UNMEASURED_S, PeakEwma


def measured(latency_s: float, now_s: float = 0.0) -> PeakEwma:
    load = PeakEwma()
    load.succeed(load.start(now_s - latency_s), latency_s, now_s)
    load.release()
    return load


def test_the_cost_is_the_estimate_times_the_attempts_there_would_be() -> None:
    load = measured(0.1, now_s=0)
    assert load.cost_s(0) == pytest.approx(0.1)
    load.start(0)
    load.start(0)
    assert load.cost_s(0) == pytest.approx(0.3)


def test_a_slower_answer_counts_at_once_and_in_full() -> None:
    load = measured(0.1, now_s=0)
    load.succeed(load.start(0), 2.0, now_s=1)
    load.release()
    assert load.cost_s(1) == pytest.approx(2.0)


def test_a_faster_answer_counts_by_the_time_since_the_last_one() -> None:
    load = measured(1.0, now_s=0)
    load.succeed(load.start(10), 0.1, now_s=10)
    load.release()
    assert load.cost_s(10) == pytest.approx(1.0 * exp(-1) + 0.1 * (1 - exp(-1)))


def test_the_estimate_decays_while_nothing_is_measured_so_that_a_punished_node_is_tried_again() -> None:
    load = measured(1.0, now_s=0)
    assert load.cost_s(10) == pytest.approx(exp(-1))
    assert load.cost_s(100) < 0.0001


@pytest.mark.parametrize(
    ("before_s", "latency_s", "expected_s"),
    [
        pytest.param(0.002, 0.001, FAILURE_PENALTY_S, id="an instant error costs the penalty"),
        pytest.param(20.0, 0.001, 20.0, id="a worse estimate stays"),
        pytest.param(0.002, 30.0, 30.0, id="a timeout longer than the penalty counts in full"),
    ],
)
def test_a_failure_never_makes_a_node_look_fast(before_s: float, latency_s: float, expected_s: float) -> None:
    load = measured(before_s, now_s=0)
    load.fail(load.start(0), latency_s, now_s=0)
    load.release()
    assert load.cost_s(0) == pytest.approx(expected_s)


@pytest.mark.parametrize(("retry_after_s", "expected_s"), [(60.0, 60.0), (1.0, FAILURE_PENALTY_S)])
def test_a_node_that_asked_to_be_left_alone_costs_as_many_seconds(retry_after_s: float, expected_s: float) -> None:
    load = measured(0.002, now_s=0)
    load.fail(load.start(0), 0.001, now_s=0, retry_after_s=retry_after_s)
    load.release()
    assert load.cost_s(0) == expected_s


def test_a_failure_is_compared_with_the_decayed_estimate() -> None:
    load = measured(10.0, now_s=0)
    load.fail(load.start(20), 0.001, now_s=20)
    load.release()
    assert load.cost_s(20) == FAILURE_PENALTY_S


def test_a_never_measured_node_is_free_while_idle_and_dear_while_busy() -> None:
    load = PeakEwma()
    assert load.cost_s(7) == 0
    load.start(7)
    assert load.cost_s(7) == 2 * UNMEASURED_S
    load.start(7)
    assert load.cost_s(7) == 3 * UNMEASURED_S


def test_a_frozen_node_costs_the_age_of_its_oldest_unreported_attempt() -> None:
    load = measured(0.002, now_s=0)
    first = load.start(0)
    load.start(0.5)
    assert load.cost_s(1) == pytest.approx(1.0 * 3)
    load.succeed(first, 1.0, now_s=1)
    load.release()
    assert load.cost_s(1.75) == pytest.approx(1.25 * 2), "the younger attempt is the oldest now"


def test_an_attempt_reported_out_of_turn_leaves_the_oldest_in_charge() -> None:
    load = measured(0.002, now_s=0)
    load.start(0)
    second = load.start(0.5)
    load.succeed(second, 0.1, now_s=0.6)
    load.release()
    assert load.cost_s(4) == pytest.approx(4 * 2)


def test_a_body_that_is_still_streaming_counts_as_pending_but_not_as_waiting() -> None:
    load = PeakEwma()
    load.succeed(load.start(0), 0.1, now_s=0.1)
    assert load.pending == 1
    assert load.cost_s(0.1) == pytest.approx(0.2)
    load.release()
    assert load.pending == 0


def test_an_attempt_given_up_tells_that_the_node_is_at_least_that_slow() -> None:
    load = measured(0.1, now_s=0)
    load.ignore(load.start(0), 3.0, now_s=0)
    load.release()
    assert load.cost_s(0) == pytest.approx(3.0)


def test_an_attempt_given_up_early_does_not_make_a_node_look_fast() -> None:
    load = measured(0.1, now_s=0)
    load.ignore(load.start(0), 0.001, now_s=0)
    load.release()
    assert load.cost_s(0) == pytest.approx(0.1)


def test_forgetting_keeps_the_attempts_under_way() -> None:
    load = measured(4.0, now_s=0)
    attempt = load.start(0)
    load.forget()
    assert load.cost_s(0) == 2 * UNMEASURED_S
    load.succeed(attempt, 0.25, now_s=0.25)
    assert load.cost_s(0.25) == pytest.approx(0.25 * 2)


def failed(now_s: float = 0.0) -> PeakEwma:
    load = measured(0.002, now_s)
    fail(load, now_s)
    return load


def fail(load: PeakEwma, now_s: float, retry_after_s: float = 0.0) -> None:
    load.fail(load.start(now_s), 0.001, now_s, retry_after_s)
    load.release()


def succeed(load: PeakEwma, now_s: float, latency_s: float = 0.002) -> None:
    load.succeed(load.start(now_s), latency_s, now_s)
    load.release()


def rest_s(load: PeakEwma, now_s: float) -> float:
    """For how long the node costs something while it is idle, to a tenth of a second."""
    tenths = 0
    while load.cost_s(now_s + tenths / 10) > 0:
        tenths += 1
    return tenths / 10


def test_when_it_has_rested_a_failed_node_gets_one_request() -> None:
    load = failed()
    assert load.cost_s(REST_S - 0.01) > 1
    assert load.cost_s(REST_S) == 0
    trial = load.start(REST_S)
    assert load.cost_s(REST_S) == 2 * UNMEASURED_S
    load.succeed(trial, 0.003, REST_S)
    assert load.cost_s(REST_S) == pytest.approx(0.003 * 2), "what was before the failure is forgotten"


def test_the_rest_doubles_with_each_trial_that_fails_up_to_a_minute_and_a_success_resets_it() -> None:
    load, now_s, rests_s = failed(), 0.0, []
    for _ in range(6):
        rests_s.append(rest_s(load, now_s))
        now_s += rests_s[-1]
        fail(load, now_s)
    assert rests_s == [REST_S, 2 * REST_S, 4 * REST_S, MAX_REST_S, MAX_REST_S, MAX_REST_S]
    now_s += MAX_REST_S
    succeed(load, now_s)
    fail(load, now_s)
    assert rest_s(load, now_s) == REST_S


def test_failures_under_way_together_are_one() -> None:
    load = PeakEwma()
    together = [load.start(0) for _ in range(20)]
    for at_s, attempt in enumerate(together):
        load.fail(attempt, 0.001, at_s / 10)
    for _ in together:
        load.release()
    assert rest_s(load, 1.9) == REST_S, "counted from the last of them"


def test_a_node_rests_at_least_as_long_as_it_asked_to() -> None:
    load = PeakEwma()
    fail(load, 0, retry_after_s=25.0)
    assert rest_s(load, 0) == 25.0


def test_a_success_that_was_under_way_does_not_end_the_rest() -> None:
    load = measured(0.002)
    under_way = load.start(0)
    fail(load, 0)
    load.succeed(under_way, 0.1, 0.1)
    load.release()
    assert load.cost_s(0.1) > 4
    assert rest_s(load, 0) == REST_S


def test_a_trial_that_was_given_up_counts_for_its_time() -> None:
    load = failed()
    trial = load.start(REST_S)
    load.ignore(trial, 3.0, REST_S + 3)
    load.release()
    assert load.cost_s(REST_S + 3) == pytest.approx(3.0)


def test_a_forgotten_node_does_not_rest() -> None:
    load = failed()
    load.forget()
    succeed(load, 1.0, 0.2)
    assert load.cost_s(REST_S) > 0, "no rest is going to end"
