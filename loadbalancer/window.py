"""What happened in the last few seconds, in counted buckets."""

from collections.abc import Callable, Sequence


class RollingWindow:
    """Counts of several kinds of event (0 .. `kinds` - 1) over the last `window_s` seconds.

    Time is cut into buckets of `window_s / buckets`, aligned to construction. The bucket in progress
    counts, so an event is seen at once (Hystrix publishes closed buckets only and reacts up to a bucket
    late), and the span covered is between `window_s` minus one bucket and `window_s`. Counted buckets
    rather than a decaying average: linkerd gave the average up because a tight burst of failures weighed
    almost nothing in it and hid a total outage.

    Totals are kept by adding new events and taking away whole buckets as they leave, so reading one is O(1).
    """

    __slots__ = ("_bucket", "_bucket_ends_s", "_clock", "_ring", "_slot", "_start_s", "_totals", "_width_s")

    def __init__(self, kinds: int, window_s: float, buckets: int, clock: Callable[[], float]) -> None:
        if kinds < 1 or buckets < 1 or window_s <= 0:
            raise ValueError(f"a window needs kinds, buckets and seconds: got {kinds}, {buckets}, {window_s}")
        self._clock = clock
        self._width_s = window_s / buckets
        self._ring = [[0] * kinds for _ in range(buckets)]
        self._totals = [0] * kinds
        self._start_s = clock()
        self._slot = 0  # number of the bucket in progress since the start; its place in the ring is modulo
        self._bucket = self._ring[0]
        self._bucket_ends_s = self._start_s + self._width_s

    def add(self, kind: int, n: int = 1) -> Sequence[int]:
        """Gives the totals of all kinds, by kind, for a look at this moment."""
        if self._clock() >= self._bucket_ends_s:
            self._roll()
        self._bucket[kind] += n
        self._totals[kind] += n
        return self._totals

    def total(self, kind: int) -> int:
        if self._clock() >= self._bucket_ends_s:
            self._roll()
        return self._totals[kind]

    def totals(self) -> list[int]:
        """The totals of all kinds at one moment, by kind; the caller's own list."""
        if self._clock() >= self._bucket_ends_s:
            self._roll()
        return self._totals.copy()

    def reset(self) -> None:
        """Forget every event; buckets keep their boundaries."""
        for bucket in (*self._ring, self._totals):
            bucket[:] = [0] * len(bucket)

    def _roll(self) -> None:
        """Empty the buckets that have left the window and make the bucket of this moment the current one."""
        slot = int((self._clock() - self._start_s) / self._width_s)
        passed = slot - self._slot
        for step in range(1, min(passed, len(self._ring)) + 1):
            bucket = self._ring[(self._slot + step) % len(self._ring)]
            for kind, count in enumerate(bucket):
                self._totals[kind] -= count
                bucket[kind] = 0
        # Rounding may call a boundary reached that the division does not see yet: then nothing has passed.
        self._slot = max(slot, self._slot)
        self._bucket = self._ring[self._slot % len(self._ring)]
        self._bucket_ends_s = self._start_s + (self._slot + 1) * self._width_s
