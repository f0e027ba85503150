"""Ribbon's ZoneAvoidanceRule, Spring Cloud's default."""

from collections.abc import Sequence
from random import Random

from loadbalancer.availability import AvailabilityPredicate, FilteredTurn
from loadbalancer.node import Node
from loadbalancer.zones import ByZone, ZoneAvoidance, zone_of, zone_snapshot


class ZoneAvoidanceRule:
    """Round robin over the available nodes of zones that are not to be avoided, else over the available ones, else over
    all. A node that tells no zone is not held against any.

    Ribbon takes the figures anew, and draws the zone to avoid anew, for every server that it looks at; ours once.
    """

    def __init__(self, available: AvailabilityPredicate, avoidance: ZoneAvoidance, rng: Random) -> None:
        self._available = available
        self._avoidance = avoidance
        self._rng = rng
        self._turn = FilteredTurn()
        self._by_zone = ByZone()

    def choose(self, fit: Sequence[Node], members: Sequence[Node], now_s: float) -> Node:
        available = [node for node in fit if self._available(node, now_s)]
        zones = self._by_zone.of(members)
        if len(zones) > 1:
            snapshots = {name: zone_snapshot(nodes, now_s) for name, nodes in zones.items()}
            good = {"", *self._avoidance.available_zones(snapshots, self._rng)}
            available = [node for node in available if zone_of(node) in good] or available
        return self._turn.take(available or fit)
