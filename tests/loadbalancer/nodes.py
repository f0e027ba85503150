"""Nodes for the tests of rules and filters, in the states that those look at."""

from collections.abc import Sequence
from random import Random

from loadbalancer.ejection import EjectionSettings, Standing
from loadbalancer.node import Node
from loadbalancer.stats import CircuitSettings, ServerStats
from registry.instance import Instance


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def make_node(name: str, zone: str = "", clock: Clock | None = None, *, stats: bool = True) -> Node:
    """Without a clock time stands still at 0."""
    time = clock or (lambda: 0.0)
    return Node(
        Instance("A", name, name, name, 80, zone=zone),
        Standing(EjectionSettings(), time, Random(1)),
        ServerStats(CircuitSettings(), time) if stats else None,
    )


def make_nodes(count: int, clock: Clock | None = None) -> list[Node]:
    return [make_node(f"a{n}", clock=clock) for n in range(count)]


def trip(node: Node, now_s: float = 0.0) -> None:
    assert node.stats is not None
    for _ in range(3):
        node.stats.settle(True, 0.0, now_s)
    assert node.stats.tripped(now_s)


def busy(node: Node, requests: int = 1, now_s: float = 0.0) -> None:
    for _ in range(requests):
        node.load.start(now_s)
        if node.stats is not None:
            node.stats.start(now_s)


def respond(node: Node, latency_s: float) -> None:
    assert node.stats is not None
    node.stats.settle(False, latency_s, 0.0)


def names(nodes: Sequence[Node | None]) -> list[str]:
    return ["nobody" if node is None else node.instance.id for node in nodes]
