from itertools import repeat
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadbalancer.latency import Latencies, limit_s

from .conftest import Clock


def median_of(*latencies_s: float) -> float | None:
    latencies = Latencies(10.0, Clock())
    for latency_s in latencies_s:
        assert not latencies.success(latency_s)
    return latencies.median_s(min_samples=1)


def test_there_is_no_median_of_too_few() -> None:
    latencies = Latencies(10.0, Clock())
    latencies.success(0.01)
    latencies.success(0.01)
    assert latencies.median_s(3) is None
    assert latencies.median_s(2) is not None


@given(st.lists(st.floats(0.001, 100), min_size=1, max_size=60))
def test_the_median_is_right_within_a_step(latencies_s: list[float]) -> None:
    found_s = median_of(*latencies_s)
    ordered = sorted(latencies_s)
    below, above = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    assert found_s is not None
    assert below / 1.1 <= found_s <= above * 1.1


@pytest.mark.parametrize(("latency_s", "shown_s"), [(0.0, 0.001), (1e-9, 0.001), (0.0005, 0.001), (1e6, 128.0)])
def test_what_is_faster_or_slower_than_anybody_cares_for_is_alike(latency_s: float, shown_s: float) -> None:
    assert median_of(latency_s) == pytest.approx(shown_s, rel=0.1)


def test_a_median_is_not_moved_by_a_few_long_requests() -> None:
    found_s = median_of(*repeat(0.02, 12), *repeat(30.0, 8))
    assert found_s == pytest.approx(0.02, rel=0.1)


def test_answers_leave_with_their_time_and_with_a_reset() -> None:
    clock = Clock()
    latencies = Latencies(10.0, clock)
    latencies.success(1.0)
    clock.now_s += 9
    latencies.success(0.01)
    clock.now_s += 1
    assert latencies.median_s(1) == pytest.approx(0.01, rel=0.1)
    latencies.reset()
    assert latencies.median_s(1) is None


def test_the_limit_is_so_many_robust_deviations_above_the_middle() -> None:
    """Median 3, deviations 2 1 0 1 97, their median 1."""
    assert limit_s([1.0, 2.0, 3.0, 4.0, 100.0], deviations=5.0, floor_s=0.05) == pytest.approx(3 + 5 * 1.4826)


def test_the_limit_is_never_nearer_than_the_floor_nor_than_what_can_be_measured() -> None:
    assert limit_s([0.01] * 5, deviations=5.0, floor_s=0.05) == pytest.approx(0.06)
    assert limit_s([10.0] * 5, deviations=5.0, floor_s=0.05) > 10.5


@given(
    st.lists(st.floats(0.001, 10), min_size=3, max_size=30), st.floats(1, 10), st.floats(0.001, 1), st.floats(0, 1000)
)
def test_most_nodes_are_no_outliers_and_how_far_out_one_is_changes_nothing(
    medians_s: list[float], deviations: float, floor_s: float, more_s: float
) -> None:
    limit = limit_s(medians_s, deviations, floor_s)
    assert sum(each > limit for each in medians_s) * 2 < len(medians_s)
    assert limit >= median(medians_s) + floor_s
    *others, slowest = sorted(medians_s)
    if slowest > limit and len(medians_s) % 2:  # else the slowest may be one of the two in the middle
        assert limit_s([*others, slowest + more_s], deviations, floor_s) == limit
