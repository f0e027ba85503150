"""Ribbon's BestAvailableRule."""

from collections.abc import Sequence

from loadbalancer.availability import active_requests, circuit_tripped
from loadbalancer.node import Node
from loadbalancer.rules.round_robin import RoundRobinRule


class BestAvailableRule:
    """The node with the fewest requests under way among those whose circuit is not tripped; the first of several.
    Round robin when all are tripped."""

    def __init__(self) -> None:
        self._round_robin = RoundRobinRule()

    def choose(self, fit: Sequence[Node], members: Sequence[Node], now_s: float) -> Node | None:
        untripped = (node for node in fit if not circuit_tripped(node, now_s))
        best = min(untripped, key=lambda node: active_requests(node, now_s), default=None)
        return best or self._round_robin.choose(fit, members, now_s)
