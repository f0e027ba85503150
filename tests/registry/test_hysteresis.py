from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.hysteresis import FlapDamping, RiseFall


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("rise", "fall", "results", "ups"),
    [
        (1, 3, "+", "U"),
        (1, 3, "----+", "????U"),
        (2, 3, "+-++", "???U"),
        (1, 3, "+--+--+", "UUUUUUU"),
        (1, 3, "+---", "UUUD"),
        (1, 1, "+-+-", "UDUD"),
        (2, 2, "++--+-++", "?UUDDDDU"),
    ],
)
def test_rise_successes_bring_it_up_and_fall_failures_down(rise: int, fall: int, results: str, ups: str) -> None:
    state = RiseFall(rise, fall)
    before = "?"
    for result, expected in zip(results, ups, strict=True):
        changed = state.observe(result == "+")
        assert {None: "?", True: "U", False: "D"}[state.up] == expected
        assert changed is (before != expected)
        before = expected


def damping_after(
    changes_s: Sequence[float], max_changes: int = 3, window_s: float = 60.0
) -> tuple[FlapDamping, Clock]:
    clock = Clock()
    damping = FlapDamping(max_changes, window_s, clock)
    for change_s in changes_s:
        clock.now_s = change_s
        damping.changed()
    return damping, clock


@pytest.mark.parametrize(
    ("changes_s", "now_s", "calm_in_s"),
    [
        ([], 0, 0),
        ([0, 1, 2], 2, 0),
        ([0, 1, 2, 3], 3, 57),
        ([0, 1, 2, 3], 59, 1),
        ([0, 1, 2, 3], 60, 0),
        ([0, 20, 40, 60], 60, 0),
        ([0, 20, 40, 59], 59, 1),
        ([0, 1, 2, 3, 4, 5], 10, 52),
        ([0, 1, 2, 3, 4, 5], 62, 0),
    ],
)
def test_it_is_calm_when_there_were_no_more_than_allowed_within_the_window(
    changes_s: list[float], now_s: float, calm_in_s: float
) -> None:
    damping, clock = damping_after(changes_s)
    clock.now_s = now_s
    assert damping.calm_in_s == calm_in_s


def test_zero_allowed_changes_mean_that_any_number_is() -> None:
    damping, _ = damping_after([1.0] * 100, max_changes=0)
    assert damping.calm_in_s == 0


@given(
    st.lists(st.integers(0, 200), max_size=40).map(sorted), st.integers(1, 6), st.integers(1, 90), st.integers(0, 100)
)
def test_it_is_calm_exactly_while_the_window_holds_no_more_than_allowed(
    changes_s: list[float], max_changes: int, window_s: int, later_s: int
) -> None:
    damping, clock = damping_after(changes_s, max_changes, window_s)
    clock.now_s += later_s
    within = sum(clock.now_s - window_s < change_s for change_s in changes_s)
    assert (damping.calm_in_s == 0) is (within <= max_changes)
    clock.now_s += damping.calm_in_s
    assert damping.calm_in_s == 0
