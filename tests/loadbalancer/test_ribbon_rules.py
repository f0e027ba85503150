"""Ribbon's rules against its own tests (SimpleRoundRobinLBTest, SimpleRoundRobinWithRetryLBTest, BestAvailableRuleTest,
WeightedResponseTimeRuleTest, PredicatesTest, ZoneAwareLoadBalancerTest) and its source."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadbalancer.availability import AvailabilityPredicate, FilteredTurn
from loadbalancer.rules.availability_filtering import AvailabilityFilteringRule
from loadbalancer.rules.best_available import BestAvailableRule
from loadbalancer.rules.random_rule import RandomRule
from loadbalancer.rules.retry_rule import RetryRule
from loadbalancer.rules.round_robin import RoundRobinRule
from loadbalancer.rules.weighted_response_time import WeightedResponseTimeRule
from loadbalancer.rules.zone_avoidance import ZoneAvoidanceRule
from loadbalancer.zones import ZoneAvoidance
from tests.loadbalancer.nodes import busy, make_node, make_nodes, names, respond, trip

AVAILABLE = AvailabilityPredicate(filter_circuit_tripped=True, active_limit=0)


# RoundRobinRule


def test_round_robin_begins_with_the_second_and_takes_each_in_turn() -> None:
    nodes, rule = make_nodes(4), RoundRobinRule()
    assert names([rule.choose(nodes, nodes, 0) for _ in range(6)]) == ["a1", "a2", "a3", "a0", "a1", "a2"]


@given(count=st.integers(1, 12), rounds=st.integers(1, 5), before=st.integers(0, 20))
def test_round_robin_gives_every_node_the_same_share(count: int, rounds: int, before: int) -> None:
    nodes, rule = make_nodes(count), RoundRobinRule()
    for _ in range(before):
        rule.choose(nodes, nodes, 0)
    chosen = Counter(rule.choose(nodes, nodes, 0) for _ in range(count * rounds))
    assert chosen == dict.fromkeys(nodes, rounds)


def test_places_of_the_dead_are_passed_over_within_a_choice_so_nobody_inherits_their_share() -> None:
    nodes, rule = make_nodes(5), RoundRobinRule()
    fit = [nodes[0], nodes[3], nodes[4]]
    assert names([rule.choose(fit, nodes, 0) for _ in range(6)]) == ["a3", "a4", "a0", "a3", "a4", "a0"]


def test_round_robin_gives_up_after_ten_places() -> None:
    nodes, rule = make_nodes(12), RoundRobinRule()
    assert rule.choose([nodes[0]], nodes, 0) is None  # 1 to 10
    assert rule.choose([nodes[0]], nodes, 0) is nodes[0]  # 11, 0
    assert rule.choose([nodes[11]], nodes, 0) is None  # 1 to 10
    assert rule.choose([nodes[11]], nodes, 0) is nodes[11]


# RandomRule


def test_the_index_is_drawn_among_those_up_each_as_likely() -> None:
    """Where Ribbon draws among all, and ends beyond the list of those up."""
    nodes, rule = make_nodes(10), RandomRule(Random(1))
    chosen = Counter(names([rule.choose(nodes[5:7], nodes, 0) for _ in range(4000)]))
    assert chosen == {"a5": pytest.approx(2000, abs=150), "a6": pytest.approx(2000, abs=150)}


# WeightedResponseTimeRule


def test_it_is_round_robin_until_the_weights_say_something() -> None:
    nodes, rule = make_nodes(3), WeightedResponseTimeRule(Random(1), interval_s=30)
    assert names([rule.choose(nodes, nodes, 0) for _ in range(3)]) == ["a1", "a2", "a0"]
    respond(nodes[0], 0.2)
    assert names([rule.choose(nodes, nodes, 29.9) for _ in range(3)]) == ["a1", "a2", "a0"]


def test_a_node_weighs_what_all_the_others_take_on_average() -> None:
    """10, 40, 30 and 20 ms: the weights are 90, 60, 70 and 80."""
    nodes, rule = make_nodes(4), WeightedResponseTimeRule(Random(1), interval_s=30)
    for node, latency_s in zip(nodes, (0.01, 0.04, 0.03, 0.02), strict=True):
        respond(node, latency_s)
    chosen = Counter(names([rule.choose(nodes, nodes, 0) for _ in range(30_000)]))
    shares = {name: count / 100 for name, count in chosen.items()}
    assert shares == {
        "a0": pytest.approx(90, abs=3),
        "a1": pytest.approx(60, abs=3),
        "a2": pytest.approx(70, abs=3),
        "a3": pytest.approx(80, abs=3),
    }


def test_weights_are_taken_at_once_and_then_every_thirty_seconds() -> None:
    nodes, rule = make_nodes(2), WeightedResponseTimeRule(Random(1), interval_s=30)
    respond(nodes[0], 0.2)
    assert set(names([rule.choose(nodes, nodes, 0) for _ in range(20)])) == {"a1"}  # who weighs 200, a0 nothing
    respond(nodes[1], 0.2)
    assert set(names([rule.choose(nodes, nodes, 29.9) for _ in range(20)])) == {"a1"}
    assert set(names([rule.choose(nodes, nodes, 30) for _ in range(20)])) == {"a0", "a1"}


def test_should_not_fail_when_the_number_of_servers_is_decreased() -> None:
    nodes, rule = make_nodes(3), WeightedResponseTimeRule(Random(1), interval_s=30)
    for node, latency_s in zip(nodes, (0.3, 0.2, 0.1), strict=True):
        respond(node, latency_s)
    rule.choose(nodes, nodes, 0)
    (other,) = make_nodes(1)
    assert rule.choose([other], [other], 1) is other


def test_a_changed_list_is_round_robin_until_the_next_weights_even_if_it_is_as_long() -> None:
    nodes, rule = make_nodes(2), WeightedResponseTimeRule(Random(1), interval_s=30)
    respond(nodes[0], 0.2)
    rule.choose(nodes, nodes, 0)
    changed = [make_node("new"), nodes[1]]
    assert names([rule.choose(changed, changed, 1) for _ in range(4)]) == ["a1", "new", "a1", "new"]


def test_of_the_fit_each_keeps_its_weight() -> None:
    nodes, rule = make_nodes(4), WeightedResponseTimeRule(Random(1), interval_s=30)
    for node, latency_s in zip(nodes, (0.01, 0.04, 0.03, 0.02), strict=True):
        respond(node, latency_s)
    chosen = Counter(names([rule.choose([nodes[0], nodes[1]], nodes, 0) for _ in range(15_000)]))
    assert [chosen["a0"] / 100, chosen["a1"] / 100] == pytest.approx([90, 60], abs=3)


# BestAvailableRule


def test_the_least_busy_is_best_unless_its_circuit_is_tripped() -> None:
    nodes, rule = make_nodes(10), BestAvailableRule()
    for n, node in enumerate(nodes):
        busy(node, 10 - n)
    assert rule.choose(nodes, nodes, 0) is nodes[9]
    trip(nodes[9])
    assert rule.choose(nodes, nodes, 0) is nodes[8]


def test_of_several_as_busy_it_is_always_the_first() -> None:
    nodes, rule = make_nodes(4), BestAvailableRule()
    busy(nodes[0])
    assert names([rule.choose(nodes, nodes, 0) for _ in range(3)]) == ["a1", "a1", "a1"]


def test_requests_that_have_not_moved_for_ten_minutes_do_not_count() -> None:
    nodes, rule = make_nodes(2), BestAvailableRule()
    busy(nodes[0], 5)
    assert rule.choose(nodes, nodes, 600) is nodes[1]
    assert rule.choose(nodes, nodes, 600.1) is nodes[0]


def test_when_all_are_tripped_it_is_round_robin() -> None:
    nodes, rule = make_nodes(3), BestAvailableRule()
    for node in nodes:
        trip(node)
    assert names([rule.choose(nodes, nodes, 0) for _ in range(4)]) == ["a1", "a2", "a0", "a1"]


# AvailabilityPredicate, AvailabilityFilteringRule


def test_availability_predicate() -> None:
    nodes = make_nodes(10)
    for node in nodes[7:]:
        trip(node)
    eligible = [node for node in nodes if AVAILABLE(node, 0)]
    assert eligible == nodes[:7]
    turn = FilteredTurn()
    assert names([turn.take(eligible) for _ in range(20)]) == [f"a{n % 7}" for n in range(20)]


def test_a_turn_beyond_a_list_that_has_become_shorter_goes_on_within_it() -> None:
    nodes, turn = make_nodes(9), FilteredTurn()
    assert names([turn.take(nodes) for _ in range(7)]) == [f"a{n}" for n in range(7)]
    assert names([turn.take(nodes[:5]) for _ in range(3)]) == ["a3", "a4", "a0"]  # (7 + 1) mod 5


def test_circuits_need_not_be_filtered() -> None:
    (node,) = make_nodes(1)
    trip(node)
    assert AvailabilityPredicate(filter_circuit_tripped=False, active_limit=0)(node, 0)


def test_active_connections_limit() -> None:
    (node,) = make_nodes(1)
    limited = AvailabilityPredicate(filter_circuit_tripped=True, active_limit=2)
    busy(node)
    assert limited(node, 0)
    busy(node)
    assert not limited(node, 0)
    assert AVAILABLE(node, 0)


def test_round_robin_passes_over_what_is_not_available() -> None:
    nodes, rule = make_nodes(4), AvailabilityFilteringRule(AVAILABLE)
    trip(nodes[2])
    assert names([rule.choose(nodes, nodes, 0) for _ in range(4)]) == ["a1", "a3", "a0", "a1"]


def test_after_eleven_probes_in_vain_it_looks_at_all() -> None:
    nodes, rule = make_nodes(30), AvailabilityFilteringRule(AVAILABLE)
    for node in nodes[:28]:
        trip(node)
    # Places 1 to 11: a look at all; 12 to 22: another; 23 to 28; 29; 0 to 10: a look.
    assert names([rule.choose(nodes, nodes, 0) for _ in range(5)]) == ["a28", "a29", "a28", "a29", "a28"]


@pytest.mark.parametrize(("tripped", "chosen"), [(10, "a11"), (11, "a0")])
def test_there_are_eleven_probes(tripped: int, chosen: str) -> None:
    nodes, rule = make_nodes(14), AvailabilityFilteringRule(AVAILABLE)
    for node in nodes[1 : 1 + tripped]:
        trip(node)
    assert names([rule.choose(nodes, nodes, 0)]) == [chosen]


def test_when_none_is_available_it_is_round_robin_over_all() -> None:
    nodes, rule = make_nodes(4), AvailabilityFilteringRule(AVAILABLE)
    for node in nodes:
        trip(node)
    assert names([rule.choose(nodes, nodes, 0) for _ in range(5)]) == ["a0", "a1", "a2", "a3", "a0"]


# ZoneAvoidanceRule


def test_zone_avoidance_predicate() -> None:
    """Three zones: 3 nodes idle, 4 with two requests each, 3 with one each. The second is avoided."""
    nodes = [make_node(f"a{n}", "0" if n < 3 else "1" if n < 7 else "2") for n in range(10)]
    for node in nodes[3:7]:
        busy(node, 2)
    for node in nodes[7:]:
        busy(node)
    rule = ZoneAvoidanceRule(AVAILABLE, ZoneAvoidance(), Random(1))
    assert names([rule.choose(nodes, nodes, 0) for _ in range(6)]) == ["a0", "a1", "a2", "a7", "a8", "a9"]


def test_within_the_good_zones_circuits_are_respected() -> None:
    nodes = [make_node(f"{zone}{n}", zone) for zone in "ab" for n in range(3)]
    busy(nodes[0], 3)
    trip(nodes[4])
    rule = ZoneAvoidanceRule(AVAILABLE, ZoneAvoidance(), Random(1))
    assert names([rule.choose(nodes, nodes, 0) for _ in range(3)]) == ["b0", "b2", "b0"]


def test_without_an_available_node_in_a_good_zone_the_available_ones_of_others_are_taken() -> None:
    nodes = [make_node(f"{zone}{n}", zone) for zone in "ab" for n in range(2)]
    busy(nodes[1], 3)
    rule = ZoneAvoidanceRule(AVAILABLE, ZoneAvoidance(), Random(1))
    fit = nodes[:2]  # zone b is not in the rotation
    trip(nodes[0])
    assert names([rule.choose(fit, nodes, 0) for _ in range(3)]) == ["a1", "a1", "a1"]


def test_when_no_node_is_available_all_are_taken() -> None:
    nodes = [make_node(f"{zone}{n}", zone) for zone in "ab" for n in range(2)]
    for node in nodes:
        trip(node)
    rule = ZoneAvoidanceRule(AVAILABLE, ZoneAvoidance(), Random(1))
    assert names([rule.choose(nodes, nodes, 0) for _ in range(5)]) == ["a0", "a1", "b0", "b1", "a0"]


def test_a_node_without_a_zone_is_never_avoided_for_its_zone() -> None:
    nodes = [make_node("x"), make_node("a", "a"), make_node("b", "b")]
    busy(nodes[0], 9)
    rule = ZoneAvoidanceRule(AVAILABLE, ZoneAvoidance(), Random(1))
    assert names([rule.choose(nodes, nodes, 0) for _ in range(3)]) == ["x", "a", "b"]


# RetryRule


def test_retry_asks_again_until_somebody_is_found() -> None:
    nodes, rule = make_nodes(100), RetryRule(retry=True)
    assert rule.choose([nodes[0]], nodes, 0) is nodes[0]
    assert rule.choose([nodes[99]], nodes, 0) is nodes[99]


def test_without_time_to_retry_it_asks_once() -> None:
    nodes, rule = make_nodes(100), RetryRule(retry=False)
    assert rule.choose([nodes[11]], nodes, 0) is None
    assert rule.choose([nodes[11]], nodes, 0) is nodes[11]


def test_retry_ends_when_nobody_among_the_members_is_fit() -> None:
    nodes = make_nodes(25)
    assert RetryRule(retry=True).choose([make_node("other")], nodes, 0) is None
