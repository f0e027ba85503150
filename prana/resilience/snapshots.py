"""Counts as Hystrix publishes them: of closed buckets only, anew at the end of each."""

from collections.abc import Callable, Sequence


class SnapshotWindow:
    """Hystrix's HealthCountsStream without its timer: buckets of `interval_s`, of which the last `window_s` count.

    There are `window_s / interval_s` buckets, rounded down, aligned to construction or the last reset. What is in the
    bucket in progress shows in no total.
    """

    def __init__(self, kinds: int, window_s: float, interval_s: float, clock: Callable[[], float]) -> None:
        # In whole milliseconds, as the properties are: 0.3 / 0.1 is less than 3 in floating point.
        buckets = round(window_s * 1000) // round(interval_s * 1000)
        if kinds < 1 or buckets < 1:
            raise ValueError(
                f"a window needs kinds and buckets: got {kinds}, {window_s} s in buckets of {interval_s} s"
            )
        self._clock = clock
        self._width_s = interval_s
        self._kinds = kinds
        self._closed = [[0] * kinds for _ in range(buckets)]
        self.reset()

    def reset(self) -> None:
        """Forget every event and start the first bucket now (HystrixCommandMetrics.resetStream)."""
        self._closed = [[0] * self._kinds for _ in self._closed]
        self._totals = [0] * self._kinds
        self._bucket = [0] * self._kinds
        self._start_s = self._clock()
        self._slot = 0  # number of the bucket in progress since the start
        self._ends_s = self._start_s + self._width_s

    def add(self, kind: int) -> Sequence[int]:
        """Count an event in the bucket in progress, whose time must not be over: see `close`. Gives the totals."""
        self._bucket[kind] += 1
        return self._totals

    def totals(self) -> list[int]:
        """Of the last snapshot, by kind; the caller's own list."""
        return self._totals.copy()

    def close(self) -> float | None:
        """Close the bucket in progress if its time is over, and give the moment of that snapshot; None else.

        One at a time, so that each snapshot can be judged: as successes leave the window the rest may get worse.
        """
        if self._clock() < self._ends_s:
            return None
        if not any(self._totals) and not any(self._bucket):
            self._skip()
            return None
        ended_s = self._ends_s
        place = self._slot % len(self._closed)
        leaving, self._closed[place] = self._closed[place], self._bucket
        for kind, count in enumerate(self._bucket):
            self._totals[kind] += count - leaving[kind]
        self._bucket = [0] * self._kinds
        self._go_to(self._slot + 1)
        return ended_s

    def _skip(self) -> None:
        """Nothing counts, so the snapshots since are all empty: go on with the bucket of this moment."""
        self._go_to(max(self._slot + 1, int((self._clock() - self._start_s) / self._width_s)))

    def _go_to(self, slot: int) -> None:
        self._slot = slot
        self._ends_s = self._start_s + (slot + 1) * self._width_s
