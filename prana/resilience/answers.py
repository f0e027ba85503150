"""How long good answers take: in what time an attempt can still succeed, and when one is late."""

from collections import deque
from collections.abc import Callable
from math import ceil
from typing import Final

WINDOW_S: Final = 60.0
LATEST: Final = 512  # so that after a change of pace the window is soon full of what holds now
MIN_SAMPLES: Final = 20
_REVIEW_S: Final = 1.0

MEDIAN: Final = 50.0
PATIENCE: Final = 95.0
"""Who waits no longer than so many of the answers take has no reason to complain of an instance."""


class AnswerTimes:
    """The times to the response heads of the latest answers, looked through at most once a second, and only if asked.

    Failures are no samples: those that fail fast would make all others look late, and of a timeout is known only that
    it was not enough. Exact values instead of a histogram's buckets: they cost less to keep (0.1 us an answer), and so
    few of them not much to sort (30 us).
    """

    __slots__ = ("_clock", "_latest", "_reviewed_s", "_sorted_s")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._latest: deque[tuple[float, float]] = deque(maxlen=LATEST)
        self._sorted_s: list[float] = []
        self._reviewed_s = clock()

    def record(self, started_s: float, took_s: float) -> None:
        """An answer arrived `took_s` after the start of its attempt, `started_s` on the clock."""
        self._latest.append((started_s, took_s))

    def within_s(self, percent: float) -> float:
        """Seconds in which `percent` (above 0, up to 100) of the answers of the last minute came; 0 while those are
        fewer than MIN_SAMPLES, so that nothing is known."""
        now_s = self._clock()
        if now_s - self._reviewed_s >= _REVIEW_S or (not self._sorted_s and len(self._latest) >= MIN_SAMPLES):
            self._review(now_s)
        sorted_s = self._sorted_s
        if not sorted_s:
            return 0.0
        return sorted_s[ceil(len(sorted_s) * percent / 100) - 1]

    def _review(self, now_s: float) -> None:
        self._reviewed_s = now_s
        latest = self._latest
        while latest and latest[0][0] <= now_s - WINDOW_S:
            latest.popleft()
        self._sorted_s = sorted(took_s for _, took_s in latest) if len(latest) >= MIN_SAMPLES else []
