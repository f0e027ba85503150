import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana.resilience.snapshots import SnapshotWindow

from .conftest import Clock


def catch_up(window: SnapshotWindow) -> list[float]:
    """The moments of the snapshots since the last time."""
    moments: list[float] = []
    while (at_s := window.close()) is not None:
        moments.append(at_s)
    return moments


def test_each_snapshot_shows_at_its_own_moment(clock: Clock) -> None:
    window = SnapshotWindow(2, 1.0, 0.25, clock)
    window.add(0)
    clock.now_s += 0.6
    assert catch_up(window) == [1000.25, 1000.5]
    window.add(1)
    assert window.totals() == [1, 0]
    clock.now_s += 0.15
    assert (catch_up(window), window.totals()) == ([1000.75], [1, 1])


def test_silence_is_passed_over(clock: Clock) -> None:
    window = SnapshotWindow(1, 1.0, 0.25, clock)
    window.add(0)
    clock.now_s += 1_000_000.1
    assert catch_up(window) == [1000.25, 1000.5, 1000.75, 1001.0, 1001.25], "until the event has left"
    window.add(0)
    clock.now_s += 0.25
    assert (catch_up(window), window.totals()) == ([1_001_000.25], [1])


def test_a_reset_starts_anew_at_its_moment(clock: Clock) -> None:
    window = SnapshotWindow(1, 1.0, 0.25, clock)
    window.add(0)
    clock.now_s += 0.3
    catch_up(window)
    window.add(0)
    window.reset()
    assert window.totals() == [0]
    window.add(0)
    clock.now_s += 0.25
    assert (catch_up(window), window.totals()) == ([1000.55], [1])


@pytest.mark.parametrize(("kinds", "window_s", "interval_s"), [(0, 10, 0.5), (1, 0.4, 0.5)])
def test_an_empty_window_is_refused(clock: Clock, kinds: int, window_s: float, interval_s: float) -> None:
    with pytest.raises(ValueError, match="needs kinds and buckets"):
        SnapshotWindow(kinds, window_s, interval_s, clock)


def test_buckets_are_counted_in_whole_milliseconds(clock: Clock) -> None:
    """0.3 // 0.1 is 2 in floating point."""
    window = SnapshotWindow(1, 0.3, 0.1, clock)
    window.add(0)
    clock.now_s += 0.35
    catch_up(window)
    assert window.totals() == [1]


@given(steps=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 1)), max_size=60), buckets=st.integers(1, 8))
def test_totals_are_those_of_a_list_of_timestamps(steps: list[tuple[int, int]], buckets: int) -> None:
    """Against the naive model; times are quarters of a second, and so are half the buckets."""
    clock = Clock()
    window = SnapshotWindow(2, buckets / 2, 0.5, clock)
    seen: list[tuple[int, int]] = []
    for quarters, kind in steps:
        clock.now_s += quarters / 4
        catch_up(window)
        window.add(kind)
        now = int((clock.now_s - 1000) * 2)
        expected = [sum(k == kind and now - buckets <= at < now for at, k in seen) for kind in (0, 1)]
        assert window.totals() == expected
        seen.append((now, kind))
