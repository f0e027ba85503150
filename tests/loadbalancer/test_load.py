from math import exp

import pytest

from loadbalancer.load import FAILURE_PENALTY_S, UNMEASURED_S, PeakEwma


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
