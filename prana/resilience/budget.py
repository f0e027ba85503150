"""How many further attempts a service may cost."""

from collections.abc import Callable
from typing import Final

_SAVED_S: Final = 10.0  # of the floor: what may be spent at once, as the reserve of Finagle and tower
_SAVED_AT_LEAST: Final = 10.0
_FIRST_S: Final = 1.0  # of the floor: what a new service has
_ROUNDING: Final = 1e-9


class RetryBudget:
    """A bucket of tokens. A request adds `ratio` of one, a second `floor_per_s`, a retry or hedge takes one.

    In any window, of any length, there are at most `ratio` times its requests, `floor_per_s` times its seconds, and the
    full bucket: ten seconds of the floor. The floor lets a service with little traffic retry at all. A retry adds
    nothing: otherwise retries would pay for retries, and a failing service could see much more than (1 + `ratio`) times
    its traffic.

    Finagle, tower and linkerd save the share of all requests of the last 10 s instead. At 1,000 a second that is 2,000
    retries in the first second of an outage, when the service can bear them least, and 2,000 again every 10 s of it.
    """

    __slots__ = ("_at_s", "_capacity", "_clock", "_deposits", "_floor_per_s", "_ratio", "_tokens")

    def __init__(self, clock: Callable[[], float], ratio: float = 0.2, floor_per_s: float = 10.0) -> None:
        self._clock = clock
        self._ratio = ratio
        self._floor_per_s = floor_per_s
        self._capacity = max(_SAVED_S * floor_per_s, _SAVED_AT_LEAST)
        self._tokens = _FIRST_S * floor_per_s  # at `_at_s`, when they were last counted
        self._deposits = 0  # since then
        self._at_s = clock()

    def deposit(self) -> None:
        """A request has begun; call once per request, not per attempt."""
        self._deposits += 1

    def withdraw(self) -> bool:
        """Pay for one further attempt; False when there is not enough."""
        now_s = self._clock()
        self._tokens = self._tokens_at(now_s)
        self._at_s = now_s
        self._deposits = 0
        if self._tokens < 1 - _ROUNDING:
            return False
        self._tokens -= 1
        return True

    @property
    def balance(self) -> float:
        """Further attempts that could be paid for now."""
        return self._tokens_at(self._clock())

    def _tokens_at(self, now_s: float) -> float:
        earned = self._ratio * self._deposits + self._floor_per_s * (now_s - self._at_s)
        return min(self._capacity, self._tokens + earned)
