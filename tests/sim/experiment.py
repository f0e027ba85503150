"""Linkerd's experiment of 2016 ("Beyond Round Robin"), as a deterministic simulation of one client.

Eleven servers answer in 167 ms +- 5 (Gauss) to Poisson arrivals for 60 s; from 15 s to 45 s the first one is at fault.
A request succeeds when it is answered well within 1 s. No ejection and no retries, and the servers have no limit: it
is the rule alone that is seen.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from random import Random
from statistics import fmean
from typing import NamedTuple

from loadbalancer.balancer import Balancer
from loadbalancer.ejection import EjectionSettings
from loadbalancer.outcome import Outcome, Trouble
from loadbalancer.pick import Pick
from loadbalancer.rules import rule_named, wants_stats
from loadbalancer.stats import CircuitSettings, ServerStats
from registry.instance import Instance

SERVERS = [Instance("ORDERS", f"orders-{n}", f"10.0.0.{n}", f"10.0.0.{n}", 8080) for n in range(11)]
SECONDS = 60.0
_NEVER = EjectionSettings(max_ejected_percent=0)


class End(NamedTuple):
    """How an attempt ends, `after_s` seconds from its start."""

    after_s: float
    outcome: Outcome
    trouble: Trouble = Trouble.NONE

    @property
    def good(self) -> bool:
        return self.outcome is Outcome.SUCCESS and self.after_s < 1


SLOW = End(2.0, Outcome.SUCCESS)
TIMES_OUT = End(1.0, Outcome.FAILURE, Trouble.BROKEN)
FAILS_AT_ONCE = End(0.001, Outcome.FAILURE)


@dataclass(frozen=True, slots=True)
class Scenario:
    """`bar` is what the default rule has to reach, in percent."""

    name: str
    title: str
    fault: End
    per_s: float
    bar: float
    seeds: int = 1  # little traffic says little


SCENARIOS = (
    Scenario("A", "slow, 1000/s", SLOW, 1000, 99.9),
    Scenario("B", "slow, 20/s", SLOW, 20, 99.7, seeds=10),
    Scenario("C", "times out, 1000/s", TIMES_OUT, 1000, 99.9),
    Scenario("D", "fails, 1000/s", FAILS_AT_ONCE, 1000, 99.9),
    Scenario("E", "fails, 20/s", FAILS_AT_ONCE, 20, 99.8, seeds=10),
)


class Run:
    """One rule in one scenario, once."""

    def __init__(self, rule: str, fault: End, seed: int) -> None:
        self._rng = Random(seed)
        self._fault = fault
        self._now_s = 0.0
        self._balancer = Balancer(
            rule_named(rule, self._rng),
            _NEVER,
            self._clock,
            self._rng,
            lambda event: None,
            make_stats=partial(ServerStats, CircuitSettings(), self._clock) if wants_stats(rule) else None,
        )
        self._balancer.update(SERVERS)
        self._under_way: list[tuple[float, int, Pick, End]] = []  # a heap by the moment of the end
        self._order = count()
        self._good = 0

    def _clock(self) -> float:
        return self._now_s

    def success_percent(self, per_s: float) -> float:
        requests = 0
        for arrival_s in self._arrivals(per_s):
            self._settle_until(arrival_s)
            self._now_s = arrival_s
            self._send()
            requests += 1
        self._settle_until(SECONDS + 10)
        assert all(node.pending == 0 for node in self._balancer.nodes)
        return 100 * self._good / requests

    def _arrivals(self, per_s: float) -> Iterator[float]:
        at_s = self._rng.expovariate(per_s)
        while at_s < SECONDS:
            yield at_s
            at_s += self._rng.expovariate(per_s)

    def _send(self) -> None:
        pick = self._balancer.pick()
        assert pick is not None
        end = End(self._rng.gauss(0.167, 0.005), Outcome.SUCCESS)
        if pick.node.instance is SERVERS[0] and 15 <= self._now_s < 45:
            end = self._fault
        heapq.heappush(self._under_way, (self._now_s + end.after_s, next(self._order), pick, end))

    def _settle_until(self, until_s: float) -> None:
        while self._under_way and self._under_way[0][0] <= until_s:
            self._now_s, _, pick, end = heapq.heappop(self._under_way)
            pick.report(end.outcome, end.after_s, end.trouble)
            pick.release()
            self._good += end.good


def success_percent(rule: str, scenario: Scenario, *, seeds: int = 0) -> float:
    """The mean over so many seeds, or the scenario's own number."""
    return fmean(
        Run(rule, scenario.fault, seed).success_percent(scenario.per_s) for seed in range(seeds or scenario.seeds)
    )
