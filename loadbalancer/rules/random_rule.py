"""Ribbon's RandomRule."""

from collections.abc import Sequence
from random import Random

from loadbalancer.node import Node


class RandomRule:
    """Any fit node, each as likely. Ribbon draws an index below the number of all and uses it on the list of those up,
    which ends beyond that list while any is down (its issues 233 and 453)."""

    def __init__(self, rng: Random) -> None:
        self._random = rng.random

    def choose(self, fit: Sequence[Node], members: Sequence[Node], now_s: float) -> Node:
        return fit[int(self._random() * len(fit))]
