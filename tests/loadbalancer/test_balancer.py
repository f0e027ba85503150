from dataclasses import replace
from random import Random

import pytest

from loadbalancer.balancer import Balancer
from loadbalancer.ejection import EjectionSettings
from loadbalancer.load import UNMEASURED_S
from loadbalancer.outcome import Outcome
from loadbalancer.rules.p2c_ewma import P2cEwma
from registry.instance import Status

from .conftest import Clock, Fixture, instance


def test_without_members_there_is_nothing_to_pick() -> None:
    assert Fixture(0).balancer.pick() is None


def test_an_attempt_is_pending_until_its_body_has_ended() -> None:
    f = Fixture(1)
    pick = f.pick()
    assert pick.node.pending == 1
    pick.report(Outcome.SUCCESS, 0.1)
    assert pick.node.pending == 1
    pick.release()
    assert (pick.node.pending, pick.node.successes, pick.node.failures) == (0, 1, 0)


def test_only_the_first_report_and_the_first_release_count() -> None:
    f = Fixture(1)
    pick = f.pick()
    pick.report(Outcome.FAILURE, 0.1)
    pick.report(Outcome.SUCCESS, 0.1)
    pick.release()
    pick.release()
    pick.report(Outcome.SUCCESS, 0.1)
    assert (pick.node.pending, pick.node.successes, pick.node.failures) == (0, 0, 1)


def test_released_without_a_report_is_ignored_but_tells_how_long_it_took_at_least() -> None:
    f = Fixture(1)
    pick = f.pick()
    f.clock.now_s += 3
    pick.release()
    assert (pick.node.pending, pick.node.successes, pick.node.failures) == (0, 0, 0)
    assert pick.node.load.cost_s(f.clock.now_s) == pytest.approx(3.0)


def test_nodes_already_tried_are_avoided_while_there_is_another() -> None:
    f = Fixture(3)
    a, b, c = f.nodes
    assert {f.pick((a, b)).node for _ in range(5)} == {c}
    assert {f.pick((a, b, c)).node for _ in range(6)} == {a, b, c}


def test_seven_failures_in_a_row_eject() -> None:
    f = Fixture(2)
    for _ in range(40):  # a good record, so that the success ratio stays out of it
        f.attempt(f.nodes[0], Outcome.SUCCESS)
    for _ in range(6):
        f.attempt(f.nodes[0], Outcome.FAILURE)
    assert not f.nodes[0].ejected
    f.attempt(f.nodes[0], Outcome.FAILURE)
    assert f.nodes[0].ejected
    (event,) = f.events
    assert (event.node, event.ejected, event.reason) == (f.nodes[0], True, "consecutive_failures")
    assert 1 <= event.backoff_s <= 1.5
    assert f.chosen(10) == {f.nodes[1]}


def test_a_success_ends_a_run_of_failures_and_an_ignored_attempt_does_not() -> None:
    f = Fixture(2)
    for _ in range(80):
        f.attempt(f.nodes[0], Outcome.SUCCESS)
    for _ in range(6):
        f.attempt(f.nodes[0], Outcome.FAILURE)
    f.attempt(f.nodes[0], Outcome.SUCCESS)
    f.attempt(f.nodes[0], Outcome.FAILURE)
    assert not f.nodes[0].ejected
    for _ in range(5):
        f.attempt(f.nodes[0], Outcome.FAILURE)
        f.attempt(f.nodes[0], Outcome.IGNORED)
    assert not f.nodes[0].ejected
    f.attempt(f.nodes[0], Outcome.FAILURE)
    assert f.nodes[0].ejected


def test_a_low_success_ratio_ejects_once_there_are_enough_requests() -> None:
    f = Fixture(2)
    for _ in range(3):
        f.attempt(f.nodes[0], Outcome.SUCCESS)
    f.attempt(f.nodes[0], Outcome.FAILURE)  # 3 of 4: low, but too few to tell
    f.attempt(f.nodes[0], Outcome.SUCCESS)  # 4 of 5 = 0.8 is just enough
    assert not f.nodes[0].ejected
    f.attempt(f.nodes[0], Outcome.FAILURE)  # 4 of 6
    assert [event.reason for event in f.events] == ["success_ratio"]


def test_failures_of_more_than_ten_seconds_ago_do_not_weigh_on_the_ratio() -> None:
    f = Fixture(2)
    for _ in range(4):
        f.attempt(f.nodes[0], Outcome.FAILURE)
    f.clock.now_s += 10
    f.attempt(f.nodes[0], Outcome.SUCCESS)
    assert not f.nodes[0].ejected


@pytest.mark.parametrize(("count", "may_go"), [(1, 0), (2, 1), (3, 1), (4, 2), (10, 5)])
def test_no_more_than_half_of_the_nodes_are_ejected(count: int, may_go: int) -> None:
    f = Fixture(count)
    for node in f.nodes:
        for _ in range(8):
            if not node.ejected:
                f.attempt(node, Outcome.FAILURE)
    assert [node.ejected for node in f.nodes] == [True] * may_go + [False] * (count - may_go)
    assert len(f.events) == may_go


def test_a_node_spared_by_the_limit_goes_with_its_next_failure_once_there_is_room() -> None:
    f = Fixture(2)
    first, second = f.nodes
    f.eject(first)
    for _ in range(7):
        f.attempt(second, Outcome.FAILURE)
    assert not second.ejected
    f.clock.now_s = first.standing.retry_at_s
    f.pick().report(Outcome.SUCCESS, 0.01)  # the probe
    f.attempt(second, Outcome.FAILURE)
    assert second.ejected


def test_after_its_time_out_an_ejected_node_gets_exactly_one_request() -> None:
    f = Fixture(3)
    sick = f.nodes[0]
    f.eject(sick)
    f.clock.now_s = sick.standing.retry_at_s - 0.001
    assert sick not in f.chosen(10)
    f.clock.now_s = sick.standing.retry_at_s
    probe = f.pick()
    assert probe.node is sick
    assert sick not in f.chosen(10)


def test_a_good_probe_readmits_with_a_clean_record_and_no_penalty() -> None:
    f = Fixture(3)
    sick = f.nodes[0]
    f.eject(sick)
    f.clock.now_s = sick.standing.retry_at_s
    probe = f.pick()
    probe.report(Outcome.SUCCESS, 0.02)
    probe.release()
    assert sick.load.cost_s(f.clock.now_s) == pytest.approx(0.02)
    assert [(e.node, e.ejected, e.reason, e.backoff_s) for e in f.events[1:]] == [(sick, False, "probe_succeeded", 0.0)]
    for _ in range(4):
        f.attempt(sick, Outcome.FAILURE)
    assert not sick.ejected, "failures from before the ejection no longer count"
    assert f.chosen(9) == set(f.nodes)


def test_each_bad_probe_doubles_the_time_out_up_to_the_maximum_and_a_good_one_resets_it() -> None:
    f = Fixture(3)
    sick = f.nodes[0]
    f.eject(sick)
    for _ in range(1500):  # far beyond where 2.0 ** n would overflow
        f.clock.now_s = sick.standing.retry_at_s
        probe = f.pick()
        assert probe.node is sick
        probe.report(Outcome.FAILURE, 0.01)
        probe.release()
    times_s = [event.backoff_s for event in f.events]
    for n, time_s in enumerate(times_s[:6]):
        assert 2**n <= time_s <= min(1.5 * 2**n, 60)
    assert set(times_s[7:]) == {60.0}
    assert len({time_s / 2**n for n, time_s in enumerate(times_s[:5])}) == 5, "each has its own jitter"
    assert {event.reason for event in f.events[1:]} == {"probe_failed"}
    f.clock.now_s = sick.standing.retry_at_s
    f.pick().report(Outcome.SUCCESS, 0.01)
    f.eject(sick)
    assert f.events[-1].backoff_s <= 1.5


def test_a_probe_without_a_verdict_gives_its_place_to_the_next_request() -> None:
    f = Fixture(3)
    sick = f.nodes[0]
    f.eject(sick)
    f.clock.now_s = sick.standing.retry_at_s
    probe = f.pick()
    probe.release()
    second = f.pick()
    assert second.node is sick
    probe.report(Outcome.SUCCESS, 0.01)
    assert sick.ejected, "the first probe has had its turn"
    second.report(Outcome.SUCCESS, 0.01)
    assert not sick.ejected


def test_late_answers_to_attempts_from_before_change_nothing() -> None:
    f = Fixture(5)
    sick = f.nodes[0]
    late = [f.pick(tuple(f.nodes[1:])) for _ in range(20)]
    f.eject(sick)
    retry_at_s = sick.standing.retry_at_s
    late.pop().report(Outcome.SUCCESS, 0.01)
    for _ in range(8):
        late.pop().report(Outcome.FAILURE, 0.01)
    assert (sick.ejected, sick.standing.retry_at_s, len(f.events)) == (True, retry_at_s, 1)
    f.clock.now_s = retry_at_s
    probe = f.pick()
    late.pop().report(Outcome.FAILURE, 0.01)
    late.pop().release()
    assert sick.standing.probing
    probe.report(Outcome.SUCCESS, 0.01)
    for pick in late:
        pick.report(Outcome.FAILURE, 0.01)
    assert not sick.ejected, "a readmitted node does not answer for its past"


def test_each_ejected_node_is_probed_at_its_own_time() -> None:
    f = Fixture(4)
    a, b = f.nodes[:2]
    f.eject(a)
    f.clock.now_s += 0.9
    f.eject(b)
    f.clock.now_s = a.standing.retry_at_s
    assert f.pick((a, *f.nodes[2:])).node is b
    assert not b.standing.probing, "a retry does not bring a probe forward"
    assert f.pick().node is a
    assert f.chosen(6) == {f.nodes[2], f.nodes[3]}
    f.clock.now_s = b.standing.retry_at_s
    assert f.pick().node is b


def test_of_several_probes_due_each_request_takes_one() -> None:
    f = Fixture(4)
    a, b = f.nodes[:2]
    f.eject(a)
    f.clock.now_s += 0.9
    f.eject(b)
    f.clock.now_s += 30
    assert [f.pick().node for _ in range(2)] == [a, b]
    assert f.chosen(6) == {f.nodes[2], f.nodes[3]}


def test_a_retry_is_not_risked_on_a_probe_while_there_is_a_better_node() -> None:
    f = Fixture(3)
    sick, tried, fresh = f.nodes
    f.eject(sick)
    f.clock.now_s = sick.standing.retry_at_s
    assert f.pick((tried,)).node is fresh
    assert f.pick((tried, fresh)).node is sick, "a probe that is due comes before a node that just failed"
    assert f.pick((tried, fresh, sick)).node in (tried, fresh)


def test_when_all_in_rotation_were_tried_an_ejected_node_comes_before_a_second_try() -> None:
    f = Fixture(3)
    sick, *tried = f.nodes
    f.eject(sick)
    pick = f.pick(tuple(tried))
    assert pick.node is sick
    pick.report(Outcome.SUCCESS, 0.01)
    assert sick.ejected, "such an attempt is not the probe"
    f.clock.now_s = sick.standing.retry_at_s
    probe, beside = f.pick(), f.pick(tuple(tried))
    assert (probe.node, beside.node) == (sick, sick)
    beside.report(Outcome.FAILURE, 0.01)
    assert sick.standing.probing
    probe.report(Outcome.SUCCESS, 0.01)
    assert not sick.ejected


def test_an_avoided_node_is_not_probed() -> None:
    f = Fixture(2)
    sick, other = f.nodes
    f.eject(sick)
    f.clock.now_s = sick.standing.retry_at_s
    assert f.pick((sick, other)).node is other


def test_with_nothing_in_rotation_any_member_is_picked() -> None:
    f = Fixture(2)
    sick = f.nodes[0]
    f.eject(sick)
    f.balancer.update([instance(0)])
    pick = f.pick()
    assert pick.node is sick
    pick.report(Outcome.SUCCESS, 0.01)
    assert sick.ejected, "such an attempt is not the probe"
    f.clock.now_s = sick.standing.retry_at_s
    f.pick().report(Outcome.SUCCESS, 0.01)
    assert not sick.ejected


def test_what_happens_in_a_panic_beside_the_probe_does_not_decide() -> None:
    f = Fixture(2)
    sick = f.nodes[0]
    f.eject(sick)
    f.balancer.update([instance(0)])
    before = [f.pick() for _ in range(10)]
    f.clock.now_s = sick.standing.retry_at_s
    probe, beside = f.pick(), f.pick()
    beside.report(Outcome.SUCCESS, 0.01)
    before.pop().report(Outcome.SUCCESS, 0.01)
    assert sick.standing.probing
    for pick in before:
        pick.report(Outcome.FAILURE, 0.01)
    assert sick.standing.probing
    probe.report(Outcome.SUCCESS, 0.01)
    assert not sick.ejected


def test_an_update_keeps_what_is_known_of_the_nodes_that_stay() -> None:
    f = Fixture(3)
    stays = f.nodes[1]
    f.attempt(stays, Outcome.SUCCESS)
    f.eject(stays)
    f.pick()
    changed = replace(instance(1), metadata={"zone": "b"}, status=Status.UNKNOWN)
    removed = f.balancer.update([changed, instance(7)])
    assert removed == [f.nodes[0], f.nodes[2]]
    assert f.balancer.nodes[0] is stays
    assert stays.instance is changed
    assert stays.ejected
    assert f.balancer.nodes[1].key == ("ORDERS", "orders-7", "host-7", 8080)
    assert len(f.events) == 1


@pytest.mark.parametrize("change", [{"port": 8081}, {"host": "elsewhere"}, {"id": "other"}, {"app": "USERS"}])
def test_an_instance_that_moved_is_a_new_node(change: dict[str, str]) -> None:
    f = Fixture(1)
    removed = f.balancer.update([replace(instance(0), **change)])  # type: ignore[arg-type] # fields by name
    assert removed == f.nodes
    assert f.balancer.nodes[0] is not f.nodes[0]


def test_a_node_that_is_gone_is_not_picked_and_its_late_answers_eject_nobody() -> None:
    f = Fixture(3)
    gone = f.nodes[0]
    picks = [f.pick((f.nodes[1], f.nodes[2])) for _ in range(10)]
    f.balancer.update([instance(1), instance(2)])
    for pick in picks:
        pick.report(Outcome.FAILURE, 0.01)
        pick.release()
    assert (f.events, gone.pending) == ([], 0)
    assert f.chosen(4) == {f.nodes[1], f.nodes[2]}


def test_an_instance_listed_twice_is_one_node() -> None:
    f = Fixture(0)
    f.balancer.update([instance(0), instance(0)])
    assert len(f.balancer.nodes) == 1
    assert len(f.balancer.update([instance(0), instance(0)])) == 0


def test_an_instance_that_registered_anew_is_forgiven_at_once() -> None:
    f = Fixture(2)
    sick = f.nodes[0]
    f.eject(sick)
    f.balancer.update([replace(instance(0), last_dirty_ms=5), instance(1)])
    assert f.chosen(4) == set(f.nodes)
    assert [(e.node, e.ejected, e.reason) for e in f.events[1:]] == [(sick, False, "registered_again")]


def test_failures_short_of_ejection_are_forgiven_too_and_silently() -> None:
    f = Fixture(2)
    for _ in range(4):
        f.attempt(f.nodes[0], Outcome.FAILURE)
    f.balancer.update([replace(instance(0), last_dirty_ms=5), instance(1)])
    assert f.nodes[0].load.cost_s(f.clock.now_s) == 0
    f.attempt(f.nodes[0], Outcome.FAILURE)
    assert (f.nodes[0].ejected, f.events) == (False, [])


def test_a_frozen_node_is_avoided_before_any_of_its_attempts_times_out() -> None:
    clock = Clock()
    balancer = Balancer(P2cEwma(Random(5)), EjectionSettings(), clock, Random(5), on_event=lambda event: None)
    balancer.update([instance(n) for n in range(3)])
    frozen = balancer.nodes[0]
    stuck = []
    for _ in range(200):  # 20 ms apart, answered within 5 ms; the frozen node answers nothing
        pick = balancer.pick()
        assert pick is not None
        if pick.node is frozen:
            stuck.append(pick)
        else:
            clock.now_s += 0.005
            pick.report(Outcome.SUCCESS, 0.005)
            pick.release()
        clock.now_s += 0.015
    assert len(stuck) == 1


def test_a_new_node_gets_one_request_and_more_only_when_it_has_answered() -> None:
    clock = Clock()
    balancer = Balancer(P2cEwma(Random(5)), EjectionSettings(), clock, Random(5), on_event=lambda event: None)
    balancer.update([instance(0), instance(1)])
    for node in balancer.nodes:
        node.load.succeed(node.load.start(clock.now_s), 0.002, clock.now_s)
        node.load.release()
    balancer.update([instance(n) for n in range(3)])
    new = balancer.nodes[2]
    under_way = []
    for _ in range(30):
        pick = balancer.pick()
        assert pick is not None
        if pick.node is new:
            under_way.append(pick)
        else:
            pick.report(Outcome.SUCCESS, 0.002)
            pick.release()
    assert len(under_way) == 1
    assert new.load.cost_s(clock.now_s) == 2 * UNMEASURED_S
    under_way[0].report(Outcome.SUCCESS, 0.001)
    under_way[0].release()
    picks = [balancer.pick() for _ in range(30)]
    assert sum(pick is not None and pick.node is new for pick in picks) > 5


def test_the_answers_of_the_process_before_are_not_held_against_the_new_one() -> None:
    f = Fixture(2)
    late = [f.pick((f.nodes[1],)) for _ in range(8)]
    f.balancer.update([replace(instance(0), last_dirty_ms=5), instance(1)])
    for pick in late:
        pick.report(Outcome.FAILURE, 0.01)
    assert (f.nodes[0].ejected, f.nodes[0].failures) == (False, 8)
