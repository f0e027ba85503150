"""The better of two by requests under way: Envoy's least request."""

from collections.abc import Sequence
from random import Random

from loadbalancer.node import Node


class P2cLeastRequest:
    """Draw two distinct nodes at random and take the one with fewer requests pending; a tie goes to the first.

    It needs no measurement and sees slowness only by what it keeps waiting: a node that fails at once looks idle.
    """

    def __init__(self, rng: Random) -> None:
        self._random = rng.random

    def choose(self, fit: Sequence[Node], members: Sequence[Node], now_s: float) -> Node:
        count = len(fit)
        if count == 1:
            return fit[0]
        first = int(self._random() * count)
        second = int(self._random() * (count - 1))
        if second >= first:
            second += 1
        one, other = fit[first], fit[second]
        return other if other.load.pending < one.load.pending else one
