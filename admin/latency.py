"""How long things took: percentiles of the last minute for people, fixed buckets for Prometheus."""

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import NamedTuple

from hdrh.histogram import HdrHistogram

ROTATION_S = 10.0
"""One histogram collects for this long."""

ROTATIONS = 6
"""So many closed ones are shown: Hystrix's 60 s in 6 buckets, `metrics.rollingPercentile`."""

PERCENTILES = (0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 100.0)
"""What Hystrix publishes in latencyExecute and latencyTotal."""

BUCKET_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds, inclusive. Finer than the 5 ms floor usual elsewhere: a sidecar adds less than that."""

_HIGHEST_US = 60_000_000
_SIGNIFICANT_DIGITS = 2
_COUNTER_BYTES = 4
_SUB_BUCKET_BITS = 8  # what two digits need: values that differ below their first 8 bits share a counter
_US_PER_S = 1_000_000


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """What one window of latencies came to; all zero while it is empty."""

    count: int
    mean_ms: float
    percentiles_ms: Mapping[float, float]  # by the members of PERCENTILES


NO_LATENCIES = LatencySummary(0, 0.0, MappingProxyType(dict.fromkeys(PERCENTILES, 0.0)))


class Latencies(NamedTuple):
    """A histogram in microseconds with its own sum: HdrHistogram's mean walks all counters (5 ms a call)."""

    histogram: HdrHistogram
    sum_us: int


def joined(whole: Latencies | None, part: Latencies | None) -> Latencies | None:
    """Both as one, in about 10 us; the histogram of `whole` is that of both then, None is empty."""
    if part is None:
        return whole
    histogram, sum_us = whole or Latencies(_new_histogram(), 0)
    histogram.add(part.histogram)
    return Latencies(histogram, sum_us + part.sum_us)


def summarise(latencies: Latencies | None) -> LatencySummary:
    """One pass over the counters, about 0.2 ms: for rotations, not for scrapes."""
    if latencies is None:
        return NO_LATENCIES
    count: int = latencies.histogram.get_total_count()
    values_us: dict[float, int] = latencies.histogram.get_percentile_to_value_dict(PERCENTILES)
    percentiles_ms = {percentile: value_us / 1000 for percentile, value_us in values_us.items()}
    return LatencySummary(count, latencies.sum_us / count / 1000, percentiles_ms)


class RollingLatency:
    """Latencies of the last minute, in steps of one rotation.

    Only closed histograms show, as in Hystrix: a reader sees nothing for the first ROTATION_S, and afterwards
    always the last rotation's `summary`, which costs nothing to read.
    """

    __slots__ = ("_closed", "_current", "_sum_us", "_uncounted", "summary", "window")

    def __init__(self) -> None:
        self._current = _new_histogram()
        # By the first of the microseconds that share a counter: the histogram's own record_value, one call for each
        # latency, costs five times as much. At most some 3,000 entries.
        self._uncounted: dict[int, int] = {}
        self._sum_us = 0
        self._closed: deque[Latencies | None] = deque(maxlen=ROTATIONS)
        self.window: Latencies | None = None  # the closed histograms merged; None while they are all empty
        self.summary = NO_LATENCIES

    def record(self, latency_s: float) -> None:
        """Count one latency; below 0 counts as 0 and above 60 s as 60 s, which the histogram would refuse."""
        latency_us = int(latency_s * _US_PER_S)
        if latency_us > _HIGHEST_US:
            latency_us = _HIGHEST_US
        elif latency_us < 0:
            latency_us = 0
        self._sum_us += latency_us
        shift = latency_us.bit_length() - _SUB_BUCKET_BITS
        if shift > 0:
            latency_us = latency_us >> shift << shift
        self._uncounted[latency_us] = self._uncounted.get(latency_us, 0) + 1

    def _count(self) -> None:
        for latency_us, times in self._uncounted.items():
            self._current.record_value(latency_us, times)
        self._uncounted.clear()

    def rotate(self) -> None:
        """Close the current histogram and recompute `window` and `summary`; due every ROTATION_S."""
        self._count()
        if self._current.get_total_count():
            self._closed.append(Latencies(self._current, self._sum_us))
            # A new one costs 15 us, reset() ten times that.
            self._current, self._sum_us = _new_histogram(), 0
        else:
            self._closed.append(None)
        self.window = reduce(joined, self._closed, None)
        self.summary = summarise(self.window)


class DurationBuckets:
    """A classic Prometheus histogram over BUCKET_BOUNDS_S, since start."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKET_BOUNDS_S) + 1)  # not cumulative; the last one is +Inf
        self.sum_s = 0.0

    def observe(self, duration_s: float) -> None:
        self.counts[bisect_left(BUCKET_BOUNDS_S, duration_s)] += 1
        self.sum_s += duration_s


def _new_histogram() -> HdrHistogram:
    return HdrHistogram(1, _HIGHEST_US, _SIGNIFICANT_DIGITS, word_size=_COUNTER_BYTES)
