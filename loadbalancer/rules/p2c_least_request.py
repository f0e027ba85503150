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
        one_load: float = one.load.pending + 1
        other_load: float = other.load.pending + 1
        if now_s < one.ramp_ends_s:
            one_load *= one.handicap(now_s, self._random())
        if now_s < other.ramp_ends_s:
            other_load *= other.handicap(now_s, self._random())
        return other if other_load < one_load else one
