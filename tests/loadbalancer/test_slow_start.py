"""New and returning nodes get their share little by little."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from loadbalancer.balancer import Balancer
from loadbalancer.ejection import EjectionSettings
from loadbalancer.node import Node
from loadbalancer.outcome import Outcome, Trouble
from loadbalancer.rules import rule_named

from .conftest import Clock, instance


class Service:
    """`count` nodes that answer in 20 ms, give or take a fifth, a hundred times a second."""

    def __init__(self, count: int, slow_start_s: float = 10.0, rule: str = "p2c-ewma") -> None:
        self.clock = Clock()
        self.rng = Random(3)
        self.balancer = Balancer(
            rule_named(rule, self.rng),
            EjectionSettings(),
            self.clock,
            self.rng,
            on_event=lambda event: None,
            slow_start_s=slow_start_s,
        )
        self.balancer.update([instance(n) for n in range(count)])

    def serve(self, seconds: float, failing: Node | None = None) -> Counter[Node]:
        """How many requests each node got."""
        served: Counter[Node] = Counter()
        until_s = self.clock.now_s + seconds
        while self.clock.now_s < until_s:
            pick = self.balancer.pick()
            assert pick is not None
            served[pick.node] += 1
            pick.report(Outcome.FAILURE if pick.node is failing else Outcome.SUCCESS, self.rng.uniform(0.016, 0.024))
            pick.release()
            self.clock.now_s += 0.01
        return served

    def share(self, node: Node, seconds: float) -> float:
        served = self.serve(seconds)
        return served[node] / served.total()

    def join(self) -> Node:
        """One node more."""
        self.balancer.update([instance(n) for n in range(len(self.balancer.nodes) + 1)])
        return self.balancer.nodes[-1]


def test_the_weight_is_envoys_a_tenth_at_first_and_then_the_age_over_the_window() -> None:
    service = Service(2)
    node = service.join()
    weights = []
    for _ in range(12):
        weights.append(node.weight(service.clock.now_s))
        service.clock.now_s += 1
    assert weights == pytest.approx([0.1, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.0])


@pytest.mark.parametrize("rule", ["p2c-ewma", "p2c-least-request"])
def test_a_new_node_gets_its_share_little_by_little(rule: str) -> None:
    service = Service(3, rule=rule)
    service.serve(30)
    new = service.join()
    shares = [service.share(new, 2.0) for _ in range(5)]
    fair = [weight * 0.25 for weight in (0.1, 0.3, 0.5, 0.7, 0.9)]
    assert shares == pytest.approx(fair, abs=0.08)
    assert shares[0] < shares[2] < shares[4]
    assert service.share(new, 60) == pytest.approx(0.25, abs=0.08)


def test_without_slow_start_it_has_its_share_at_once() -> None:
    service = Service(3, slow_start_s=0.0)
    service.serve(30)
    assert service.share(service.join(), 2.0) > 0.15


def test_nodes_of_the_first_membership_are_new_to_us_and_not_new() -> None:
    service = Service(3)
    assert [node.weight(service.clock.now_s) for node in service.balancer.nodes] == [1.0] * 3
    late = Service(0)
    late.balancer.update([instance(0), instance(1)])
    assert [node.weight(late.clock.now_s) for node in late.balancer.nodes] == [1.0] * 2


def test_a_new_node_gets_its_first_request_at_once() -> None:
    service = Service(3)
    service.serve(5)
    new = service.join()
    picks = [service.balancer.pick() for _ in range(20)]
    assert sum(pick is not None and pick.node is new for pick in picks) == 1


def test_a_readmitted_node_starts_slowly() -> None:
    service = Service(2)
    sick = service.balancer.nodes[0]
    service.serve(5)
    service.balancer.attempt(sick).report(Outcome.FAILURE, 0.001, Trouble.REFUSED)
    assert sick.ejected
    service.clock.now_s = sick.standing.retry_at_s
    service.serve(0.01)  # the probe
    assert not sick.ejected
    assert sick.weight(service.clock.now_s) == 0.1
    assert service.share(sick, 1.0) < 0.2


def test_a_node_that_registered_anew_starts_slowly() -> None:
    service = Service(2)
    service.serve(5)
    node = service.balancer.nodes[0]
    service.balancer.update([replace(instance(0), last_dirty_ms=7), instance(1)])
    assert node.weight(service.clock.now_s) == 0.1
    assert service.balancer.nodes[1].weight(service.clock.now_s) == 1.0


def test_beside_a_failing_node_a_starting_one_takes_the_load() -> None:
    service = Service(1)
    (old,) = service.balancer.nodes
    service.serve(5)
    new = service.join()
    served = service.serve(5, failing=old)
    assert served[old] <= 5
    assert served[new] > 490


def test_nodes_that_start_together_share_evenly() -> None:
    service = Service(2)
    service.balancer.update([instance(n) for n in range(5, 9)])
    served = service.serve(10)
    assert len(served) == 4
    assert min(served.values()) * 2 > max(served.values())
