"""Ribbon's AvailabilityFilteringRule, its default."""

from collections.abc import Sequence

from loadbalancer.availability import AvailabilityPredicate, FilteredTurn
from loadbalancer.node import Node
from loadbalancer.rules.round_robin import RoundRobinRule

_PROBES = 11


class AvailabilityFilteringRule:
    """Round robin over the available: the first one met within 11 turns, else one of those that a look at all finds,
    else anyone."""

    def __init__(self, available: AvailabilityPredicate) -> None:
        self._available = available
        self._round_robin = RoundRobinRule()
        self._turn = FilteredTurn()

    def choose(self, fit: Sequence[Node], members: Sequence[Node], now_s: float) -> Node:
        for _ in range(_PROBES):
            node = self._round_robin.choose(fit, members, now_s)
            if node is not None and self._available(node, now_s):
                return node
        return self._turn.take([node for node in fit if self._available(node, now_s)] or fit)
