"""A balancer over a few nodes, a clock that passes only when told to, and what the balancer told."""

from random import Random

from loadbalancer.balancer import Balancer, Event, PanicEvent
from loadbalancer.ejection import EjectionSettings
from loadbalancer.judge import EjectionEvent
from loadbalancer.node import Node
from loadbalancer.outcome import Outcome, Trouble
from loadbalancer.pick import Pick
from loadbalancer.rules.round_robin import RoundRobinRule
from registry.instance import Instance

DEFAULTS = EjectionSettings()


def instance(n: int) -> Instance:
    return Instance("ORDERS", f"orders-{n}", f"host-{n}", f"10.0.0.{n}", 8080)


class Clock:
    """Monotonic seconds that pass only when told to."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Fixture:
    """A balancer over `count` nodes with round robin, and what it told."""

    def __init__(self, count: int, settings: EjectionSettings = DEFAULTS, slow_start_s: float = 0.0) -> None:
        self.clock = Clock()
        self.events: list[EjectionEvent] = []
        self.panics: list[bool] = []
        self.balancer = Balancer(
            RoundRobinRule(), settings, self.clock, Random(1), self.hear, slow_start_s=slow_start_s
        )
        self.balancer.update([instance(n) for n in range(count)])
        self.nodes = list(self.balancer.nodes)

    def hear(self, event: Event) -> None:
        if isinstance(event, PanicEvent):
            self.panics.append(event.panic)
        else:
            self.events.append(event)

    def told(self) -> list[tuple[Node, bool, str]]:
        """The nodes that left and came back, in order, and why."""
        return [(event.node, event.ejected, event.reason.value) for event in self.events]

    def pick(self, avoid: tuple[Node, ...] = ()) -> Pick:
        pick = self.balancer.pick(avoid)
        assert pick is not None
        return pick

    def attempt(self, node: Node, outcome: Outcome, latency_s: float = 0.01, trouble: Trouble = Trouble.NONE) -> None:
        """An ordinary attempt on one node: the others are avoided."""
        pick = self.pick(tuple(other for other in self.nodes if other is not node))
        assert pick.node is node
        pick.report(outcome, latency_s, trouble)
        pick.release()

    def eject(self, node: Node) -> None:
        for _ in range(5):
            if not node.ejected:
                self.attempt(node, Outcome.FAILURE)
        assert node.ejected

    def chosen(self, picks: int) -> set[Node]:
        nodes = set()
        for _ in range(picks):
            pick = self.pick()
            nodes.add(pick.node)
            pick.release()
        return nodes
