"""What the recent requests of a service tell, and when that is bad enough to open its circuit."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Literal

from loadbalancer.window import RollingWindow
from prana.resilience.snapshots import SnapshotWindow
from prana.resilience.verdict import Verdict

Mode = Literal["eager", "hystrix"]

_WORKS, _FAILS = Verdict.SUCCESS, Verdict.FAILURE  # named as in prana.resilience.classify, for speed
_BUCKETS = 10  # metrics.rollingStats.numBuckets
_KINDS = 3
_SUCCESS, _FAILURE, _SLOW = range(_KINDS)  # in the window; a slow call is also one of the others


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Which shares of failures and of slow calls a service may not reach, in whole percent, rounded down."""

    mode: Mode = "eager"
    error_percentage: int = 50
    slow_call_percentage: int = 0  # 0: off
    slow_call_s: float = 1.0  # calls that take longer are slow, whatever comes of them

    def reached(self, total: int, failures: int, slow: int) -> bool:
        """`total` is above 0."""
        return self.percentage(failures, total) >= self.error_percentage or (
            0 < self.slow_call_percentage <= self.percentage(slow, total)
        )

    def percentage(self, part: int, whole: int) -> int:
        """HealthCounts computes `(int) ((double) errorCount / totalCount * 100)`, which for 29 of 100 is 28."""
        if not part:
            return 0
        return part * 100 // whole if self.mode == "eager" else int(part / whole * 100)

    def is_slow(self, duration_s: float) -> bool:
        return self.slow_call_percentage > 0 and duration_s > self.slow_call_s


class Health:
    """Successes, failures and slow calls of the last `window_s`, held against the thresholds from `volume` requests on.

    In mode "eager" every outcome counts and is judged at once. In mode "hystrix" only snapshots are, and nothing runs
    on a timer for that: `next_alarm` makes up for those that were due since the last look, before anything else. The
    window moves by `interval_s`.
    """

    def __init__(
        self,
        thresholds: Thresholds,
        volume: int | None,
        window_s: float,
        interval_s: float,
        clock: Callable[[], float],
    ) -> None:
        """`interval_s` is between snapshots. Without a `volume` there is no alarm."""
        self._thresholds = thresholds
        self._volume = sys.maxsize if volume is None else volume
        self._slow_s = thresholds.slow_call_s if thresholds.slow_call_percentage else inf
        self.eager = thresholds.mode == "eager"
        self._window: RollingWindow | SnapshotWindow
        if self.eager:
            self.interval_s = window_s / _BUCKETS
            self._window = RollingWindow(_KINDS, window_s, _BUCKETS, clock)
        else:
            self.interval_s = interval_s
            self._window = SnapshotWindow(_KINDS, window_s, interval_s, clock)

    def count(self, verdict: Verdict, duration_s: float) -> bool:
        """Whether it is time to open the circuit, which in mode "hystrix" is for snapshots to tell."""
        if verdict is _WORKS:
            kind = _SUCCESS
        elif verdict is _FAILS:
            kind = _FAILURE
        else:
            return False
        if duration_s > self._slow_s:
            self._window.add(_SLOW)
        totals = self._window.add(kind)
        return self.eager and (totals[_FAILURE] > 0 or totals[_SLOW] > 0) and self._alarming(*totals)

    def next_alarm(self) -> float | None:
        """The moment of the next snapshot, of those due since the last look, that should have opened the circuit."""
        window = self._window
        while isinstance(window, SnapshotWindow) and (at_s := window.close()) is not None:
            if self._alarming(*window.totals()):
                return at_s
        return None

    def reset(self) -> None:
        """Forget all requests."""
        self._window.reset()

    @property
    def complaint(self) -> str:
        """What is the matter at the moment of an alarm."""
        successes, failures, slow = self._window.totals()
        total = successes + failures
        percentage = self._thresholds.percentage
        if percentage(failures, total) >= self._thresholds.error_percentage:
            return f"{percentage(failures, total)} % of {total} recent requests to this service failed"
        return f"{percentage(slow, total)} % of {total} recent requests to this service took over {self._slow_s:g} s"

    @property
    def request_count(self) -> int:
        """Successes and failures."""
        successes, failures, _ = self._window.totals()
        return successes + failures

    @property
    def error_count(self) -> int:
        return self._window.totals()[_FAILURE]

    @property
    def error_percentage(self) -> int:
        """0-100, rounded down; 0 without requests."""
        return self._thresholds.percentage(self.error_count, self.request_count)

    @property
    def slow_call_percentage(self) -> int:
        """0-100, rounded down; 0 while it is off."""
        return self._thresholds.percentage(self._window.totals()[_SLOW], self.request_count)

    def _alarming(self, successes: int, failures: int, slow: int) -> bool:
        total = successes + failures
        return total >= self._volume and self._thresholds.reached(total, failures, slow)
