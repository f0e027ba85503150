from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadbalancer.ejection import EjectionSettings, Standing
from loadbalancer.node import Node
from loadbalancer.rules import rule_named
from loadbalancer.rules.p2c_ewma import P2cEwma
from loadbalancer.rules.round_robin import RoundRobinRule
from registry.instance import Instance


def make_nodes(count: int) -> list[Node]:
    return [
        Node(Instance("A", f"a{n}", "host", "ip", n), Standing(EjectionSettings(), lambda: 0.0, Random(n)))
        for n in range(count)
    ]


def measure(node: Node, latency_s: float) -> None:
    node.load.succeed(node.load.start(0), latency_s, 0)
    node.load.release()


@given(count=st.integers(1, 12), rounds=st.integers(1, 5))
def test_round_robin_gives_every_node_the_same_share(count: int, rounds: int) -> None:
    nodes, rule = make_nodes(count), RoundRobinRule()
    chosen = Counter(rule.choose(nodes, nodes, 0.0) for _ in range(count * rounds))
    assert chosen == dict.fromkeys(nodes, rounds)


@given(counts=st.lists(st.integers(1, 9), max_size=40))
def test_round_robin_survives_any_change_of_the_list(counts: list[int]) -> None:
    nodes, rule = make_nodes(9), RoundRobinRule()
    for count in counts:
        assert rule.choose(nodes[:count], nodes[:count], 0.0) in nodes[:count]


def test_of_two_the_cheaper_is_always_chosen() -> None:
    cheap, dear = make_nodes(2)
    measure(cheap, 0.1)
    measure(dear, 0.2)
    rule = P2cEwma(Random(1))
    assert {rule.choose([cheap, dear], [], 0) for _ in range(50)} == {cheap}
    assert {rule.choose([dear, cheap], [], 0) for _ in range(50)} == {cheap}


def test_the_two_drawn_are_distinct_and_every_pair_is_equally_likely() -> None:
    """So with costs in order, the best of n is chosen 2/n of the time and the worst never."""
    nodes, rule = make_nodes(5), P2cEwma(Random(2))
    for n, node in enumerate(nodes):
        measure(node, 0.1 * (n + 1))
    chosen = Counter(rule.choose(nodes, nodes, 0) for _ in range(20_000))
    shares = [chosen[node] / 20_000 for node in nodes]
    assert shares == pytest.approx([0.4, 0.3, 0.2, 0.1, 0.0], abs=0.015)


def test_nodes_alike_share_alike() -> None:
    nodes, rule = make_nodes(4), P2cEwma(Random(3))
    chosen = Counter(rule.choose(nodes, nodes, 0) for _ in range(20_000))
    assert [chosen[node] / 20_000 for node in nodes] == pytest.approx([0.25] * 4, abs=0.015)


@pytest.mark.parametrize("rule", [P2cEwma(Random(0)), RoundRobinRule()])
def test_a_single_node_is_chosen_always(rule: P2cEwma | RoundRobinRule) -> None:
    (node,) = make_nodes(1)
    assert [rule.choose([node], [node], 0) for _ in range(3)] == [node] * 3


def test_a_rule_is_found_by_its_name() -> None:
    assert isinstance(rule_named("p2c-ewma", Random(0)), P2cEwma)
    assert isinstance(rule_named("RoundRobinRule", Random(0)), RoundRobinRule)


def test_an_unknown_rule_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match=r"unknown balancer rule 'random', use one of: p2c-ewma, RoundRobinRule"):
        rule_named("random", Random(0))
