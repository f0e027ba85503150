"""List filters: Ribbon's DefaultNIWSServerListFilterTest, Spring's ZonePreferenceServerListFilter, a sticky subset."""

from collections import Counter
from dataclasses import replace
from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadbalancer.balancer import Balancer
from loadbalancer.ejection import EjectionSettings, Reason
from loadbalancer.node import Node
from loadbalancer.outcome import Outcome
from loadbalancer.rules.p2c_ewma import P2cEwma
from loadbalancer.rules.round_robin import RoundRobinRule
from loadbalancer.scope import AffinityLimits, Scope, ZoneFilter
from loadbalancer.subset import Ranking
from registry.instance import Instance
from tests.loadbalancer.nodes import Clock, busy, make_node, make_nodes, names, trip


def scope(
    zone_filter: ZoneFilter, own_zone: str = "us-eAst-1C", *, subset: int = 0, limits: AffinityLimits | None = None
) -> Scope:
    return Scope(zone_filter, own_zone, limits or AffinityLimits(), Ranking("me"), subset)


def in_zones(a: int = 0, b: int = 0, c: int = 0) -> list[Node]:
    counts = {"a": a, "b": b, "c": c}
    return [make_node(f"{zone}{n}", f"Us-east-1{zone}") for zone, count in counts.items() for n in range(1, count + 1)]


def filtered(scope: Scope, nodes: list[Node], now_s: float = 0.0) -> list[Node]:
    return scope.near(scope.reach(nodes), now_s)


# Affinity


def test_zone_affinity_enabled() -> None:
    affinity, nodes = scope(ZoneFilter.AFFINITY), in_zones(4, 3, 5)
    assert filtered(affinity, nodes) == nodes[7:]
    for node in nodes[7:11]:  # 0.8 requests for each
        busy(node)
    assert filtered(affinity, nodes) == nodes


def test_zone_affinity_override() -> None:
    affinity, nodes = scope(ZoneFilter.AFFINITY, limits=AffinityLimits(min_available=3)), in_zones(4, 3, 2)
    assert filtered(affinity, nodes) == nodes  # less than three in the own zone
    nodes.append(make_node("c3", "us-east-1c"))
    assert filtered(affinity, nodes) == nodes[7:]
    trip(nodes[7])
    assert filtered(affinity, nodes) == nodes
    nodes.append(make_node("c4", "us-east-1c"))
    assert filtered(affinity, nodes) == nodes[7:]


def test_affinity_ends_at_a_load_of_three_fifths() -> None:
    affinity, nodes = scope(ZoneFilter.AFFINITY), in_zones(1, 0, 10)
    busy(nodes[1], 5)
    assert filtered(affinity, nodes) == nodes[1:]
    busy(nodes[2])
    assert filtered(affinity, nodes) == nodes


@pytest.mark.parametrize(("tripped", "kept"), [(7, True), (8, False)])
def test_affinity_ends_at_a_blackout_of_four_fifths(tripped: int, kept: bool) -> None:
    affinity, nodes = scope(ZoneFilter.AFFINITY), in_zones(1, 0, 10)
    for node in nodes[1 : 1 + tripped]:
        trip(node)
    assert filtered(affinity, nodes) == (nodes[1:] if kept else nodes)


@pytest.mark.parametrize(("own", "kept"), [(1, False), (2, True)])
def test_affinity_needs_two_available_nodes(own: int, kept: bool) -> None:
    affinity, nodes = scope(ZoneFilter.AFFINITY), in_zones(3, 0, own)
    assert filtered(affinity, nodes) == (nodes[3:] if kept else nodes)


def test_ejected_nodes_are_as_good_as_tripped() -> None:
    affinity, nodes = scope(ZoneFilter.AFFINITY), in_zones(3, 0, 3)
    nodes[3].standing.eject(0, Reason.REFUSED)
    assert filtered(affinity, nodes) == nodes[3:]
    nodes[4].standing.eject(0, Reason.REFUSED)
    assert filtered(affinity, nodes) == nodes


def test_without_own_nodes_affinity_means_all() -> None:
    nodes = in_zones(2, 2, 0)
    assert filtered(scope(ZoneFilter.AFFINITY), nodes) == nodes


# Exclusivity


def test_zone_exclusivity() -> None:
    exclusivity, nodes = scope(ZoneFilter.EXCLUSIVITY), in_zones(4, 3, 5)
    assert filtered(exclusivity, nodes) == nodes[7:]
    for node in nodes[7:]:
        busy(node, 9)
        trip(node)
    assert filtered(exclusivity, nodes) == nodes[7:]
    assert filtered(exclusivity, nodes[:7]) == []


# Preference


def test_preference_keeps_own_nodes_when_there_are_any_whatever_their_load() -> None:
    preference, nodes = scope(ZoneFilter.PREFERENCE), in_zones(2, 2, 1)
    busy(nodes[4], 99)
    assert filtered(preference, nodes) == nodes[4:]
    assert filtered(preference, nodes[:4]) == nodes[:4]


def test_preference_turns_to_others_when_all_own_nodes_are_out_of_service() -> None:
    preference, nodes = scope(ZoneFilter.PREFERENCE), in_zones(2, 0, 2)
    trip(nodes[2])
    assert filtered(preference, nodes) == nodes[2:]
    nodes[3].standing.eject(0, Reason.REFUSED)
    assert filtered(preference, nodes) == nodes


@pytest.mark.parametrize("zone_filter", ZoneFilter)
def test_without_an_own_zone_everyone_passes(zone_filter: ZoneFilter) -> None:
    nodes = [*in_zones(2, 2, 2), make_node("nowhere")]
    assert filtered(scope(zone_filter, ""), nodes) == nodes


@pytest.mark.parametrize("zone_filter", ZoneFilter)
def test_only_what_depends_on_traffic_is_reviewed(zone_filter: ZoneFilter) -> None:
    traffic = zone_filter in (ZoneFilter.AFFINITY, ZoneFilter.PREFERENCE)
    assert scope(zone_filter).review_s == (30 if traffic else inf)


# Subset


def subset_of(client: str, size: int, nodes: list[Node]) -> list[Node]:
    return Scope(ZoneFilter.NONE, "", AffinityLimits(), Ranking(client), size).reach(nodes)


@given(size=st.integers(1, 8), present=st.lists(st.sets(st.integers(0, 19)), min_size=1), seed=st.integers(0, 5))
def test_a_subset_is_sticky(size: int, present: list[set[int]], seed: int) -> None:
    """It is as large as it can be, has the order of the list, depends on nothing but who is there, and changes by no
    more nodes than joined or left."""
    nodes, ranking = make_nodes(20), Ranking(f"client-{seed}")
    scope = Scope(ZoneFilter.NONE, "", AffinityLimits(), ranking, size)
    before: list[Node] | None = None
    listed_before: set[int] = set()
    for listed in present:
        members = [nodes[n] for n in sorted(listed)]
        subset = scope.reach(members)
        assert len(subset) == min(size, len(members))
        assert subset == [node for node in members if node in subset]
        assert subset == subset_of(f"client-{seed}", size, members)
        if before is not None:
            assert len(set(subset) - set(before)) <= len(listed ^ listed_before)
        before, listed_before = subset, listed


def test_when_a_node_leaves_only_its_place_is_refilled() -> None:
    nodes = make_nodes(100)
    before = subset_of("me", 20, nodes)
    left = [node for node in nodes if node is not before[7]]
    after = subset_of("me", 20, left)
    assert set(before) - set(after) == {before[7]}
    assert len(set(after) - set(before)) == 1
    unused = next(node for node in nodes if node not in before)
    assert subset_of("me", 20, [node for node in nodes if node is not unused]) == before


def test_clients_together_call_all_nodes_alike() -> None:
    nodes = make_nodes(50)
    calls = Counter(node for n in range(1000) for node in subset_of(f"orders-{n}:orders:5000", 10, nodes))
    assert set(calls) == set(nodes)
    assert all(140 <= count <= 260 for count in calls.values())  # 200 +- 12.6 each


def test_the_subset_of_the_own_zone_is_full_and_there_is_another_to_turn_to() -> None:
    nodes = in_zones(30, 30, 30)
    for zone_filter in (ZoneFilter.AFFINITY, ZoneFilter.PREFERENCE):
        narrow = scope(zone_filter, subset=10)
        reach = narrow.reach(nodes)
        assert Counter(node in nodes[60:] for node in reach) == {True: 10, False: 10}
        assert narrow.near(reach, 0) == [node for node in reach if node in nodes[60:]]


def test_with_exclusivity_the_subset_is_of_the_own_zone() -> None:
    nodes = in_zones(30, 30, 30)
    reach = scope(ZoneFilter.EXCLUSIVITY, subset=10).reach(nodes)
    assert len(reach) == 10
    assert set(reach) <= set(nodes[60:])


# In the balancer


def instance(name: str, zone: str) -> Instance:
    return Instance("A", name, name, name, 80, zone=zone)


class Balanced:
    def __init__(self, zone_filter: ZoneFilter, a: int, c: int, *, subset: int = 0) -> None:
        self.clock = Clock()
        scope = Scope(zone_filter, "c", AffinityLimits(), Ranking("me"), subset)
        self.balancer = Balancer(
            P2cEwma(Random(1)), EjectionSettings(), self.clock, Random(1), lambda event: None, scope
        )
        self.instances = [instance(f"a{n}", "a") for n in range(a)] + [instance(f"c{n}", "c") for n in range(c)]
        self.balancer.update(self.instances)

    def chosen(self, picks: int = 60, outcome: Outcome = Outcome.SUCCESS, only: str = "") -> set[str]:
        """Whom picks went to, one after the other; those on nodes that begin with `only` end so, others well."""
        chosen = set()
        for _ in range(picks):
            pick = self.balancer.pick()
            assert pick is not None
            name = pick.node.instance.id
            chosen.add(name)
            pick.report(outcome if name.startswith(only) else Outcome.SUCCESS, 0.01)
            pick.release()
        return chosen


def test_only_near_nodes_are_picked() -> None:
    assert Balanced(ZoneFilter.AFFINITY, 3, 2).chosen() == {"c0", "c1"}


def test_a_zone_that_fails_is_left_for_the_others_and_returned_to_when_it_works() -> None:
    f = Balanced(ZoneFilter.PREFERENCE, 3, 2)
    f.chosen(200, Outcome.FAILURE, only="c")
    assert f.chosen(30, Outcome.FAILURE, only="c") == {"a0", "a1", "a2"}
    f.clock.now_s += 100
    f.chosen(5)  # probes
    assert f.chosen() == {"c0", "c1"}


def test_nodes_beyond_the_near_ones_do_not_count_as_ejected() -> None:
    f = Balanced(ZoneFilter.PREFERENCE, 8, 2)
    f.chosen(200, Outcome.FAILURE, only="c0")
    assert f.chosen() == {"c1"}


def test_load_is_looked_at_again_every_thirty_seconds() -> None:
    f = Balanced(ZoneFilter.AFFINITY, 2, 2)
    picks = [f.balancer.pick() for _ in range(4)]
    f.clock.now_s += 29.9
    assert f.chosen(20) <= {"c0", "c1"}
    f.clock.now_s += 0.1
    f.chosen(1)
    assert f.chosen() == {"a0", "a1", "c0", "c1"}
    for pick in picks:
        assert pick is not None
        pick.report(Outcome.SUCCESS, 0.01)
        pick.release()
    f.clock.now_s += 30
    f.chosen(1)
    assert f.chosen() == {"c0", "c1"}


def test_nodes_keep_their_state_while_they_are_not_near() -> None:
    f = Balanced(ZoneFilter.AFFINITY, 2, 2)
    nodes = {node.instance.id: node for node in f.balancer.nodes}
    held = f.balancer.pick()
    assert held is not None
    f.balancer.update(f.instances[:3])  # one own node is too few: all are called
    assert f.chosen() >= {"a0", "a1"}
    f.balancer.update(f.instances)
    assert f.chosen() <= {"c0", "c1"}
    assert {node.instance.id: node for node in f.balancer.nodes if node.instance.id != "c1"} == {
        name: node for name, node in nodes.items() if name != "c1"
    }
    assert nodes["a0"].successes > 0


def test_what_is_out_of_reach_is_no_node_and_yet_a_member() -> None:
    f = Balanced(ZoneFilter.EXCLUSIVITY, 3, 2)
    assert names(list(f.balancer.nodes)) == ["c0", "c1"]
    assert f.balancer.members == 5
    assert f.balancer.update([replace(each, zone="a") for each in f.instances]) == []
    assert f.balancer.pick() is None


def test_a_retry_goes_beyond_the_near_ones_when_these_have_been_tried() -> None:
    f = Balanced(ZoneFilter.AFFINITY, 2, 2)
    near = [node for node in f.balancer.nodes if node.instance.zone == "c"]
    pick = f.balancer.pick(near)
    assert pick is not None
    assert pick.node.instance.zone == "a"


def test_ejection_counts_among_the_subset() -> None:
    f = Balanced(ZoneFilter.NONE, 100, 0, subset=4)
    assert len(f.balancer.nodes) == 4
    f.chosen(2000, Outcome.FAILURE)
    assert sum(node.ejected for node in f.balancer.nodes) == 2


def test_round_robin_among_the_near_is_fair() -> None:
    f = Balanced(ZoneFilter.AFFINITY, 30, 3)
    f.balancer = Balancer(
        RoundRobinRule(),
        EjectionSettings(),
        f.clock,
        Random(1),
        lambda event: None,
        Scope(ZoneFilter.AFFINITY, "C", AffinityLimits(), Ranking("me")),
    )
    f.balancer.update(f.instances)
    picks = [f.balancer.pick() for _ in range(9)]
    assert Counter(pick.node.instance.id for pick in picks if pick is not None) == {"c0": 3, "c1": 3, "c2": 3}
