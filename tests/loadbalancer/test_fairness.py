"""Nodes that are alike share alike, whoever comes and goes beside them."""

from collections import Counter, deque
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadbalancer.balancer import Balancer
from loadbalancer.ejection import EjectionSettings
from loadbalancer.outcome import Outcome
from loadbalancer.pick import Pick
from loadbalancer.rules import rule_named
from registry.instance import Instance
from tests.loadbalancer.nodes import Clock

RESIDENTS = [Instance("A", f"resident{n}", "host", "ip", n + 1) for n in range(4)]
VISITORS = [Instance("A", f"visitor{n}", "host", "ip", n + 101) for n in range(6)]
LATENCY_S = 0.01


@pytest.mark.parametrize("rule", ["p2c-ewma", "p2c-least-request", "RoundRobinRule", "RandomRule", "ZoneAvoidanceRule"])
@given(
    visits=st.lists(st.sets(st.integers(0, 5)), min_size=3, max_size=8),
    under_way=st.integers(1, 9),
    seed=st.integers(0, 99),
)
@settings(max_examples=25)
def test_those_who_stay_have_the_same_share_within_twofold(
    rule: str, visits: list[set[int]], under_way: int, seed: int
) -> None:
    clock, rng = Clock(), Random(seed)
    balancer = Balancer(rule_named(rule, rng), EjectionSettings(), clock, rng, lambda event: None, slow_start_s=1.0)
    waiting: deque[Pick] = deque()
    shares: Counter[str] = Counter()
    for visit in visits:
        balancer.update([*RESIDENTS, *(VISITORS[n] for n in visit)])
        for _ in range(200):
            pick = balancer.pick()
            assert pick is not None
            shares[pick.node.instance.id] += 1
            waiting.append(pick)
            clock.now_s += LATENCY_S / under_way
            while len(waiting) >= under_way:
                done = waiting.popleft()
                done.report(Outcome.SUCCESS, LATENCY_S)
                done.release()
    counts = [shares[each.id] for each in RESIDENTS]
    assert max(counts) <= 2 * min(counts)
