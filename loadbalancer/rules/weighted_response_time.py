"""Ribbon's WeightedResponseTimeRule."""

from collections.abc import Sequence
from itertools import accumulate
from math import inf
from random import Random

from loadbalancer.node import Node
from loadbalancer.rules.round_robin import RoundRobinRule

_LEAST_TOTAL_S = 1e-6  # Ribbon's 0.001, in milliseconds


class WeightedResponseTimeRule:
    """The longer a node has taken on average, the less often it is chosen: its weight is the sum of everybody's
    averages without its own.

    Weights are taken every `interval_s` seconds, by the first choice after. Round robin until they say something, and
    after the list has changed until the next time: Ribbon, which compares lengths only, would give a new node the
    weight of the one whose place it took. Where Ribbon draws until it meets a node that is alive, and for ever if
    none is, ours draws among the fit.
    """

    def __init__(self, rng: Random, interval_s: float) -> None:
        self._random = rng.random
        self._interval_s = interval_s
        self._round_robin = RoundRobinRule()
        self._weighed: list[Node] = []
        self._weights_s: dict[Node, float] = {}
        self._next_s = -inf

    def choose(self, fit: Sequence[Node], members: Sequence[Node], now_s: float) -> Node | None:
        if now_s >= self._next_s:
            self._weigh(members)
            self._next_s = now_s + self._interval_s
        if self._weighed != members:
            return self._round_robin.choose(fit, members, now_s)
        sums_s = list(accumulate(self._weights_s.get(node, 0.0) for node in fit))
        if sums_s[-1] < _LEAST_TOTAL_S:
            return self._round_robin.choose(fit, members, now_s)
        drawn_s = self._random() * sums_s[-1]
        return next(node for node, sum_s in zip(fit, sums_s, strict=True) if sum_s >= drawn_s)

    def _weigh(self, members: Sequence[Node]) -> None:
        averages_s = [node.stats.response_time_s if node.stats is not None else 0.0 for node in members]
        total_s = sum(averages_s)
        self._weighed = list(members)
        self._weights_s = {node: total_s - average_s for node, average_s in zip(members, averages_s, strict=True)}
