"""With too few nodes in rotation, ejection is ignored."""

from dataclasses import replace

import pytest

from loadbalancer.ejection import EjectionSettings
from loadbalancer.outcome import Outcome

from .conftest import Fixture, instance

MOST = EjectionSettings(max_ejected_percent=100)


def test_under_half_in_rotation_everybody_is_called() -> None:
    f = Fixture(4, MOST)
    for node in f.nodes[:2]:
        f.eject(node)
    assert (f.balancer.panic, f.panics) == (False, [])
    assert f.chosen(8) == set(f.nodes[2:]), "half is enough"
    f.eject(f.nodes[2])
    assert (f.balancer.panic, f.panics) == (True, [True])
    assert f.chosen(8) == set(f.nodes)
    assert sum(node.ejected for node in f.nodes) == 3, "they are still out"


def test_a_panic_ends_with_a_probe_that_succeeds() -> None:
    f = Fixture(4, MOST)
    for node in f.nodes[:3]:
        f.eject(node)
    f.clock.now_s = max(node.standing.retry_at_s for node in f.nodes)
    ordinary = f.balancer.attempt(f.nodes[1])
    probe = f.pick()
    ordinary.report(Outcome.SUCCESS, 0.01)
    assert f.balancer.panic, "what an ejected node does in a panic proves nothing"
    probe.report(Outcome.SUCCESS, 0.01)
    assert (f.balancer.panic, f.panics) == (False, [True, False])
    assert {f.pick().node for _ in range(2)} == {*f.nodes[:3]} - {probe.node}, "the other two are probed as well"
    assert f.chosen(8) == {probe.node, f.nodes[3]}


@pytest.mark.parametrize(
    ("percent", "out", "panics"),
    [(50, 2, False), (50, 3, True), (75, 2, True), (25, 3, False), (0, 3, False), (0, 4, True), (100, 1, True)],
)
def test_the_threshold_is_a_share_and_nobody_at_all_is_always_a_panic(percent: int, out: int, panics: bool) -> None:
    f = Fixture(4, replace(MOST, panic_percent=percent))
    for node in f.nodes[:out]:
        f.eject(node)
    assert f.balancer.panic == panics
    assert len(f.chosen(8)) == (4 if panics else 4 - out)


def test_a_membership_that_shrinks_to_its_ejected_nodes_panics_until_it_grows() -> None:
    f = Fixture(4)
    for node in f.nodes[:2]:
        f.eject(node)
    f.balancer.update([instance(0), instance(1), instance(2)])
    assert f.panics == [True]
    assert f.chosen(6) == set(f.nodes[:3])
    f.balancer.update([instance(n) for n in range(6)])
    assert f.panics == [True, False]
    assert f.nodes[0] not in f.chosen(8)


def test_a_service_without_members_does_not_panic() -> None:
    f = Fixture(2)
    f.eject(f.nodes[0])
    f.balancer.update([instance(0)])
    f.balancer.update([])
    assert f.panics == [True, False]


def test_an_instance_that_registers_anew_ends_the_panic() -> None:
    f = Fixture(2)
    f.eject(f.nodes[0])
    f.balancer.update([instance(0)])
    f.balancer.update([replace(instance(0), last_dirty_ms=9)])
    assert f.panics == [True, False]
    assert f.told()[-1] == (f.nodes[0], False, "registered_again")


def test_a_retry_in_a_panic_goes_to_well_nodes_first_and_never_twice_to_one() -> None:
    f = Fixture(4, MOST)
    for node in f.nodes[:3]:
        f.eject(node)
    assert f.balancer.panic
    tried = f.nodes[:2]
    assert {f.pick(tuple(tried)).node for _ in range(4)} == set(f.nodes[2:])
