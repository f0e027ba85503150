"""Whom a service calls at all: Ribbon's list filters by zone, and a sticky subset of a large service."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from loadbalancer.node import Node
from loadbalancer.subset import Ranking
from loadbalancer.zones import zone_of, zone_snapshot

_REVIEW_S = 30.0  # Ribbon filters whenever it polls the server list: ServerListRefreshInterval


class ZoneFilter(StrEnum):
    NONE = "none"
    AFFINITY = "affinity"  # Ribbon's ZoneAffinityServerListFilter with EnableZoneAffinity
    EXCLUSIVITY = "exclusivity"  # the same with EnableZoneExclusivity
    PREFERENCE = "preference"  # Spring Cloud's ZonePreferenceServerListFilter


@dataclass(frozen=True, slots=True)
class AffinityLimits:
    """What the own zone must be fit for, or affinity is given up for all zones. Defaults are Ribbon's."""

    max_blackout_ratio: float = 0.8
    max_load: float = 0.6  # active requests for each instance that is not tripped
    min_available: int = 2

    def allow(self, own: Sequence[Node], now_s: float) -> bool:
        zone = zone_snapshot(own, now_s)
        return (
            zone.blackout_ratio < self.max_blackout_ratio
            and zone.load < self.max_load
            and zone.available >= self.min_available
        )


class Scope:
    """The filters of one service, as the balancer's Scope.

    A node that is in another zone keeps its place in reach, and so its connections and record, as long as only its
    zone speaks against it: the own one may fail. Exclusivity and the subset put nodes out of reach for good.
    """

    def __init__(
        self, zone_filter: ZoneFilter, own_zone: str, limits: AffinityLimits, ranking: Ranking, subset: int = 0
    ) -> None:
        """Without an `own_zone` there is nothing to prefer, and the filter lets everyone pass, as Ribbon's do. A
        `subset` of 0 are all nodes."""
        self._filter = zone_filter if own_zone else ZoneFilter.NONE
        self._own_zone = own_zone.lower()
        self._limits = limits
        self._ranking = ranking
        self._subset = subset
        self._may_leave_zone = self._filter in (ZoneFilter.AFFINITY, ZoneFilter.PREFERENCE)
        self.review_s = _REVIEW_S if self._may_leave_zone else inf

    def reach(self, members: list[Node]) -> list[Node]:
        """With affinity or preference a subset of the own zone, and another of the other zones, to turn to."""
        if self._filter is ZoneFilter.EXCLUSIVITY:
            members = self._own(members)
        if not self._subset:
            return members
        ranked = self._ranking.ranked(members)
        own = set(self._own(ranked)) if self._may_leave_zone else set()
        chosen = {
            *[node for node in ranked if node in own][: self._subset],
            *[node for node in ranked if node not in own][: self._subset],
        }
        return [node for node in members if node in chosen]

    def near(self, reach: list[Node], now_s: float) -> list[Node]:
        own = self._own(reach)
        if self._filter is ZoneFilter.AFFINITY:
            return own if self._limits.allow(own, now_s) else reach
        if self._filter is ZoneFilter.PREFERENCE:
            # Spring asks only whether there are any; but those that are all out of service are as good as none.
            return own if zone_snapshot(own, now_s).available else reach
        return reach

    def _own(self, nodes: list[Node]) -> list[Node]:
        return [node for node in nodes if zone_of(node) == self._own_zone]
