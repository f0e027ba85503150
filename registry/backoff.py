"""How long to wait after a failure."""

from random import Random


class Backoff:
    """Exponential backoff with full jitter: uniform in [0, min(cap, first * 2**failures)] seconds.

    Full jitter spreads the clients of a server that comes back better than any other kind (Marc Brooker,
    "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
    """

    def __init__(self, first_s: float, cap_s: float, rng: Random) -> None:
        self._first_s = first_s
        self._cap_s = cap_s
        self._rng = rng
        self._ceiling_s = min(first_s, cap_s)

    def next_s(self) -> float:
        pause_s = self._rng.uniform(0.0, self._ceiling_s)
        self._ceiling_s = min(self._cap_s, self._ceiling_s * 2)
        return pause_s

    def reset(self) -> None:
        """To be called after a success: the next failure starts small again."""
        self._ceiling_s = min(self._first_s, self._cap_s)
