"""Which zones Ribbon avoids: ZoneAwareLoadBalancerTest, and its numbers 0.2 and 0.99999."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadbalancer.balancer import Rule
from loadbalancer.ejection import Reason
from loadbalancer.rules import RibbonTuning, rule_named
from loadbalancer.rules.availability_filtering import AvailabilityFilteringRule
from loadbalancer.rules.round_robin import RoundRobinRule
from loadbalancer.zones import ZoneAvoidance, ZoneAwareRule, ZoneSnapshot, random_zone, zone_snapshot
from tests.loadbalancer.nodes import busy, make_node, make_nodes, names, trip


class Service:
    """Nodes of the zones us-eAst-1a, 1b and 1c, `a1` to `c<n>`, behind the rule in a ZoneAwareLoadBalancer."""

    def __init__(self, a: int, b: int, c: int, rule: str = "RoundRobinRule", active_limit: int = 0) -> None:
        counts = {"a": a, "b": b, "c": c}
        self.nodes = {
            f"{zone}{n}": make_node(f"{zone}{n}", f"us-eAst-1{zone}")
            for zone, count in counts.items()
            for n in range(1, count + 1)
        }
        self.rule = rule_named(rule, Random(1), RibbonTuning(active_limit=active_limit))
        self.now_s = 0.0

    def busy(self, name: str, requests: int = 1) -> None:
        busy(self.nodes[name], requests, self.now_s)

    def chosen(self, picks: int = 100) -> set[str]:
        nodes = list(self.nodes.values())
        return set(names([self.rule.choose(nodes, nodes, self.now_s) for _ in range(picks)]))

    def zones(self) -> str:
        return "".join(sorted({name[0] for name in self.chosen()}))


def test_a_snapshot_counts_requests_on_those_not_tripped() -> None:
    nodes = make_nodes(4)
    busy(nodes[0], 3)
    busy(nodes[1], 9)
    trip(nodes[1])
    nodes[2].standing.eject(0, Reason.REFUSED)
    assert zone_snapshot(nodes, 0) == ZoneSnapshot(instances=4, tripped=2, load=1.5)


def test_a_zone_whose_nodes_are_all_tripped_has_load_minus_one() -> None:
    nodes = make_nodes(2)
    for node in nodes:
        trip(node)
    assert zone_snapshot(nodes, 0) == ZoneSnapshot(2, 2, -1)
    assert zone_snapshot([], 0) == ZoneSnapshot(0, 0, 0)


def zones(**loads: float) -> dict[str, ZoneSnapshot]:
    return {name: ZoneSnapshot(10, 0, load) for name, load in loads.items()}


def available(snapshots: dict[str, ZoneSnapshot], seed: int = 1) -> list[str]:
    return ZoneAvoidance().available_zones(snapshots, Random(seed))


def test_below_a_load_of_a_fifth_no_zone_is_avoided() -> None:
    assert available(zones(a=0.1999, b=0.1, c=0)) == ["a", "b", "c"]


def test_from_a_load_of_a_fifth_on_the_worst_zone_is_avoided() -> None:
    assert available(zones(a=0.2, b=0.1, c=0)) == ["b", "c"]
    assert available(zones(a=7, b=9, c=8)) == ["a", "c"]


def test_of_zones_as_loaded_within_a_millionth_one_is_avoided_by_number_of_instances() -> None:
    snapshots = {"a": ZoneSnapshot(30, 0, 2.0), "b": ZoneSnapshot(10, 0, 2.0000005), "c": ZoneSnapshot(5, 0, 0)}
    avoided = Counter(name for seed in range(2000) for name in snapshots if name not in available(snapshots, seed))
    assert avoided == {"a": pytest.approx(1500, abs=80), "b": pytest.approx(500, abs=80)}


@pytest.mark.parametrize(("tripped", "is_avoided"), [(99_998, False), (99_999, True), (100_000, True)])
def test_a_zone_is_avoided_from_a_blackout_of_99999_in_100000_on(tripped: int, is_avoided: bool) -> None:
    load = 0.0 if tripped < 100_000 else -1.0
    snapshots = {"a": ZoneSnapshot(100_000, tripped, load), "b": ZoneSnapshot(2, 0, 0), "c": ZoneSnapshot(1, 0, 0.1)}
    assert ("a" not in available(snapshots)) == is_avoided


def test_when_a_zone_is_blacked_out_the_worst_of_the_others_is_avoided_too() -> None:
    """However little it has to do."""
    snapshots = {"a": ZoneSnapshot(2, 2, -1), "b": ZoneSnapshot(2, 0, 0), "c": ZoneSnapshot(2, 0, 0.01)}
    assert available(snapshots) == ["b"]


def test_a_zone_without_instances_is_not_available() -> None:
    snapshots = {"a": ZoneSnapshot(0, 0, 0), "b": ZoneSnapshot(2, 0, 0), "c": ZoneSnapshot(2, 0, 0.01)}
    assert available(snapshots) == ["b"]


def test_a_single_zone_is_available_whatever_its_state() -> None:
    assert available({"a": ZoneSnapshot(2, 2, -1)}) == ["a"]


def test_thresholds_are_settings() -> None:
    avoidance = ZoneAvoidance(blackout_ratio=0.5, load=10)
    snapshots = {"a": ZoneSnapshot(2, 1, 0), "b": ZoneSnapshot(2, 0, 9), "c": ZoneSnapshot(2, 0, 0)}
    assert avoidance.available_zones(zones(a=9.9, b=3), Random(1)) == ["a", "b"]
    assert avoidance.available_zones(snapshots, Random(1)) == ["c"]


def test_a_zone_is_drawn_by_the_number_of_its_instances() -> None:
    snapshots = {"a": ZoneSnapshot(3, 0, 0), "b": ZoneSnapshot(1, 0, 0), "c": ZoneSnapshot(9, 0, 0)}
    rng = Random(1)
    drawn = Counter(random_zone(snapshots, ["a", "b"], rng) for _ in range(4000))
    assert drawn == {"a": pytest.approx(3000, abs=120), "b": pytest.approx(1000, abs=120)}
    assert random_zone(snapshots, [], rng) is None


def test_choose_zone() -> None:
    service = Service(4, 3, 4)
    assert service.zones() == "abc"
    service.busy("c1")
    service.busy("c3")
    assert service.zones() == "ab"  # 0.5 for each node of c
    trip(service.nodes["a1"])
    assert service.zones() == "ab"
    service.busy("a2")  # a third for each that is left of a, but c is worse
    assert service.zones() == "ab"
    service.now_s = 600.1  # when neither the circuit nor requests that have not moved count
    assert service.zones() == "abc"


def test_zone_outage() -> None:
    service = Service(2, 2, 2)
    assert service.zones() == "abc"
    trip(service.nodes["a1"])
    trip(service.nodes["a2"])
    assert service.zones() == "bc"
    service.busy("b1")
    service.busy("c1")
    assert service.zones() == "bc"
    stats = service.nodes["b1"].stats
    assert stats is not None
    stats.release()
    assert service.zones() == "b"  # a is blacked out, and c the worst in terms of load


def test_non_zone_override() -> None:
    service = Service(11, 11, 11)
    service.busy("b1")
    service.busy("c1")
    assert service.zones() == "abc"
    service.busy("b1", 2)
    assert service.zones() == "ac"
    service.busy("c2")
    service.busy("c4")
    assert service.zones() == "abc"  # b and c are equally bad


def test_availability_filtering() -> None:
    service = Service(2, 2, 2, "AvailabilityFilteringRule")
    for name in ("a1", "a2", "b1", "b2"):
        trip(service.nodes[name])
    assert service.chosen(20) == {"c1", "c2"}
    trip(service.nodes["c1"])
    assert service.chosen(20) == {"c2"}
    trip(service.nodes["c2"])
    assert service.chosen(20) == {"a1", "a2", "b1", "b2", "c1", "c2"}


def test_active_connections_limit() -> None:
    service = Service(6, 8, 0, "AvailabilityFilteringRule", active_limit=1)
    service.busy("a1")
    service.busy("b3")
    trip(service.nodes["b8"])
    assert service.chosen() == {"a2", "a3", "a4", "a5", "a6", "b1", "b2", "b4", "b5", "b6", "b7"}


def test_each_zone_has_a_rule_of_its_own() -> None:
    made: list[Rule] = []

    def make_rule() -> Rule:
        made.append(AvailabilityFilteringRule(RibbonTuning().available()))
        return made[-1]

    service = Service(2, 2, 2)
    service.rule = ZoneAwareRule(make_rule, ZoneAvoidance(), Random(1))
    assert service.zones() == "abc"
    assert len(made) == 1
    service.busy("c1")
    for _ in range(3):
        assert service.zones() == "ab"
    assert len(made) == 3


def test_while_no_zone_is_avoided_the_rule_chooses_among_all() -> None:
    members = [make_node("a", "a"), make_node("b", "b"), make_node("c", "c")]
    rule = ZoneAwareRule(RoundRobinRule, ZoneAvoidance(), Random(1))
    assert names([rule.choose(members, members, 0) for _ in range(6)]) == ["b", "c", "a", "b", "c", "a"]


def test_zones_with_nobody_fit_are_left_to_the_rule_over_all() -> None:
    a, b, c = make_node("a", "a"), make_node("b", "b"), make_node("c", "c")
    busy(a)
    rule = ZoneAwareRule(RoundRobinRule, ZoneAvoidance(), Random(1))
    assert {rule.choose([a], [a, b, c], 0) for _ in range(20)} == {a}


def test_the_zones_of_a_changed_list_are_seen_and_rules_of_zones_that_stay_go_on() -> None:
    a, b, b2, c = make_node("a", "a"), make_node("b", "b"), make_node("b2", "B"), make_node("c", "c")
    busy(a)
    rule = ZoneAwareRule(RoundRobinRule, ZoneAvoidance(), Random(1))
    members = [a, b, b2]
    assert [rule.choose(members, members, 0) for _ in range(3)] == [b2, b, b2]
    busy(c, 2)
    members = [a, b, b2, c]
    chosen = [rule.choose(members, members, 0) for _ in range(30)]
    assert set(chosen) == {a, b, b2}
    assert [node for node in chosen if node is not a][:2] == [b, b2]


@given(
    st.dictionaries(
        st.sampled_from("abcd"),
        st.builds(
            lambda load, instances, tripped: ZoneSnapshot(instances, min(tripped, instances), load),
            st.floats(-1, 5),
            st.integers(0, 3),
            st.integers(0, 3),
        ),
    ),
    st.integers(0, 3),
)
def test_at_most_one_zone_is_avoided_that_works(snapshots: dict[str, ZoneSnapshot], seed: int) -> None:
    left = available(snapshots, seed)
    assert set(left) <= set(snapshots)
    working = [name for name, zone in snapshots.items() if zone.tripped < zone.instances and zone.load >= 0]
    assert len(snapshots) <= 1 or len(working) - 1 <= len(left) <= len(working)
