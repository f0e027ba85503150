"""A growing share of requests after a circuit has closed."""

from collections.abc import Callable

_LOWEST_SHARE = 0.1  # Envoy's slow_start_config.min_weight_percent


class Ramp:
    """Envoy's slow start with aggression 1: max(10 %, age / `duration_s`), from construction on.

    Not by chance: of any n requests at a share s, n * s are admitted, give or take one.
    """

    def __init__(self, duration_s: float, clock: Callable[[], float]) -> None:
        self._duration_s = duration_s
        self._clock = clock
        self._start_s = clock()
        self._credit = 1.0  # the first is admitted

    @property
    def share(self) -> float:
        """Of the requests that are admitted now; 1 when it is over."""
        age_s = self._clock() - self._start_s
        return 1.0 if age_s >= self._duration_s else max(_LOWEST_SHARE, age_s / self._duration_s)

    def admits(self) -> bool:
        """Whether `admit` would let the next request in."""
        return self._credit + self.share >= 1.0

    def admit(self) -> bool:
        """Whether this request is among those admitted."""
        self._credit += self.share
        if self._credit < 1.0:
            return False
        self._credit -= 1.0
        return True
