"""Which node gets the next attempt of one service."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Protocol

from loadbalancer.ejection import EjectionSettings, Reason, Standing
from loadbalancer.judge import EjectionEvent, Judge
from loadbalancer.node import Node, NodeKey
from loadbalancer.outcome import CONNECTION_TROUBLES, Outcome, Trouble
from loadbalancer.pick import Pick
from loadbalancer.stats import ServerStats
from registry.instance import Instance

# Named here because a look into an enum's class costs CPython 3.11 0.07 us, for every request.
_SUCCESS, _FAILURE, _IGNORED = Outcome.SUCCESS, Outcome.FAILURE, Outcome.IGNORED


class Rule(Protocol):
    """How to choose. `fit` are the nodes that may be called now, `members` all that the scope leaves, ejected ones too,
    in the order of the last update, which `fit` keeps. `fit` is never empty, and when no member is fit, it holds
    others; neither must be changed.

    None when the rule finds nobody, as some of Ribbon's do beside fit nodes: any fit one is taken then.
    """

    def choose(self, fit: Sequence[Node], members: Sequence[Node], now_s: float) -> Node | None: ...


class Scope(Protocol):
    """Which members are called at all, as Ribbon's ServerListFilter decides. Orders are kept, arguments not changed."""

    review_s: float  # seconds after which `near` is asked again though nothing has joined, left or changed; inf: never

    def reach(self, members: list[Node]) -> list[Node]:
        """Those that may ever be called: what ejection and panic count among."""
        ...

    def near(self, reach: list[Node], now_s: float) -> list[Node]:
        """Those that are called while they are well: what the rule chooses among."""
        ...


@dataclass(frozen=True, slots=True)
class PanicEvent:
    """So few nodes are in rotation that all members are called, ejected or not; `panic` False: no longer."""

    panic: bool


Event = EjectionEvent | PanicEvent


class Balancer:
    """The nodes of one service, those in rotation, and the choice among them.

    `on_event` is called last, after the state has changed, from within `update` or `Pick.report`.
    """

    def __init__(
        self,
        rule: Rule,
        ejection: EjectionSettings,
        clock: Callable[[], float],
        rng: Random,
        on_event: Callable[[Event], None],
        scope: Scope | None = None,
        make_stats: Callable[[], ServerStats] | None = None,
        slow_start_s: float = 0.0,
    ) -> None:
        """Without a `scope` all members are called. `make_stats` is for rules that want ServerStats of each node,
        `slow_start_s` for those that heed `Node.handicap`."""
        self._rule = rule
        self._ejection = ejection
        self._judge = Judge(ejection)
        self._shadow = Judge(ejection, shadow=True) if ejection.any_rehearses else None
        self._clock = clock
        self._rng = rng
        self._on_event = on_event
        self._scope = scope
        self._make_stats = make_stats
        self._slow_start_s = slow_start_s
        self._members: dict[NodeKey, Node] = {}
        self._nodes: list[Node] = []  # those in reach
        # Derived from these whenever one of them changes its standing, so that a pick rebuilds nothing.
        self._near: list[Node] = []
        self._rotation: list[Node] = []  # near and not ejected; in a panic all
        self._next_probe_s = inf
        self._next_review_s = inf
        self._due_s = inf  # the earlier of both
        self.panic = False
        self._untold: list[Event] = []

    @property
    def nodes(self) -> Sequence[Node]:
        """Every member that may be called, ejected ones too, in the order of the last update."""
        return tuple(self._nodes)

    @property
    def near(self) -> Sequence[Node]:
        """Of these, the ones that are called while they are well."""
        return tuple(self._near)

    @property
    def members(self) -> int:
        """How many there are, those out of reach too."""
        return len(self._members)

    def update(self, instances: Sequence[Instance]) -> list[Node]:
        """Take over a new membership; gives the nodes that are gone, so that their connections can be closed.

        A node whose key stays keeps its load and standing, unless its instance has registered anew since: a restarted
        process is forgiven what the one before did.
        """
        before, now_s = self._members, self._clock()
        self._members = {}
        for instance in instances:
            key = NodeKey.of(instance)
            node = before.get(key)
            if node is None:
                node = self._new_node(instance)
                if before:  # else it is new to us only
                    node.ramp(self._slow_start_s, now_s)
            elif instance.last_dirty_ms > node.last_dirty_ms:
                node.last_dirty_ms = instance.last_dirty_ms
                self._forgive(node, now_s)
            node.instance = instance
            self._members[key] = node
        members = list(self._members.values())
        self._nodes = members if self._scope is None else self._scope.reach(members)
        self._refresh()
        removed = [node for key, node in before.items() if key not in self._members]
        for node in removed:
            node.standing.retire()
        self._tell()
        return removed

    def _new_node(self, instance: Instance) -> Node:
        stats = self._make_stats() if self._make_stats is not None else None
        standing = Standing(self._ejection, self._clock, self._rng)
        if self._shadow is None:
            return Node(instance, standing, stats)
        return Node(instance, standing, stats, Standing(self._ejection, self._clock, self._rng, shadow=True))

    def pick(self, avoid: Collection[Node] = ()) -> Pick | None:
        """Claim a node for one attempt; None when there is no member at all.

        In order: nodes in rotation that are not in `avoid` (those already tried), an ejected one whose probe is due,
        any other that was not tried, avoided ones in rotation. A due probe takes precedence on a first attempt; a retry
        is not risked on one while there is a better node.
        """
        now_s = self._clock()
        nodes = self._rotation
        fresh = [node for node in nodes if node not in avoid] if avoid else nodes
        if now_s >= self._due_s and not (avoid and fresh):
            probe = self._probe(avoid, now_s)
            if probe is not None:
                return probe
        if not nodes:
            return None
        fit = fresh or self._others(avoid) or nodes
        node = self._rule.choose(fit, self._near, now_s) or fit[int(self._rng.random() * len(fit))]
        return Pick(node, now_s, node.standing.ticket, self._settle)

    def attempt(self, node: Node) -> Pick:
        """Claim this very node, for an attempt that serves no caller and counts as any other."""
        return Pick(node, self._clock(), node.standing.ticket, self._settle)

    def broke_off(self, pick: Pick) -> None:
        """The instance ended the body of an answer too early, whose headers were reported as a success: a failure of
        the node besides. Ribbon, which knows of no body, is not told."""
        now_s, node = self._clock(), pick.node
        self._hear(pick, _FAILURE, 0.0, Trouble.BROKEN, now_s)
        node.failures += 1
        node.consecutive_failures += 1
        node.load.punish(0.0, now_s)
        if self._untold:
            self._tell()

    def _others(self, avoid: Collection[Node]) -> list[Node]:
        """Whatever is in rotation has failed this very request: well nodes farther away, or else ejected ones, which
        may have recovered meanwhile."""
        others = [node for node in self._nodes if node not in avoid]
        return [node for node in others if not node.ejected] or others

    def _probe(self, avoid: Collection[Node], now_s: float) -> Pick | None:
        """One real request to the ejected node that has waited longest past its time."""
        if now_s >= self._next_review_s:
            self._refresh()
        waiting = [node for node in self._waiting() if node.standing.retry_at_s <= now_s and node not in avoid]
        if not waiting:
            return None
        node = min(waiting, key=_retry_at_s)
        ticket = node.standing.probe()
        self._refresh()
        return Pick(node, now_s, ticket, self._settle)

    def _settle(self, pick: Pick, outcome: Outcome, latency_s: float, trouble: Trouble, retry_after_s: float) -> None:
        now_s = self._clock()
        node = pick.node
        self._hear(pick, outcome, latency_s, trouble, now_s)
        if node.stats is not None and outcome is not _IGNORED:
            node.stats.settle(trouble in CONNECTION_TROUBLES, latency_s, now_s)
        if outcome is _SUCCESS:
            node.successes += 1
            node.consecutive_failures = 0
            node.load.succeed(pick.attempt, latency_s, now_s)
        elif outcome is _FAILURE:
            node.failures += 1
            node.consecutive_failures += 1
            node.load.fail(pick.attempt, latency_s, now_s, retry_after_s)
        else:
            node.load.ignore(pick.attempt, now_s - pick.started_s, now_s)
        if self._untold:
            self._tell()

    def _hear(self, pick: Pick, outcome: Outcome, latency_s: float, trouble: Trouble, now_s: float) -> None:
        events = self._judge.hear(self._nodes, pick, outcome, latency_s, trouble, now_s)
        if events is not None:
            self._follow(events, now_s)
        if self._shadow is not None:
            self._untold += self._shadow.hear(self._nodes, pick, outcome, latency_s, trouble, now_s) or ()

    def _follow(self, events: Sequence[EjectionEvent], now_s: float) -> None:
        """Standings have changed."""
        for event in events:
            if not event.ejected:
                self._welcome(event.node, now_s)
        self._untold += events
        self._refresh()

    def _welcome(self, node: Node, now_s: float) -> None:
        """Back in rotation: the time out was the punishment. Keeping the failure penalty as well would leave the node
        without traffic for another minute."""
        node.load.forget()
        node.consecutive_failures = 0
        node.ramp(self._slow_start_s, now_s)

    def _forgive(self, node: Node, now_s: float) -> None:
        """Another process answers there."""
        if node.stats is not None:
            node.stats.forget()
        self._welcome(node, now_s)
        self._untold += self._judge.readmit(node, Reason.REGISTERED_AGAIN, now_s)
        if self._shadow is not None:
            self._untold += self._shadow.readmit(node, Reason.REGISTERED_AGAIN, now_s)

    def _tell(self) -> None:
        untold, self._untold = self._untold, []
        for event in untold:
            self._on_event(event)

    def _waiting(self) -> list[Node]:
        return [node for node in self._nodes if node.ejected and not node.standing.probing]

    def _refresh(self) -> None:
        self._near = self._nodes
        if self._scope is not None:
            now_s = self._clock()
            self._near = self._scope.near(self._nodes, now_s)
            self._next_review_s = now_s + self._scope.review_s
        well = [node for node in self._nodes if not node.ejected]
        self._heed_panic(len(well))
        self._rotation = self._nodes if self.panic else [node for node in self._near if not node.ejected] or well
        self._next_probe_s = min(map(_retry_at_s, self._waiting()), default=inf)
        self._due_s = min(self._next_probe_s, self._next_review_s)

    def _heed_panic(self, well: int) -> None:
        """A call that might fail beats one that surely does, and few must not carry the load of all: with less than
        `panic_percent` in rotation, or nobody, every member is called, as in Envoy."""
        count = len(self._nodes)
        panic = count > 0 and (well == 0 or well * 100 < count * self._ejection.panic_percent)
        if panic != self.panic:
            self.panic = panic
            self._untold.append(PanicEvent(panic))


def _retry_at_s(node: Node) -> float:
    return node.standing.retry_at_s
