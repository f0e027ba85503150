"""How many retries a service may cost: the token budget of Finagle, tower and linkerd."""

from collections.abc import Callable

from loadbalancer.window import RollingWindow

_BUCKETS = 10
_DEPOSIT, _WITHDRAWAL = 0, 1  # kinds in the window


class RetryBudget:
    """Retries of the last `ttl_s` seconds stay within `ratio` of its requests plus `floor_per_s` a second.

    The floor lets a service with little traffic retry at all. Both deposits and withdrawals expire after `ttl_s` (as in
    tower's TpsBudget), so neither a quiet nor a bad time is remembered for longer. A retry deposits nothing: otherwise
    retries would pay for retries, and a failing service could see much more than (1 + `ratio`) times its traffic.
    """

    def __init__(
        self, clock: Callable[[], float], ratio: float = 0.2, floor_per_s: float = 10.0, ttl_s: float = 10.0
    ) -> None:
        self._ratio = ratio
        self._reserve = floor_per_s * ttl_s
        self._window = RollingWindow(2, ttl_s, _BUCKETS, clock)

    def deposit(self) -> None:
        """A request has begun; call once per request, not per attempt."""
        self._window.add(_DEPOSIT)

    def withdraw(self) -> bool:
        """Pay for one retry; False when there is not enough."""
        if self.balance < 1:
            return False
        self._window.add(_WITHDRAWAL)
        return True

    @property
    def balance(self) -> float:
        """Retries that could be paid for now; may be negative while requests that earned past ones have expired."""
        deposits, withdrawals = self._window.totals()
        return self._reserve + self._ratio * deposits - withdrawals
