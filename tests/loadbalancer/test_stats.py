"""Ribbon's ServerStats: ServerStatsTest, and the numbers of LoadBalancerStats' circuit."""

from random import Random

import pytest

from loadbalancer.balancer import Balancer
from loadbalancer.ejection import EjectionSettings
from loadbalancer.outcome import Outcome, Trouble
from loadbalancer.rules.round_robin import RoundRobinRule
from loadbalancer.stats import CircuitSettings, ServerStats
from registry.instance import Instance


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Fixture:
    def __init__(self, **settings: float) -> None:
        self.clock = Clock()
        self.stats = ServerStats(CircuitSettings(**settings), self.clock)  # type: ignore[arg-type]

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            self.stats.settle(True, 0.1, self.clock.now_s)

    def answer(self, latency_s: float = 0.1) -> None:
        self.stats.settle(False, latency_s, self.clock.now_s)

    def blackout_s(self) -> float:
        """How long from now on the circuit stays open, to a tenth of a second."""
        tenths = 0
        while self.stats.tripped(self.clock.now_s + tenths / 10):
            tenths += 1
        return tenths / 10


def test_two_connection_failures_do_not_trip() -> None:
    f = Fixture()
    f.fail(2)
    assert f.blackout_s() == 0


def test_the_third_trips_for_10_s_and_further_ones_for_20_and_30_and_never_longer() -> None:
    f = Fixture()
    f.fail(2)
    blackouts = []
    for _ in range(40):  # far beyond 16 doublings
        f.fail()
        blackouts.append(f.blackout_s())
        f.clock.now_s += 100
    assert blackouts[:4] == [10, 20, 30, 30]
    assert set(blackouts[4:]) == {30}


def test_the_blackout_runs_from_the_last_failure() -> None:
    f = Fixture()
    f.fail(3)
    f.clock.now_s += 9
    assert f.blackout_s() == 1
    f.fail()
    assert f.blackout_s() == 20


def test_all_traffic_comes_back_at_the_end_and_one_failure_more_trips_again() -> None:
    f = Fixture()
    f.fail(3)
    f.clock.now_s += 10
    assert not f.stats.tripped(f.clock.now_s)
    f.fail()
    assert f.blackout_s() == 20


def test_any_answer_ends_the_run_and_the_blackout() -> None:
    f = Fixture()
    f.fail(5)
    f.answer()
    assert f.blackout_s() == 0
    f.fail(2)
    assert f.blackout_s() == 0


def test_threshold_factor_and_maximum_are_settings() -> None:
    f = Fixture(failures=1, factor_s=2, max_s=5)
    blackouts = []
    for _ in range(3):
        f.fail()
        blackouts.append(f.blackout_s())
    assert blackouts == [2, 4, 5]


def test_the_response_time_is_the_mean_of_a_lifetime_failures_included() -> None:
    f = Fixture()
    assert f.stats.response_time_s == 0
    f.answer(0.2)
    f.answer(0.6)
    f.clock.now_s += 1_000_000
    f.fail()
    assert f.stats.response_time_s == pytest.approx(0.3)


def test_requests_under_way_are_not_believed_in_after_600_s_without_a_change() -> None:
    f = Fixture()
    f.stats.start(f.clock.now_s)
    f.stats.start(f.clock.now_s)
    assert f.stats.active(f.clock.now_s + 600) == 2
    assert f.stats.active(f.clock.now_s + 600.1) == 0
    f.clock.now_s += 300
    f.stats.release()
    assert f.stats.active(f.clock.now_s + 600) == 1


class Balanced:
    """One node behind a balancer, its stats fed by picks."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.balancer = Balancer(
            RoundRobinRule(),
            EjectionSettings(),
            self.clock,
            Random(1),
            lambda event: None,
            make_stats=lambda: ServerStats(CircuitSettings(), self.clock),
        )
        self.register(1)

    def register(self, last_dirty_ms: int) -> None:
        self.balancer.update([Instance("A", "a", "host", "ip", 80, last_dirty_ms=last_dirty_ms)])

    @property
    def stats(self) -> ServerStats:
        stats = self.balancer.nodes[0].stats
        assert stats is not None
        return stats

    def attempt(self, outcome: Outcome, trouble: Trouble) -> None:
        pick = self.balancer.pick()
        assert pick is not None
        pick.report(outcome, 0.2, trouble)
        pick.release()


def test_an_attempt_is_active_until_its_body_has_ended() -> None:
    f = Balanced()
    pick = f.balancer.pick()
    assert pick is not None
    pick.report(Outcome.SUCCESS, 0.2)
    assert (f.stats.active(f.clock.now_s), f.stats.requests) == (1, 1)
    f.clock.now_s += 700
    pick.release()
    assert f.stats.active(f.clock.now_s) == 0
    assert f.stats.response_time_s == pytest.approx(0.2)


@pytest.mark.parametrize("trouble", [Trouble.REFUSED, Trouble.BROKEN, Trouble.THROTTLED])
def test_no_answer_and_502_to_504_are_connection_failures(trouble: Trouble) -> None:
    f = Balanced()
    for _ in range(3):
        f.attempt(Outcome.FAILURE, trouble)
    assert f.stats.tripped(f.clock.now_s)


@pytest.mark.parametrize("trouble", [Trouble.NONE, Trouble.LIMITED])
def test_any_other_answer_even_a_500_or_429_ends_the_run(trouble: Trouble) -> None:
    f = Balanced()
    f.attempt(Outcome.FAILURE, Trouble.REFUSED)
    f.attempt(Outcome.FAILURE, trouble)
    assert (f.stats.failures, f.stats.requests) == (0, 2)


def test_an_attempt_that_was_given_up_neither_counts_nor_leaks() -> None:
    f = Balanced()
    f.attempt(Outcome.FAILURE, Trouble.REFUSED)
    f.attempt(Outcome.IGNORED, Trouble.NONE)
    assert (f.stats.failures, f.stats.requests, f.stats.active(f.clock.now_s)) == (1, 1, 0)


def test_an_instance_that_registers_anew_is_forgiven() -> None:
    f = Balanced()
    for _ in range(3):
        f.attempt(Outcome.FAILURE, Trouble.REFUSED)
    f.register(2)
    assert not f.stats.tripped(f.clock.now_s)
    assert (f.stats.failures, f.stats.response_time_s) == (0, 0)
