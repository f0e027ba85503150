"""Detectors in shadow mode: they tell whom they would eject, and nothing follows."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadbalancer.balancer import Balancer, Event
from loadbalancer.ejection import DetectorSettings, EjectionSettings, LatencySettings
from loadbalancer.outcome import Outcome, Trouble
from loadbalancer.rules.round_robin import RoundRobinRule

from .conftest import Clock, Fixture, instance

SHADOW = DetectorSettings(shadow=True)
ALL = EjectionSettings(shadow=True)


@pytest.mark.parametrize(
    ("settings", "trouble", "reason"),
    [
        (ALL, Trouble.REFUSED, "refused"),
        (EjectionSettings(refused=SHADOW), Trouble.REFUSED, "refused"),
        (EjectionSettings(consecutive=SHADOW, min_requests=99), Trouble.NONE, "consecutive_failures"),
        (EjectionSettings(success_ratio=SHADOW), Trouble.NONE, "success_ratio"),
    ],
)
def test_a_detector_in_shadow_mode_tells_and_does_nothing(
    settings: EjectionSettings, trouble: Trouble, reason: str
) -> None:
    f = Fixture(2, settings)
    node = f.nodes[0]
    while not f.events:
        f.attempt(node, Outcome.FAILURE, trouble=trouble)
    (event,) = f.events
    assert (event.node, event.ejected, event.reason, event.shadow) == (node, True, reason, True)
    assert 1 <= event.backoff_s <= 1.5
    assert (node.ejected, node.would_be_ejected) == (False, True)
    assert node.shadow is not None
    assert node.shadow.reason == reason
    assert f.chosen(4) == set(f.nodes)


def test_the_other_detectors_act_as_ever() -> None:
    f = Fixture(2, EjectionSettings(success_ratio=SHADOW))
    for _ in range(7):
        f.attempt(f.nodes[0], Outcome.FAILURE)
    assert [(event.reason, event.shadow) for event in f.events] == [
        ("success_ratio", True),
        ("consecutive_failures", False),
    ]
    assert f.nodes[0].ejected


def test_a_would_be_time_out_lasts_as_long_as_a_real_one_and_the_next_attempt_is_its_probe() -> None:
    f = Fixture(2, ALL)
    node = f.nodes[0]
    shadow = node.shadow
    assert shadow is not None
    f.attempt(node, Outcome.FAILURE, trouble=Trouble.REFUSED)
    for expected in (1, 2, 3):
        assert len(f.events) == expected
        f.clock.now_s = shadow.retry_at_s - 0.001
        for _ in range(50):
            f.attempt(node, Outcome.FAILURE, trouble=Trouble.REFUSED)
        assert len(f.events) == expected, "no flood"
        f.clock.now_s = shadow.retry_at_s
        f.attempt(node, Outcome.IGNORED)
        assert len(f.events) == expected, "no verdict"
        f.attempt(node, Outcome.FAILURE)
    backoffs_s = [event.backoff_s for event in f.events]
    assert [event.reason for event in f.events] == ["refused", *["probe_failed"] * 3]
    assert all(2**n <= backoff_s <= 1.5 * 2**n for n, backoff_s in enumerate(backoffs_s))
    f.clock.now_s = shadow.retry_at_s
    f.attempt(node, Outcome.SUCCESS)
    assert (f.events[-1].ejected, f.events[-1].reason, f.events[-1].shadow) == (False, "probe_succeeded", True)
    for _ in range(4):
        f.attempt(node, Outcome.FAILURE)
    assert not node.would_be_ejected, "a clean record"
    assert len(f.events) == 5


def test_an_attempt_from_before_the_end_of_the_would_be_time_out_is_not_its_probe() -> None:
    f = Fixture(2, ALL)
    node = f.nodes[0]
    early = f.pick((f.nodes[1],))
    f.attempt(node, Outcome.FAILURE, trouble=Trouble.REFUSED)
    f.clock.now_s += 60
    early.report(Outcome.SUCCESS, 60.0)
    assert node.would_be_ejected


def test_no_more_would_be_out_than_may() -> None:
    f = Fixture(4, ALL)
    for node in f.nodes:
        f.attempt(node, Outcome.FAILURE, trouble=Trouble.REFUSED)
    assert [node.would_be_ejected for node in f.nodes] == [True, True, False, False]
    assert not f.balancer.panic


def test_an_instance_that_registers_anew_is_forgiven_in_the_shadow_too() -> None:
    f = Fixture(2, ALL)
    f.attempt(f.nodes[0], Outcome.FAILURE, trouble=Trouble.REFUSED)
    f.balancer.update([replace(instance(0), last_dirty_ms=5), instance(1)])
    assert not f.nodes[0].would_be_ejected
    assert [(event.ejected, event.reason, event.shadow) for event in f.events[1:]] == [
        (False, "registered_again", True)
    ]
    f.attempt(f.nodes[0], Outcome.FAILURE, trouble=Trouble.REFUSED)
    assert f.nodes[0].would_be_ejected, "what the new process does counts at once"


def test_latency_can_be_tried_in_the_shadow() -> None:
    f = Fixture(6, EjectionSettings(latency=LatencySettings(enabled=True, shadow=True)))
    for _ in range(40):
        for index, node in enumerate(f.nodes):
            f.attempt(node, Outcome.SUCCESS, 0.3 if index == 0 else 0.01)
        f.clock.now_s += 0.1
    assert [(event.node, event.ejected, event.reason, event.shadow) for event in f.events[:2]] == [
        (f.nodes[0], True, "latency", True),
        (f.nodes[0], True, "probe_failed", True),
    ]
    assert len(f.events) == 2
    assert not f.nodes[0].ejected


def test_without_shadow_mode_nodes_have_no_shadow() -> None:
    for settings in (EjectionSettings(), EjectionSettings(enabled=False, shadow=True)):
        assert Fixture(1, settings).nodes[0].shadow is None


@given(
    steps=st.lists(st.tuples(st.sampled_from(Outcome), st.sampled_from(Trouble), st.floats(0, 3)), max_size=80),
    seed=st.integers(0, 9),
)
def test_with_everything_in_the_shadow_picks_are_those_without_ejection(
    steps: list[tuple[Outcome, Trouble, float]], seed: int
) -> None:
    """Both make the same choices, whatever happens, and tell only of shadows."""
    told: list[Event] = []
    clock = Clock()
    balancers = [
        Balancer(RoundRobinRule(), settings, clock, Random(seed), told.append)
        for settings in (ALL, EjectionSettings(enabled=False))
    ]
    for balancer in balancers:
        balancer.update([instance(n) for n in range(3)])
    for outcome, trouble, seconds in steps:
        picks = [balancer.pick() for balancer in balancers]
        keys = {pick.node.key for pick in picks if pick is not None}
        assert len(keys) == 1
        for pick in picks:
            assert pick is not None
            pick.report(outcome, 0.01, trouble)
            pick.release()
        clock.now_s += seconds
    assert all(getattr(event, "shadow", False) for event in told)
