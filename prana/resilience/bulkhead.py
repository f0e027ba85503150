"""A limit on the concurrent requests of one service: Hystrix's execution semaphore."""

from collections.abc import Callable

_BUCKETS = 10
_BUCKET_S = 1.0


class Bulkhead:
    """At most `limit` holders at once; nobody waits. Keeps the highest concurrency of the last 10 s."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self.limit = limit
        self.in_use = 0
        self._clock = clock
        self._start_s = clock()
        self._second = 0  # number of the bucket in progress
        self._bucket_ends_s = self._start_s + _BUCKET_S
        self._highest = [0] * _BUCKETS  # per bucket; the bucket's place is its number modulo

    def try_acquire(self) -> bool:
        """Take a place, to be given back by `release`; False when all are taken."""
        if self.in_use >= self.limit:
            return False
        if self._clock() >= self._bucket_ends_s:
            self._roll()
        self.in_use += 1
        bucket = self._second % _BUCKETS
        if self.in_use > self._highest[bucket]:
            self._highest[bucket] = self.in_use
        return True

    def release(self) -> None:
        """RuntimeError when nothing is held: the accounting of the caller is broken."""
        if self.in_use == 0:
            raise RuntimeError("a bulkhead place was released that nobody held")
        if self._clock() >= self._bucket_ends_s:
            self._roll()
        self.in_use -= 1

    @property
    def max_in_use(self) -> int:
        """The highest concurrency of the last 10 s (Hystrix's rollingMaxConcurrentExecutionCount)."""
        if self._clock() >= self._bucket_ends_s:
            self._roll()
        return max(self._highest)

    def _roll(self) -> None:
        """Start the buckets that began since the last call; all that time `in_use` did not change."""
        second = int((self._clock() - self._start_s) / _BUCKET_S)
        for passed in range(max(self._second + 1, second - _BUCKETS + 1), second + 1):
            self._highest[passed % _BUCKETS] = self.in_use
        self._second = max(second, self._second)
        self._bucket_ends_s = self._start_s + (self._second + 1) * _BUCKET_S
