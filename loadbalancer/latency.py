"""Whether a node is slow beside its peers: the median of its latencies against theirs, by median absolute deviation.

Medians, because one long request or one outlier among the nodes must not move what is normal.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from math import log2
from statistics import median

from loadbalancer.outcome import Trouble
from loadbalancer.window import RollingWindow

_BUCKETS = 10
_STEPS = 8  # kinds in the window for each doubling of the latency
_STEP_RATIO = 2 ** (1 / _STEPS) - 1  # 9 %: what falls into one kind, and cannot be told apart
_FASTEST = -10  # powers of two, in seconds: anything below 1 ms is alike here, and above two minutes
_SLOWEST = 7
_KINDS = (_SLOWEST - _FASTEST) * _STEPS
_NORMAL = 1.4826  # makes the median absolute deviation of a normal distribution its standard deviation


class Latencies:
    """How long good answers of one node took in the last seconds, counted in steps of 9 %.

    A detector that never complains on its own: it takes peers to be slow.
    """

    __slots__ = ("_window",)

    def __init__(self, window_s: float, clock: Callable[[], float]) -> None:
        self._window = RollingWindow(_KINDS, window_s, _BUCKETS, clock)

    def success(self, latency_s: float) -> bool:
        step = int((log2(latency_s) - _FASTEST) * _STEPS) if latency_s > 0 else 0
        self._window.add(min(max(step, 0), _KINDS - 1))
        return False

    def failure(self, trouble: Trouble) -> bool:
        return False

    def reset(self) -> None:
        self._window.reset()

    def median_s(self, min_samples: int) -> float | None:
        """None with fewer samples than that."""
        counts = self._window.totals()
        middle = sum(counts) / 2
        if middle * 2 < min_samples:
            return None
        up_to = list(accumulate(counts))
        step = bisect_left(up_to, middle)
        within = (middle - up_to[step] + counts[step]) / counts[step]
        return float(2 ** ((step + within) / _STEPS + _FASTEST))


def limit_s(medians_s: Sequence[float], deviations: float, floor_s: float) -> float:
    """The latency beyond which one of these nodes is an outlier: so many deviations above the middle one, but always
    `floor_s` above it, and more than what the measurement cannot tell apart."""
    middle_s = median(medians_s)
    deviation_s = _NORMAL * median(abs(each_s - middle_s) for each_s in medians_s)
    return middle_s + max(deviations * deviation_s, floor_s, _STEP_RATIO * middle_s)
