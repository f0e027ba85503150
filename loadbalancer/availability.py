"""Whether a node is to be left alone, in Ribbon's words: what its rules and filters read off it."""

from collections.abc import Sequence

from loadbalancer.node import Node


def circuit_tripped(node: Node, now_s: float) -> bool:
    """Whether the circuit of its ServerStats is open."""
    return node.stats is not None and node.stats.tripped(now_s)


def out_of_service(node: Node, now_s: float) -> bool:
    """Whether the circuit is open or the node is ejected: what Ribbon's zone figures call tripped."""
    return node.ejected or circuit_tripped(node, now_s)


def active_requests(node: Node, now_s: float) -> int:
    return node.stats.active(now_s) if node.stats is not None else node.pending


class AvailabilityPredicate:
    """Ribbon's: the circuit is closed, and fewer than `active_limit` requests are under way (0: however many)."""

    def __init__(self, filter_circuit_tripped: bool, active_limit: int) -> None:
        self._filter_circuit_tripped = filter_circuit_tripped
        self._active_limit = active_limit

    def __call__(self, node: Node, now_s: float) -> bool:
        if self._filter_circuit_tripped and circuit_tripped(node, now_s):
            return False
        return not self._active_limit or active_requests(node, now_s) < self._active_limit


class FilteredTurn:
    """Ribbon's chooseRoundRobinAfterFiltering: each in turn of lists that may differ from one time to the next."""

    def __init__(self) -> None:
        self._turn = 0

    def take(self, eligible: Sequence[Node]) -> Node:
        count = len(eligible)
        turn = self._turn if self._turn < count else (self._turn + 1) % count
        self._turn = (turn + 1) % count
        return eligible[turn]
