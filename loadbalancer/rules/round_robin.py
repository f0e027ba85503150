"""Ribbon's RoundRobinRule."""

from collections.abc import Sequence

from loadbalancer.node import Node


class RoundRobinRule:
    """Each node in turn. Unlike Ribbon's, it only sees nodes in rotation: no neighbour inherits a dead node's share."""

    def __init__(self) -> None:
        self._turn = -1

    def choose(self, fit: Sequence[Node], members: Sequence[Node], now_s: float) -> Node:
        self._turn = (self._turn + 1) % len(fit)
        return fit[self._turn]
