"""Settings of a balancer reach what they are for: none of these would come out the same with the defaults."""

from collections import Counter
from random import Random

import pytest

from loadbalancer.balancer import Balancer
from loadbalancer.ejection import EjectionSettings
from loadbalancer.node import Node
from loadbalancer.outcome import Outcome, Trouble
from loadbalancer.rules import rule_named
from prana import balancing
from prana.config import settings
from prana.config.settings import P2C_RULES, RIBBON_RULES, Ribbon
from registry.instance import Instance


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Fixture:
    """Instances a0 and on in zone "a", b0 and on in "b", c0 and on in "c"; the client's own zone is "A"."""

    def __init__(self, configured: settings.Balancer, *, a: int = 0, b: int = 0, c: int = 0) -> None:
        self.configured = configured
        self.clock = Clock()
        self.instances = [
            Instance("S", f"{zone}{n}", "h", "i", n + 1, zone=zone)
            for zone, count in (("a", a), ("b", b), ("c", c))
            for n in range(count)
        ]
        self.balancer = self.balancer_of("me")

    def balancer_of(self, client: str) -> Balancer:
        ejection = EjectionSettings(max_ejected_percent=0)
        made = balancing.make_balancer(
            self.configured, ejection, self.clock, Random(1), lambda event: None, own_zone="A", client=client
        )
        made.update(self.instances)
        return made

    def node(self, name: str) -> Node:
        (node,) = (node for node in self.balancer.nodes if node.instance.id == name)
        return node

    def fail(self, name: str) -> None:
        node = self.node(name)
        pick = self.balancer.pick([other for other in self.balancer.nodes if other is not node])
        assert pick is not None
        pick.report(Outcome.FAILURE, 0.1, Trouble.REFUSED)
        pick.release()

    def hold(self, name: str, requests: int) -> None:
        for _ in range(requests):
            self.balancer.pick([other for other in self.balancer.nodes if other is not self.node(name)])

    def chosen(self, picks: int = 40) -> str:
        chosen = set()
        for _ in range(picks):
            pick = self.balancer.pick()
            assert pick is not None
            chosen.add(pick.node.instance.id)
            pick.report(Outcome.SUCCESS, 0.1)
            pick.release()
        return " ".join(sorted(chosen))


def ribbon(rule: str, **tuning: float) -> settings.Balancer:
    return settings.Balancer(rule=rule, ribbon=Ribbon(**tuning))  # type: ignore[arg-type]


def affinity(**tuning: float) -> settings.Balancer:
    return settings.Balancer(zone_filter="affinity", ribbon=Ribbon(**tuning))  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", [*P2C_RULES, *RIBBON_RULES])
def test_every_rule_that_can_be_configured_is_there_and_only_ribbons_keep_stats(rule: str) -> None:
    f = Fixture(settings.Balancer(rule=rule), a=3)
    assert f.chosen()
    assert {node.stats is not None for node in f.balancer.nodes} == {rule in RIBBON_RULES}


def test_the_circuit_trips_when_and_for_as_long_as_configured() -> None:
    tuned = ribbon("AvailabilityFilteringRule", connection_failure_threshold=1, trip_factor=2.0, trip_max=3.0)
    f = Fixture(tuned, a=2)
    f.fail("a0")
    assert f.chosen() == "a1"
    f.clock.now_s += 2
    f.fail("a0")
    f.clock.now_s += 2.9
    assert f.chosen() == "a1"
    f.clock.now_s += 0.2
    assert f.chosen() == "a0 a1"


def test_the_circuit_may_be_left_out_of_account() -> None:
    f = Fixture(ribbon("AvailabilityFilteringRule", filter_circuit_tripped=False), a=2)
    for _ in range(3):
        f.fail("a0")
    assert f.chosen() == "a0 a1"


def test_active_connections_may_be_limited() -> None:
    f = Fixture(ribbon("AvailabilityFilteringRule", active_connections_limit=2), a=2)
    f.hold("a0", 2)
    assert f.chosen() == "a1"


def test_requests_that_do_not_move_are_believed_in_for_as_long_as_configured() -> None:
    f = Fixture(ribbon("BestAvailableRule", active_requests_window=5.0), a=2)
    f.hold("a0", 3)
    assert f.chosen() == "a1"
    f.clock.now_s += 6
    assert f.chosen(1) == "a0"


def test_weights_are_taken_as_often_as_configured() -> None:
    f = Fixture(ribbon("WeightedResponseTimeRule", weight_interval=5.0), a=2)
    assert f.chosen(1) == "a1"
    assert f.chosen() == "a0 a1"
    for node in f.balancer.nodes:
        assert node.stats is not None
        node.stats.forget()
    f.fail("a0")
    assert f.chosen() == "a0 a1"
    f.clock.now_s += 5
    f.node("a1").stats.forget()  # type: ignore[union-attr]
    assert f.chosen(1) == "a1"


def test_retry_may_be_switched_off() -> None:
    f = Fixture(ribbon("RetryRule", retry_for=0.0), a=40)
    nodes = list(f.balancer.nodes)
    rule = rule_named("RetryRule", Random(1), balancing._tuning(f.configured.ribbon))
    assert rule.choose(nodes[20:21], nodes, 0) is None


def test_a_zone_is_avoided_from_the_configured_load_on() -> None:
    f = Fixture(ribbon("RoundRobinRule", avoid_zone_load=3.0), a=2, b=2)
    f.hold("a0", 5)
    assert f.chosen() == "a0 a1 b0 b1"
    f.hold("a0", 1)
    assert f.chosen() == "b0 b1"


def test_a_zone_is_avoided_from_the_configured_blackout_on() -> None:
    f = Fixture(ribbon("RoundRobinRule", avoid_zone_blackout_ratio=0.5), a=2, b=1, c=1)
    for _ in range(3):
        f.fail("a0")
    assert f.chosen() == "b0 c0"


def test_affinity_has_the_configured_limits() -> None:
    f = Fixture(affinity(affinity_min_available=4), a=3, b=1)
    assert "b0" in f.chosen()
    f = Fixture(affinity(affinity_min_available=1), a=1, b=1)
    assert f.chosen() == "a0"
    f = Fixture(affinity(affinity_max_load=2.0), a=2, b=1)
    f.hold("a0", 3)
    f.balancer.update(f.instances)
    assert "b0" not in f.chosen()
    f.hold("a0", 1)
    f.balancer.update(f.instances)
    assert "b0" in f.chosen()


def test_affinity_ends_at_the_configured_blackout() -> None:
    tuning = Ribbon(affinity_max_blackout_ratio=0.25)
    f = Fixture(settings.Balancer(rule="RoundRobinRule", zone_filter="affinity", ribbon=tuning), a=4, b=1)
    assert "b0" not in f.chosen()
    for _ in range(3):
        f.fail("a0")
    f.balancer.update(f.instances)
    assert "b0" in f.chosen()


@pytest.mark.parametrize(
    ("zone_filter", "expected"),
    [("none", "a0 a1 b0 b1"), ("affinity", "a0 a1"), ("exclusivity", "a0 a1"), ("preference", "a0 a1")],
)
def test_zones_are_filtered(zone_filter: str, expected: str) -> None:
    assert Fixture(settings.Balancer(zone_filter=zone_filter), a=2, b=2).chosen() == expected


def test_each_client_has_a_subset_of_its_own() -> None:
    f = Fixture(settings.Balancer(subset=5), a=100)
    subsets = {frozenset(node.instance.id for node in f.balancer_of(f"client-{n}").nodes) for n in range(20)}
    assert len(subsets) == 20
    assert {len(subset) for subset in subsets} == {5}
    again = f.balancer_of("client-0")
    assert {node.instance.id for node in again.nodes} in subsets
    assert Counter(again.members for _ in range(1)) == {100: 1}
