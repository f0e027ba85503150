"""The better of two: Finagle's and linkerd's default, and ours."""

from collections.abc import Sequence
from random import Random

from loadbalancer.node import Node


class P2cEwma:
    """Draw two distinct nodes at random and take the one with the lower peak-EWMA cost; a tie goes to the first.

    Two random choices come close to the best of all in constant time, and do not make every sidecar run to the same
    best node at once (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing").
    """

    def __init__(self, rng: Random) -> None:
        self._random = rng.random

    def choose(self, fit: Sequence[Node], members: Sequence[Node], now_s: float) -> Node:
        count = len(fit)
        if count == 1:
            return fit[0]
        # int(random() * n) is a quarter of randrange's cost; the second draw skips over the first.
        first = int(self._random() * count)
        second = int(self._random() * (count - 1))
        if second >= first:
            second += 1
        one, other = fit[first], fit[second]
        one_s, other_s = one.load.cost_s(now_s), other.load.cost_s(now_s)
        if now_s < one.ramp_ends_s:
            one_s *= one.handicap(now_s, self._random())
        if now_s < other.ramp_ends_s:
            other_s *= other.handicap(now_s, self._random())
        return other if other_s < one_s else one
