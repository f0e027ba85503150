from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadbalancer.balancer import Rule
from loadbalancer.node import Node
from loadbalancer.rules import RULES, rule_named
from loadbalancer.rules.p2c_ewma import P2cEwma
from loadbalancer.rules.p2c_least_request import P2cLeastRequest
from tests.loadbalancer.nodes import busy, make_node, make_nodes


def measure(node: Node, latency_s: float) -> None:
    node.load.succeed(node.load.start(0), latency_s, 0)
    node.load.release()


def test_of_two_the_cheaper_is_always_chosen() -> None:
    cheap, dear = make_nodes(2)
    measure(cheap, 0.1)
    measure(dear, 0.2)
    rule = P2cEwma(Random(1))
    assert {rule.choose([cheap, dear], [], 0) for _ in range(50)} == {cheap}
    assert {rule.choose([dear, cheap], [], 0) for _ in range(50)} == {cheap}


def test_of_two_the_less_busy_is_always_chosen_however_slow_it_has_been() -> None:
    idle, working = make_nodes(2)
    measure(idle, 60)
    busy(working)
    rule = P2cLeastRequest(Random(1))
    assert {rule.choose([idle, working], [], 0) for _ in range(50)} == {idle}
    assert {rule.choose([working, idle], [], 0) for _ in range(50)} == {idle}


@pytest.mark.parametrize("rule", [P2cEwma(Random(2)), P2cLeastRequest(Random(2))])
def test_the_two_drawn_are_distinct_and_every_pair_is_equally_likely(rule: Rule) -> None:
    """So with costs in order, the best of n is chosen 2/n of the time and the worst never."""
    nodes = make_nodes(5)
    for n, node in enumerate(nodes):
        measure(node, 0.1)
        busy(node, n)
    chosen = Counter(rule.choose(nodes, nodes, 0) for _ in range(20_000))
    shares = [chosen[node] / 20_000 for node in nodes]
    assert shares == pytest.approx([0.4, 0.3, 0.2, 0.1, 0.0], abs=0.015)


@pytest.mark.parametrize("rule", [P2cEwma(Random(3)), P2cLeastRequest(Random(3))])
def test_nodes_alike_share_alike(rule: Rule) -> None:
    nodes = make_nodes(4)
    chosen = Counter(rule.choose(nodes, nodes, 0) for _ in range(20_000))
    assert [chosen[node] / 20_000 for node in nodes] == pytest.approx([0.25] * 4, abs=0.015)


@pytest.mark.parametrize("name", RULES)
def test_a_single_node_is_chosen_always(name: str) -> None:
    (node,) = make_nodes(1)
    rule = rule_named(name, Random(0))
    assert [rule.choose([node], [node], 0) for _ in range(3)] == [node] * 3


@given(
    name=st.sampled_from(RULES),
    times=st.lists(
        st.tuples(st.integers(0, 60_000), st.sets(st.integers(0, 30), min_size=1), st.sets(st.integers(0, 30))),
        max_size=30,
    ),
    zones=st.lists(st.sampled_from(["", "a", "b", "C"]), min_size=31, max_size=31),
    seed=st.integers(0, 9),
)
def test_every_rule_chooses_a_fit_node_or_nobody(
    name: str, times: list[tuple[int, set[int], set[int]]], zones: list[str], seed: int
) -> None:
    """Whoever is fit, a member or not, of whatever zones, and whatever has been chosen before; only round robin may
    find nobody, and RetryRule where no member is fit."""
    nodes = [make_node(f"a{n}", zone, stats=bool(seed)) for n, zone in enumerate(zones)]
    rule = rule_named(name, Random(seed))
    for now_s, fit_ones, listed in sorted(times, key=lambda each: each[0]):
        fit = [nodes[index] for index in sorted(fit_ones)]
        node = rule.choose(fit, [nodes[index] for index in sorted(listed)], now_s)
        if node is None:
            assert name in ("RoundRobinRule", "WeightedResponseTimeRule", "BestAvailableRule") or (
                name == "RetryRule" and not fit_ones & listed
            )
        else:
            assert node in fit
        if node is not None:
            busy(node, now_s=now_s)


@given(name=st.sampled_from(RULES), counts=st.lists(st.integers(1, 9), max_size=40))
def test_every_rule_survives_any_change_of_the_list(name: str, counts: list[int]) -> None:
    nodes, rule = make_nodes(9), rule_named(name, Random(0))
    for count in counts:
        assert rule.choose(nodes[:count], nodes[:count], 0.0) in nodes[:count]


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("members", [0, 10, 30])
def test_fit_nodes_beyond_the_members_are_no_trouble(name: str, members: int) -> None:
    """As when all members have failed a request, and a retry goes to another zone."""
    nodes = make_nodes(40)
    rule = rule_named(name, Random(0))
    for _ in range(12):
        assert rule.choose(nodes[30:], nodes[:members], 0.0) in (None, *nodes[30:])


def test_an_unknown_rule_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match=r"unknown balancer rule 'random', use one of: p2c-ewma, p2c-least-request, R"):
        rule_named("random", Random(0))
