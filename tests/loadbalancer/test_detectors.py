"""What makes a node a candidate for ejection, and which detectors are asked."""

from dataclasses import replace

import pytest

from loadbalancer.ejection import DetectorSettings, EjectionSettings, LatencySettings
from loadbalancer.outcome import Outcome, Trouble

from .conftest import Fixture

OFF = DetectorSettings(enabled=False)
NONE = EjectionSettings(consecutive=OFF, success_ratio=OFF, refused=OFF)


def test_a_refused_connection_takes_a_node_out_at_once() -> None:
    f = Fixture(2)
    dead, well = f.nodes
    for _ in range(100):
        f.attempt(dead, Outcome.SUCCESS)
    f.attempt(dead, Outcome.FAILURE, trouble=Trouble.REFUSED)
    assert f.told() == [(dead, True, "refused")]
    assert f.chosen(10) == {well}


@pytest.mark.parametrize("trouble", [each for each in Trouble if each is not Trouble.REFUSED])
def test_no_other_single_failure_does(trouble: Trouble) -> None:
    f = Fixture(2)
    f.attempt(f.nodes[0], Outcome.FAILURE, trouble=trouble)
    assert f.told() == []


def test_what_refuses_stays_when_no_more_may_be_out() -> None:
    f = Fixture(3)
    for node in f.nodes:
        f.attempt(node, Outcome.FAILURE, trouble=Trouble.REFUSED)
    assert [node.ejected for node in f.nodes] == [True, False, False]


def test_a_refusal_of_a_probe_is_its_failure() -> None:
    f = Fixture(2)
    dead = f.nodes[0]
    f.attempt(dead, Outcome.FAILURE, trouble=Trouble.REFUSED)
    f.clock.now_s = dead.standing.retry_at_s
    f.pick().report(Outcome.FAILURE, 0.001, Trouble.REFUSED)
    assert f.told()[1:] == [(dead, True, "probe_failed")]
    assert dead.standing.reason == "refused", "what began it"


def test_being_limited_counts_against_the_ratio_and_ends_a_run_of_failures() -> None:
    ratio_off = Fixture(2, EjectionSettings(success_ratio=OFF))
    for trouble in (*[Trouble.THROTTLED] * 6, Trouble.LIMITED, *[Trouble.BROKEN] * 6):
        ratio_off.attempt(ratio_off.nodes[0], Outcome.FAILURE, trouble=trouble)
    assert ratio_off.told() == []
    ratio_off.attempt(ratio_off.nodes[0], Outcome.FAILURE, trouble=Trouble.NONE)
    assert ratio_off.told() == [(ratio_off.nodes[0], True, "consecutive_failures")]
    ratio = Fixture(2, EjectionSettings(consecutive=OFF))
    for _ in range(5):
        ratio.attempt(ratio.nodes[0], Outcome.FAILURE, trouble=Trouble.LIMITED)
    assert ratio.told() == [(ratio.nodes[0], True, "success_ratio")]


def test_a_probe_that_is_limited_fails() -> None:
    f = Fixture(2)
    f.eject(f.nodes[0])
    f.clock.now_s = f.nodes[0].standing.retry_at_s
    f.pick().report(Outcome.FAILURE, 0.01, Trouble.LIMITED)
    assert f.told()[-1] == (f.nodes[0], True, "probe_failed")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (replace(NONE, consecutive=DetectorSettings()), "consecutive_failures"),
        (replace(NONE, success_ratio=DetectorSettings()), "success_ratio"),
        (replace(NONE, refused=DetectorSettings()), "refused"),
    ],
)
def test_each_detector_works_alone(settings: EjectionSettings, reason: str) -> None:
    f = Fixture(2, settings)
    for _ in range(9):
        if not f.nodes[0].ejected:
            f.attempt(f.nodes[0], Outcome.FAILURE, trouble=Trouble.REFUSED)
    assert [event.reason for event in f.events] == [reason]


@pytest.mark.parametrize(
    "settings", [NONE, EjectionSettings(enabled=False), EjectionSettings(enabled=False, shadow=True)]
)
def test_without_detectors_nobody_is_ejected(settings: EjectionSettings) -> None:
    f = Fixture(4, settings)
    for _ in range(50):
        for node in f.nodes:
            f.attempt(node, Outcome.FAILURE, trouble=Trouble.REFUSED)
    assert (f.events, f.balancer.panic) == ([], False)
    assert f.nodes[0].consecutive_failures == 50, "shown all the same"


def test_a_run_of_failures_shows_until_a_success_or_a_new_beginning() -> None:
    f = Fixture(2)
    node = f.nodes[0]
    f.attempt(node, Outcome.FAILURE)
    f.attempt(node, Outcome.IGNORED)
    f.attempt(node, Outcome.FAILURE)
    assert node.consecutive_failures == 2
    f.attempt(node, Outcome.SUCCESS)
    assert node.consecutive_failures == 0
    f.eject(node)
    f.clock.now_s = node.standing.retry_at_s
    f.pick().report(Outcome.SUCCESS, 0.01)
    assert (node.ejected, node.consecutive_failures) == (False, 0)


def latency(min_samples: int = 20, floor_s: float = 0.05) -> EjectionSettings:
    return replace(NONE, latency=LatencySettings(enabled=True, min_samples=min_samples, floor_s=floor_s))


class Latencies(Fixture):
    """Six nodes that answer in 9 to 11 ms, and what one of them does instead."""

    def __init__(self, settings: EjectionSettings, count: int = 6) -> None:
        super().__init__(count, settings)

    def rounds(self, count: int, odd_s: float) -> None:
        """Each node answers once every 100 ms, the first one in `odd_s`."""
        for _ in range(count):
            for index, node in enumerate(self.nodes):
                if not node.ejected:
                    self.attempt(node, Outcome.SUCCESS, odd_s if index == 0 else 0.009 + 0.0004 * index)
            self.clock.now_s += 0.1


def test_a_node_slow_beside_its_peers_is_ejected() -> None:
    f = Latencies(latency())
    f.rounds(40, odd_s=0.2)
    assert f.told() == [(f.nodes[0], True, "latency")]


def test_latencies_are_compared_once_a_second_and_not_at_each_answer() -> None:
    f = Latencies(latency(min_samples=11))
    f.rounds(10, odd_s=0.2)
    f.rounds(1, odd_s=0.2)
    assert f.events == [], "the first comparison found too few answers, and the next is not due"
    f.rounds(10, odd_s=0.2)
    assert f.told() == [(f.nodes[0], True, "latency")]


@pytest.mark.parametrize(
    ("odd_s", "settings", "count"),
    [
        pytest.param(0.055, latency(), 6, id="not by the floor"),
        pytest.param(0.2, latency(floor_s=0.5), 6, id="a higher floor"),
        pytest.param(0.2, latency(min_samples=41), 6, id="too few answers"),
        pytest.param(0.2, latency(), 4, id="too few nodes"),
        pytest.param(0.2, replace(latency(), latency=LatencySettings()), 6, id="off, as it is by default"),
        pytest.param(0.2, replace(latency(), max_ejected_percent=10), 6, id="no more may be out"),
    ],
)
def test_a_node_stays_when_its_slowness_proves_nothing(odd_s: float, settings: EjectionSettings, count: int) -> None:
    f = Latencies(settings, count)
    f.rounds(40, odd_s)
    assert f.events == []


def test_of_several_slow_nodes_the_slowest_goes_first() -> None:
    f = Fixture(7, replace(latency(), max_ejected_percent=15))
    for _ in range(25):
        for node, latency_s in zip(f.nodes, (0.2, 0.4, *[0.01] * 5), strict=True):
            if not node.ejected:
                f.attempt(node, Outcome.SUCCESS, latency_s)
        f.clock.now_s += 0.1
    assert f.told() == [(f.nodes[1], True, "latency")]


def test_slow_answers_of_long_ago_are_forgotten() -> None:
    f = Latencies(latency(min_samples=30))
    f.rounds(29, odd_s=0.2)
    f.clock.now_s += 10
    f.rounds(40, odd_s=0.01)
    assert f.events == []


def test_a_node_ejected_for_its_latency_is_probed_for_it() -> None:
    f = Latencies(latency())
    f.rounds(40, odd_s=0.2)
    slow = f.nodes[0]
    f.clock.now_s = max(f.clock.now_s, slow.standing.retry_at_s)
    f.pick().report(Outcome.SUCCESS, 0.2)
    assert f.told()[-1] == (slow, True, "probe_failed")
    f.clock.now_s = slow.standing.retry_at_s
    f.pick().report(Outcome.SUCCESS, 0.05)
    assert f.told()[-1] == (slow, False, "probe_succeeded")
    f.rounds(15, odd_s=0.2)
    assert not slow.ejected, "what was measured before is forgotten"
    f.rounds(20, odd_s=0.2)
    assert slow.ejected


def test_a_slow_node_is_back_when_all_have_become_as_slow() -> None:
    f = Latencies(latency())
    f.rounds(40, odd_s=0.2)
    slow = f.nodes[0]
    for _ in range(60):
        for node in f.nodes[1:]:
            f.attempt(node, Outcome.SUCCESS, 0.3)
    f.clock.now_s = max(f.clock.now_s, slow.standing.retry_at_s)
    f.pick().report(Outcome.SUCCESS, 0.3)
    assert f.told()[-1] == (slow, False, "probe_succeeded")


def test_failures_say_nothing_about_latency() -> None:
    f = Latencies(latency())
    for _ in range(40):
        for index, node in enumerate(f.nodes):
            f.attempt(node, Outcome.FAILURE if index == 0 else Outcome.SUCCESS, 5.0 if index == 0 else 0.01)
        f.clock.now_s += 0.1
    assert f.events == []
