from functools import reduce

import pytest

from admin.latency import BUCKET_BOUNDS_S, NO_LATENCIES, DurationBuckets, RollingLatency, joined, summarise


def test_nothing_shows_before_the_first_rotation() -> None:
    latency = RollingLatency()
    latency.record(0.1)
    assert latency.summary is NO_LATENCIES
    latency.rotate()
    assert latency.summary.count == 1


def test_percentiles_and_mean_are_milliseconds_within_one_percent() -> None:
    latency = RollingLatency()
    for milliseconds in range(1, 1001):
        latency.record(milliseconds / 1000)
    latency.rotate()
    assert latency.summary.mean_ms == pytest.approx(500.5, rel=1e-6)
    for percentile in (25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 100.0):
        assert latency.summary.percentiles_ms[percentile] == pytest.approx(percentile * 10, rel=0.01)
    assert latency.summary.percentiles_ms[0.0] == pytest.approx(1, rel=0.01)


def test_a_latency_shows_for_six_rotations() -> None:
    latency = RollingLatency()
    latency.record(0.1)
    counts = []
    for _ in range(8):
        latency.rotate()
        counts.append(latency.summary.count)
    assert counts == [1, 1, 1, 1, 1, 1, 0, 0]
    assert latency.summary is NO_LATENCIES


def test_histograms_of_the_window_add_up() -> None:
    latency = RollingLatency()
    for seconds in (0.1, 0.2, 0.3):
        latency.record(seconds)
        latency.rotate()
    assert latency.summary.count == 3
    assert latency.summary.mean_ms == pytest.approx(200)
    assert latency.summary.percentiles_ms[0.0] == pytest.approx(100, rel=0.01)
    assert latency.summary.percentiles_ms[100.0] == pytest.approx(300, rel=0.01)


@pytest.mark.parametrize(("latency_s", "shown_ms"), [(-1.0, 0.0), (0.0, 0.0), (60.0, 60_000.0), (3600.0, 60_000.0)])
def test_latencies_beyond_the_range_count_as_its_end(latency_s: float, shown_ms: float) -> None:
    latency = RollingLatency()
    latency.record(latency_s)
    latency.rotate()
    assert latency.summary.count == 1
    assert latency.summary.mean_ms == shown_ms
    assert latency.summary.percentiles_ms[50.0] == pytest.approx(shown_ms, rel=0.01)


def test_a_summary_does_not_change_after_it_was_read() -> None:
    latency = RollingLatency()
    latency.record(0.1)
    latency.rotate()
    before = latency.summary
    latency.record(5.0)
    assert latency.summary is before
    latency.rotate()
    assert before.count == 1


def test_windows_of_several_services_merge() -> None:
    windows = []
    for seconds in (0.1, 0.3):
        latency = RollingLatency()
        latency.record(seconds)
        latency.rotate()
        assert latency.window is not None
        windows.append(latency.window)
    merged = summarise(reduce(joined, windows, None))
    assert merged.count == 2
    assert merged.mean_ms == pytest.approx(200)
    assert windows[0].histogram.get_total_count() == 1  # the parts are left as they were


def test_bucket_bounds_are_inclusive_and_the_last_bucket_takes_the_rest() -> None:
    buckets = DurationBuckets()
    for seconds in (0.0, 0.0005, 0.00051, 10.0, 10.1):
        buckets.observe(seconds)
    assert buckets.counts[0] == 2
    assert buckets.counts[1] == 1
    assert buckets.counts[-2:] == [1, 1]
    assert len(buckets.counts) == len(BUCKET_BOUNDS_S) + 1
    assert buckets.sum_s == pytest.approx(20.10101)
