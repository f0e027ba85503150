"""How one client ranks the nodes of a large service, so that it keeps connections to some of them only."""

from collections.abc import Sequence
from hashlib import blake2b

from loadbalancer.node import Node


class Ranking:
    """Rendezvous hashing: each client has an order of its own, so that together they call all nodes alike, and a node
    that joins or leaves changes nobody else's place in it.

    The first of them are a sticky subset: who leaves is replaced by the next in rank, who joins replaces one at most.
    Ribbon's ServerListSubsetFilter replaces the busiest, and more at random, with every refresh. Thaler and
    Ravishankar, "A Name-Based Mapping Scheme for Rendezvous", 1996.
    """

    def __init__(self, client: str) -> None:
        """`client` tells this client from the others."""
        self._client = client
        self._ranks: dict[Node, bytes] = {}

    def ranked(self, nodes: Sequence[Node]) -> list[Node]:
        """The nodes from first to last."""
        known = self._ranks
        self._ranks = {node: known.get(node) or self._rank(node) for node in nodes}
        return sorted(nodes, key=self._ranks.__getitem__)

    def _rank(self, node: Node) -> bytes:
        text = "\0".join([self._client, *map(str, node.key)])
        return blake2b(text.encode(), digest_size=16).digest()
