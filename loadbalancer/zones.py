"""Zones by how they fare, and which of them Ribbon avoids (ZoneSnapshot, ZoneAvoidanceRule, ZoneAwareLoadBalancer)."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from loadbalancer.availability import active_requests, out_of_service
from loadbalancer.balancer import Rule
from loadbalancer.node import Node

_SAME_LOAD = 1e-6  # loads nearer than this are equal, as in Ribbon


def zone_of(node: Node) -> str:
    """Zones are the same whatever their case; "" when the instance tells none."""
    return node.instance.zone.lower()


class ByZone:
    """The members by zone. The balancer hands over the same list until it changes, so that is looked at once."""

    def __init__(self) -> None:
        self._members: Sequence[Node] = ()
        self._zones: dict[str, list[Node]] = {}

    def of(self, members: Sequence[Node]) -> dict[str, list[Node]]:
        """Not to be changed."""
        if members is not self._members:
            self._members, self._zones = members, {}
            for node in members:
                self._zones.setdefault(zone_of(node), []).append(node)
        return self._zones


@dataclass(frozen=True, slots=True)
class ZoneSnapshot:
    """`tripped` are those whose circuit is open, and those ejected."""

    instances: int
    tripped: int
    load: float  # active requests for each instance that is not tripped; -1 when all are

    @property
    def available(self) -> int:
        return self.instances - self.tripped

    @property
    def blackout_ratio(self) -> float:
        return self.tripped / self.instances if self.instances else 0.0


def zone_snapshot(nodes: Sequence[Node], now_s: float) -> ZoneSnapshot:
    """How the nodes of a zone fare."""
    serving = [node for node in nodes if not out_of_service(node, now_s)]
    active = sum(active_requests(node, now_s) for node in serving)
    load = active / len(serving) if serving else -1.0 if nodes else 0.0
    return ZoneSnapshot(len(nodes), len(nodes) - len(serving), load)


@dataclass(frozen=True, slots=True)
class ZoneAvoidance:
    """When Ribbon avoids zones, and which. Its threshold of load is from another time: at 0.2 requests under way for
    each instance the busiest zone is avoided already."""

    blackout_ratio: float = 0.99999
    load: float = 0.2

    def available_zones(self, zones: Mapping[str, ZoneSnapshot], rng: Random) -> list[str]:
        """All, unless some are blacked out or loaded. Then one of the worst loaded that are left is avoided, too, which
        may leave none."""
        if len(zones) <= 1:
            return list(zones)
        left = {name: zone for name, zone in zones.items() if not self._blacked_out(zone)}
        worst_load = max((zone.load for zone in left.values()), default=0.0)
        if worst_load < self.load and len(left) == len(zones):
            return list(left)
        avoided = random_zone(zones, [name for name in left if worst_load - left[name].load < _SAME_LOAD], rng)
        return [name for name in left if name != avoided]

    def _blacked_out(self, zone: ZoneSnapshot) -> bool:
        return not zone.instances or zone.blackout_ratio >= self.blackout_ratio or zone.load < 0


def random_zone(zones: Mapping[str, ZoneSnapshot], among: Collection[str], rng: Random) -> str | None:
    """One at random, by the number of their instances; None of none."""
    names = list(among)
    return rng.choices(names, [zones[name].instances for name in names])[0] if names else None


class ZoneAwareRule:
    """What Ribbon's ZoneAwareLoadBalancer makes of a rule: while some zone is avoided, one of the others is drawn and a
    rule of its own chooses there. Otherwise, and if that finds nobody, the rule chooses among all."""

    def __init__(self, make_rule: Callable[[], Rule], avoidance: ZoneAvoidance, rng: Random) -> None:
        self._make_rule = make_rule
        self._avoidance = avoidance
        self._rng = rng
        self._rule = make_rule()
        self._by_zone = ByZone()
        self._rules: dict[str, Rule] = {}

    def choose(self, fit: Sequence[Node], members: Sequence[Node], now_s: float) -> Node | None:
        zones = self._by_zone.of(members)
        if len(zones) > 1:
            node = self._choose_in_a_zone(zones, fit, now_s)
            if node is not None:
                return node
        return self._rule.choose(fit, members, now_s)

    def _choose_in_a_zone(self, zones: Mapping[str, list[Node]], fit: Sequence[Node], now_s: float) -> Node | None:
        snapshots = {name: zone_snapshot(nodes, now_s) for name, nodes in zones.items()}
        available = self._avoidance.available_zones(snapshots, self._rng)
        zone = random_zone(snapshots, available, self._rng) if len(available) < len(snapshots) else None
        if zone is None:
            return None
        fit = [node for node in fit if zone_of(node) == zone]
        if not fit:
            return None
        if zone not in self._rules:  # and so that those of zones long gone do not add up:
            kept = {name: rule for name, rule in self._rules.items() if name in zones}
            self._rules = {**kept, zone: self._make_rule()}
        return self._rules[zone].choose(fit, zones[zone], now_s)
