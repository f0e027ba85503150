import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadbalancer.window import RollingWindow


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_an_event_counts_at_once_and_only_for_its_kind(clock: Clock) -> None:
    window = RollingWindow(kinds=3, window_s=10, buckets=10, clock=clock)
    window.add(1)
    window.add(2, n=5)
    assert window.totals() == [0, 1, 5]
    assert window.total(1) == 1


def test_an_event_leaves_with_its_bucket(clock: Clock) -> None:
    window = RollingWindow(kinds=1, window_s=10, buckets=10, clock=clock)
    clock.now_s += 0.5
    window.add(0)
    clock.now_s = 100 + 9.999
    assert window.total(0) == 1
    clock.now_s = 100 + 10
    assert window.total(0) == 0


def test_a_long_silence_empties_every_bucket(clock: Clock) -> None:
    window = RollingWindow(kinds=1, window_s=10, buckets=10, clock=clock)
    for _ in range(10):
        window.add(0)
        clock.now_s += 1
    clock.now_s += 1_000_003
    assert window.totals() == [0]
    window.add(0)
    assert window.totals() == [1]


def test_reset_forgets_everything_at_once(clock: Clock) -> None:
    window = RollingWindow(kinds=2, window_s=10, buckets=10, clock=clock)
    window.add(0)
    clock.now_s += 3
    window.add(1)
    window.reset()
    assert window.totals() == [0, 0]
    clock.now_s += 60
    assert window.totals() == [0, 0]


def test_the_returned_totals_belong_to_the_caller(clock: Clock) -> None:
    window = RollingWindow(kinds=1, window_s=10, buckets=10, clock=clock)
    window.totals()[0] = 99
    assert window.total(0) == 0


@pytest.mark.parametrize(("kinds", "window_s", "buckets"), [(0, 10, 10), (1, 0, 10), (1, 10, 0)])
def test_an_empty_window_is_refused(clock: Clock, kinds: int, window_s: float, buckets: int) -> None:
    with pytest.raises(ValueError, match="needs kinds, buckets and seconds"):
        RollingWindow(kinds, window_s, buckets, clock)


steps = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 1), st.integers(1, 3)), max_size=60)


@given(steps=steps, buckets=st.integers(1, 8))
def test_totals_are_those_of_a_list_of_timestamps(steps: list[tuple[int, int, int]], buckets: int) -> None:
    """Against the naive model; times are quarters of a second, so that boundaries are exact."""
    clock = Clock()
    window = RollingWindow(kinds=2, window_s=buckets, buckets=buckets, clock=clock)
    seen: list[tuple[int, int, int]] = []
    for quarters, kind, n in steps:
        clock.now_s += quarters / 4
        window.add(kind, n)
        seen.append((int(clock.now_s), kind, n))
        oldest = int(clock.now_s) - buckets + 1
        expected = [sum(n for at, k, n in seen if k == kind and at >= oldest) for kind in (0, 1)]
        assert window.totals() == expected


@given(
    gaps_s=st.lists(st.floats(0, 5), max_size=50),
    window_s=st.floats(0.1, 20),
    buckets=st.integers(1, 12),
    start_s=st.floats(0, 1e6),
)
def test_nothing_recent_is_missing_and_nothing_old_is_counted(
    gaps_s: list[float], window_s: float, buckets: int, start_s: float
) -> None:
    """At any times, also where rounding bites: the span covered is `window_s`, or up to one bucket less."""
    clock = Clock()
    clock.now_s = start_s
    window = RollingWindow(kinds=1, window_s=window_s, buckets=buckets, clock=clock)
    at_s: list[float] = []
    slack_s = 1e-6
    for gap_s in gaps_s:
        clock.now_s += gap_s
        window.add(0)
        at_s.append(clock.now_s)
        ages_s = [clock.now_s - at for at in at_s]
        surely = sum(age <= window_s - window_s / buckets - slack_s for age in ages_s)
        at_most = sum(age <= window_s + slack_s for age in ages_s)
        assert surely <= window.total(0) <= at_most
