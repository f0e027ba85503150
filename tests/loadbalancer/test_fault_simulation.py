"""Linkerd's experiment of 2016 ("Beyond Round Robin"), as a simulation: 11 servers, the first faulty half the time.

Poisson arrivals for 60 s, Gaussian latency of 167 ms +- 5; from 15 s to 45 s the faulty server either takes 2 s or
fails at once. A request succeeds when it is answered well within 1 s. No ejection, no retries: the rule alone.
"""

import heapq
from itertools import count
from random import Random
from statistics import fmean

import pytest

from loadbalancer.balancer import Balancer
from loadbalancer.ejection import EjectionSettings
from loadbalancer.outcome import Outcome
from loadbalancer.pick import Pick
from loadbalancer.rules import rule_named
from registry.instance import Instance

SERVERS = [Instance("ORDERS", f"orders-{n}", f"10.0.0.{n}", f"10.0.0.{n}", 8080) for n in range(11)]
NEVER = EjectionSettings(max_ejected_percent=0)


class Simulation:
    def __init__(self, rule: str, fault: str, seed: int) -> None:
        self.rng = Random(seed)
        self.now_s = 0.0
        self.fault = fault
        self.balancer = Balancer(
            rule_named(rule, self.rng), NEVER, lambda: self.now_s, self.rng, on_event=lambda event: None
        )
        self.balancer.update(SERVERS)
        self.under_way: list[tuple[float, int, Pick, float, bool]] = []  # a heap by end
        self.order = count()
        self.good = 0

    def success_percent(self, per_s: float, seconds: float = 60.0) -> float:
        requests = 0
        arrival_s = self.rng.expovariate(per_s)
        while arrival_s < seconds:
            self.settle_until(arrival_s)
            self.now_s = arrival_s
            self.send()
            requests += 1
            arrival_s += self.rng.expovariate(per_s)
        self.settle_until(seconds + 10)
        assert [node.pending for node in self.balancer.nodes] == [0] * len(SERVERS)
        return 100 * self.good / requests

    def send(self) -> None:
        pick = self.balancer.pick()
        assert pick is not None
        latency_s, works = self.rng.gauss(0.167, 0.005), True
        if pick.node.instance is SERVERS[0] and 15 <= self.now_s < 45:
            latency_s, works = (2.0, True) if self.fault == "slow" else (0.001, False)
        heapq.heappush(self.under_way, (self.now_s + latency_s, next(self.order), pick, latency_s, works))

    def settle_until(self, end_s: float) -> None:
        while self.under_way and self.under_way[0][0] <= end_s:
            self.now_s, _, pick, latency_s, works = heapq.heappop(self.under_way)
            pick.report(Outcome.SUCCESS if works else Outcome.FAILURE, latency_s)
            pick.release()
            self.good += works and latency_s < 1


def success_percent(rule: str, fault: str, per_s: float, seeds: int) -> float:
    return fmean(Simulation(rule, fault, seed).success_percent(per_s) for seed in range(seeds))


@pytest.mark.parametrize(
    ("fault", "per_s", "seeds", "bar"),
    [
        pytest.param("slow", 1000, 1, 99.9, id="A slow, much traffic"),
        pytest.param("slow", 20, 10, 99.7, id="B slow, one sidecar"),
        pytest.param("failing", 1000, 1, 99.9, id="D instant errors, much traffic"),
        pytest.param("failing", 20, 10, 99.8, id="E instant errors, one sidecar"),
    ],
)
def test_p2c_ewma_keeps_traffic_off_the_faulty_server(fault: str, per_s: float, seeds: int, bar: float) -> None:
    assert success_percent("p2c-ewma", fault, per_s, seeds) >= bar
    # The yardstick: round robin loses the faulty server's share, half a share of 11. It also proves the fault is there.
    assert success_percent("RoundRobinRule", fault, per_s, seeds) == pytest.approx(100 - 100 / 22, abs=0.3)
