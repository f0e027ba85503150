"""What holds for a balancer whatever happens in whatever order."""

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from loadbalancer.balancer import Balancer, Event, PanicEvent
from loadbalancer.ejection import DetectorSettings, EjectionSettings, LatencySettings
from loadbalancer.node import Node
from loadbalancer.outcome import Outcome, Trouble
from loadbalancer.pick import Pick
from loadbalancer.rules import rule_named

from .conftest import Clock, instance

# Everything at once: detectors that act, one in the shadow, and a share that makes panics likely.
SETTINGS = EjectionSettings(
    consecutive_failures=2,
    max_ejected_percent=60,
    panic_percent=50,
    success_ratio=DetectorSettings(shadow=True),
    latency=LatencySettings(enabled=True, min_samples=2, min_nodes=3),
)


def state(node: Node, now_s: float) -> tuple[object, ...]:
    """All that is known of a node, and all that is under way there."""
    standing, shadow = node.standing, node.shadow
    assert shadow is not None
    return (
        *(node.pending, node.successes, node.failures, node.consecutive_failures),
        *(node.load.cost_s(now_s), node.weight(now_s)),
        *(standing.ejected, standing.probing, standing.retry_at_s, standing.ticket, standing.reason),
        *(shadow.ejected, shadow.retry_at_s, shadow.reason),
    )


class BalancerMachine(RuleBasedStateMachine):
    """Accounts balance, one probe a node, no more out than allowed, survivors keep their state."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.out: set[Node] = set()
        self.shadowed: set[Node] = set()
        self.panic = False
        self.balancer = Balancer(
            rule_named("p2c-ewma", Random(1)), SETTINGS, self.clock, Random(2), self.hear, slow_start_s=10.0
        )
        self.under_way: list[Pick] = []
        self.unreported: dict[Pick, bool] = {}  # those are probes where True
        self.streaming: list[Pick] = []  # reported as good, not released
        self.outcomes = {Outcome.SUCCESS: 0, Outcome.FAILURE: 0, Outcome.IGNORED: 0}
        self.seen: set[Node] = set()
        self.registered: Counter[int] = Counter()  # how often each instance did
        self.join(range(4))

    def hear(self, event: Event) -> None:
        if isinstance(event, PanicEvent):
            assert event.panic != self.panic
            self.panic = event.panic
            return
        known = self.shadowed if event.shadow else self.out
        assert (event.node in known) != event.ejected or event.reason == "probe_failed"
        if event.ejected:
            known.add(event.node)
            members = self.balancer.nodes
            out = sum(node.ejected or (event.shadow and node.would_be_ejected) for node in members)
            assert event.reason == "probe_failed" or out * 100 <= len(members) * SETTINGS.max_ejected_percent
        else:
            known.remove(event.node)

    def update(self, members: Collection[int]) -> None:
        before = set(self.balancer.nodes)
        removed = self.balancer.update([replace(instance(n), last_dirty_ms=self.registered[n]) for n in members])
        assert set(removed) == before - set(self.balancer.nodes)
        self.out -= set(removed)
        self.shadowed -= set(removed)
        self.seen |= set(self.balancer.nodes)

    @rule(members=st.sets(st.integers(0, 6)))
    def join(self, members: Collection[int]) -> None:
        before = {node: state(node, self.clock()) for node in self.balancer.nodes}
        self.update(members)
        survivors = before.keys() & set(self.balancer.nodes)
        assert {node: state(node, self.clock()) for node in survivors} == {node: before[node] for node in survivors}

    @rule(n=st.integers(0, 6))
    def register_anew(self, n: int) -> None:
        before = {node: state(node, self.clock()) for node in self.balancer.nodes}
        members = [int(node.key.id.removeprefix("orders-")) for node in before]
        self.registered[n] += 1
        self.update(members)
        for number, node in zip(members, before, strict=True):
            if number != n:
                assert state(node, self.clock()) == before[node]
            else:
                self.unreported |= {pick: False for pick in self.unreported if pick.node is node}
                assert not (node.ejected or node.would_be_ejected or node.consecutive_failures)
                assert node.weight(self.clock()) == 0.1

    @rule(avoid=st.sets(st.integers(0, 6)))
    def pick(self, avoid: set[int]) -> None:
        nodes = self.balancer.nodes
        tried = {nodes[n] for n in avoid if n < len(nodes)}
        probing = {node for node in nodes if node.standing.probing}
        pick = self.balancer.pick(tried)
        assert (pick is None) == (not nodes)
        if pick is None:
            return
        is_probe = pick.node.standing.probing and pick.node not in probing
        if pick.node.ejected and not is_probe and not self.balancer.panic:
            assert all(node.ejected or node in tried for node in nodes), "only untried among tried ones"
        if pick.node in tried:
            assert all(node in tried for node in nodes if self.balancer.panic or not node.ejected)
        self.under_way.append(pick)
        self.unreported[pick] = is_probe

    @precondition(lambda self: self.under_way)
    @rule(
        data=st.data(),
        outcome=st.sampled_from(Outcome),
        trouble=st.sampled_from(Trouble),
        latency_s=st.sampled_from([0.01, 0.5]),
        retry_after_s=st.sampled_from([0.0, 30.0]),
    )
    def report(
        self, data: st.DataObject, outcome: Outcome, trouble: Trouble, latency_s: float, retry_after_s: float
    ) -> None:
        pick = data.draw(st.sampled_from(self.under_way))
        pick.report(outcome, latency_s, trouble, retry_after_s)
        if self.unreported.pop(pick, None) is not None:
            self.outcomes[outcome] += 1
            if outcome is Outcome.SUCCESS:
                self.streaming.append(pick)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        pick = data.draw(st.sampled_from(self.under_way))
        pick.release()
        self.under_way.remove(pick)
        self.unreported.pop(pick, None)
        if pick in self.streaming:
            self.streaming.remove(pick)

    @precondition(lambda self: self.streaming)
    @rule(data=st.data())
    def break_off(self, data: st.DataObject) -> None:
        pick = data.draw(st.sampled_from(self.streaming))
        self.streaming.remove(pick)
        self.balancer.broke_off(pick)
        self.outcomes[Outcome.FAILURE] += 1

    @rule(outcome=st.sampled_from(Outcome), rounds=st.integers(1, 3))
    def answer_all(self, outcome: Outcome, rounds: int) -> None:
        """Each node gets some requests, and each the same answer."""
        for node in (*self.balancer.nodes,) * rounds:
            pick = self.balancer.attempt(node)
            pick.report(outcome, 0.01 if node.key.id > "orders-1" else 0.9)
            pick.release()
            self.outcomes[outcome] += 1

    @precondition(lambda self: any(node.ejected and not node.standing.probing for node in self.balancer.nodes))
    @rule(outcome=st.sampled_from(Outcome), latency_s=st.sampled_from([0.01, 0.9]))
    def probe(self, outcome: Outcome, latency_s: float) -> None:
        waiting = [node for node in self.balancer.nodes if node.ejected and not node.standing.probing]
        due_s = min(node.standing.retry_at_s for node in waiting)
        self.clock.now_s = max(self.clock.now_s, due_s)
        pick = self.balancer.pick()
        assert pick is not None
        assert pick.node in waiting
        pick.report(outcome, latency_s)
        pick.release()
        self.outcomes[outcome] += 1
        assert pick.node.ejected or outcome is Outcome.SUCCESS

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.clock.now_s += seconds

    @invariant()
    def accounts_balance(self) -> None:
        for node in self.seen:
            assert node.pending == sum(pick.node is node for pick in self.under_way)
        assert sum(node.successes for node in self.seen) == self.outcomes[Outcome.SUCCESS]
        assert sum(node.failures for node in self.seen) == self.outcomes[Outcome.FAILURE]

    @invariant()
    def every_probe_is_one_request_under_way(self) -> None:
        for node in self.balancer.nodes:
            probes = sum(is_probe and pick.node is node for pick, is_probe in self.unreported.items())
            assert probes == node.standing.probing
            assert (node.ejected, node.would_be_ejected) == (node in self.out, node in self.shadowed)

    @invariant()
    def a_panic_is_less_than_half_in_rotation(self) -> None:
        nodes = self.balancer.nodes
        well = sum(not node.ejected for node in nodes)
        assert self.balancer.panic == self.panic == (well * 2 < len(nodes))


TestBalancerMachine = BalancerMachine.TestCase
TestBalancerMachine.settings = settings(max_examples=80, stateful_step_count=60)
