"""Ribbon's RoundRobinRule."""

from collections.abc import Sequence

from loadbalancer.node import Node

TRIES = 10


class RoundRobinRule:
    """Each place of the list in turn, beginning with the second; those of nodes that are not fit are passed over, but
    no more than 10 in one choice, which then finds nobody."""

    def __init__(self) -> None:
        self._turn = 0

    def choose(self, fit: Sequence[Node], members: Sequence[Node], now_s: float) -> Node | None:
        count = len(members)
        for _ in range(TRIES if count else 0):
            self._turn = (self._turn + 1) % count
            node = members[self._turn]
            # When all are fit, a node stands at the same place in both.
            if (self._turn < len(fit) and fit[self._turn] is node) or node in fit:
                return node
        return None
