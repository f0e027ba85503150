"""What speaks against a node: one small unit for each sign, each with an eye on one node.

Fed with the outcomes of ordinary attempts, each says at each outcome whether the node should go.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from loadbalancer.outcome import Trouble
from loadbalancer.window import RollingWindow

_BUCKETS = 10
_SUCCESS, _FAILURE = 0, 1  # kinds in the window


class Detector(Protocol):
    def success(self, latency_s: float) -> bool:
        """Take in a good answer and the seconds until its headers."""
        ...

    def failure(self, trouble: Trouble) -> bool: ...

    def reset(self) -> None:
        """The node gets a clean record."""
        ...


class ConsecutiveFailures:
    """A run of failures: fast, and needs little traffic. A 429 is none, and ends a run (linkerd): the node works."""

    __slots__ = ("_limit", "_run")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._run = 0

    def success(self, latency_s: float) -> bool:
        self._run = 0
        return False

    def failure(self, trouble: Trouble) -> bool:
        self._run = 0 if trouble is Trouble.LIMITED else self._run + 1
        return self._run >= self._limit

    def reset(self) -> None:
        self._run = 0


class SuccessRatio:
    """A low share of successes in the last seconds: catches a node that fails every third request."""

    __slots__ = ("_min_ratio", "_min_requests", "_window")

    def __init__(self, min_ratio: float, min_requests: int, window_s: float, clock: Callable[[], float]) -> None:
        self._min_ratio = min_ratio
        self._min_requests = min_requests
        self._window = RollingWindow(2, window_s, _BUCKETS, clock)

    def success(self, latency_s: float) -> bool:
        counts = self._window.add(_SUCCESS)
        return counts[_FAILURE] > 0 and self._is_low(counts)

    def failure(self, trouble: Trouble) -> bool:
        return self._is_low(self._window.add(_FAILURE))

    def reset(self) -> None:
        self._window.reset()

    def _is_low(self, counts: Sequence[int]) -> bool:
        total = sum(counts)
        return total >= self._min_requests and counts[_SUCCESS] / total < self._min_ratio
