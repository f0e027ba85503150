"""Ribbon's RetryRule."""

from collections.abc import Sequence
from math import ceil

from loadbalancer.node import Node
from loadbalancer.rules.round_robin import TRIES, RoundRobinRule


class RetryRule:
    """Round robin, asked again while it finds nobody.

    Ribbon asks for up to 500 ms, in which a server may come back to life. Here nothing changes while a choice is made,
    which takes microseconds: once all of the list has been looked at, no time would help.
    """

    def __init__(self, retry: bool) -> None:
        """Without `retry` (Ribbon's 0 ms) it is asked once."""
        self._retry = retry
        self._round_robin = RoundRobinRule()

    def choose(self, fit: Sequence[Node], members: Sequence[Node], now_s: float) -> Node | None:
        asks = ceil(len(members) / TRIES) if self._retry else 1
        for _ in range(asks):
            node = self._round_robin.choose(fit, members, now_s)
            if node is not None:
                return node
        return None
