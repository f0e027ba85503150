"""Which node gets the next attempt of one service."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Protocol

from loadbalancer.ejection import EjectionSettings, Reason, Standing
from loadbalancer.node import Node, NodeKey
from loadbalancer.outcome import CONNECTION_TROUBLES, Outcome, Trouble
from loadbalancer.pick import Pick
from loadbalancer.stats import ServerStats
from registry.instance import Instance


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
class EjectionEvent:
    """A node left the rotation for `backoff_s` seconds, or came back (`ejected` False, `backoff_s` 0)."""

    node: Node
    ejected: bool
    reason: Reason
    backoff_s: float


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
        on_event: Callable[[EjectionEvent], None],
        scope: Scope | None = None,
        make_stats: Callable[[], ServerStats] | None = None,
    ) -> None:
        """Without a `scope` all members are called. `make_stats` is for rules that want ServerStats of each node."""
        self._rule = rule
        self._ejection = ejection
        self._clock = clock
        self._rng = rng
        self._on_event = on_event
        self._scope = scope
        self._make_stats = make_stats
        self._members: dict[NodeKey, Node] = {}
        self._nodes: list[Node] = []  # those in reach
        # Derived from these whenever one of them changes its standing, so that a pick rebuilds nothing.
        self._near: list[Node] = []
        self._rotation: list[Node] = []  # near and not ejected
        self._next_probe_s = inf
        self._next_review_s = inf
        self._due_s = inf  # the earlier of both

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
        before = self._members
        self._members = {}
        forgiven = []
        for instance in instances:
            key = NodeKey.of(instance)
            node = before.get(key)
            if node is None:
                stats = self._make_stats() if self._make_stats is not None else None
                node = Node(instance, Standing(self._ejection, self._clock, self._rng), stats)
            elif instance.last_dirty_ms > node.instance.last_dirty_ms:
                forgiven.append(node)
            node.instance = instance
            self._members[key] = node
        members = list(self._members.values())
        self._nodes = members if self._scope is None else self._scope.reach(members)
        self._refresh()
        for node in forgiven:
            self._forgive(node)
        removed = [node for key, node in before.items() if key not in self._members]
        for node in removed:
            node.standing.retire()
        return removed

    def pick(self, avoid: Collection[Node] = ()) -> Pick | None:
        """Claim a node for one attempt; None when there is no member at all.

        In order: nodes in rotation that are not in `avoid` (those already tried), an ejected one whose probe is due,
        any other ejected one, avoided ones in rotation. With nothing in rotation every member will do (panic, as in
        Envoy and Finagle): a call that might fail beats one that surely does. A due probe takes precedence on a first
        attempt; a retry is not risked on one while there is a better node.
        """
        now_s = self._clock()
        nodes = self._rotation or self._nodes
        fresh = [node for node in nodes if node not in avoid] if avoid else nodes
        if now_s >= self._due_s and not (avoid and fresh):
            probe = self._probe(avoid, now_s)
            if probe is not None:
                return probe
        if not nodes:
            return None
        # Whatever is in rotation has failed this very request: an ejected node may well have recovered meanwhile.
        untried = fresh or [node for node in self._nodes if node not in avoid]
        fit = untried or nodes
        node = self._rule.choose(fit, self._near, now_s) or fit[int(self._rng.random() * len(fit))]
        return Pick(node, now_s, node.standing.ticket, self._settle)

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
        event = self._judge(node, pick.ticket, outcome, now_s)
        if node.stats is not None and outcome is not Outcome.IGNORED:
            node.stats.settle(trouble in CONNECTION_TROUBLES, latency_s, now_s)
        if outcome is Outcome.SUCCESS:
            node.successes += 1
            node.load.succeed(pick.attempt, latency_s, now_s)
        elif outcome is Outcome.FAILURE:
            node.failures += 1
            node.load.fail(pick.attempt, latency_s, now_s, retry_after_s)
        else:
            node.load.ignore(pick.attempt, now_s - pick.started_s, now_s)
        if event is not None:
            self._on_event(event)

    def _judge(self, node: Node, ticket: int, outcome: Outcome, now_s: float) -> EjectionEvent | None:
        """What the outcome means for the node's place in the rotation."""
        standing = node.standing
        if not standing.is_current(ticket):
            return None
        if standing.probing:
            return self._judge_probe(node, outcome, now_s)
        if outcome is Outcome.IGNORED:
            return None
        complaint = standing.count(outcome is Outcome.SUCCESS)
        if complaint is None or not self._may_eject_one_more():
            return None
        return self._eject(node, complaint, now_s)

    def _judge_probe(self, node: Node, outcome: Outcome, now_s: float) -> EjectionEvent | None:
        if outcome is Outcome.SUCCESS:
            return self._readmit(node, Reason.PROBE_SUCCEEDED)
        if outcome is Outcome.FAILURE:
            return self._eject(node, Reason.PROBE_FAILED, now_s)
        node.standing.withdraw_probe()
        self._refresh()
        return None

    def _may_eject_one_more(self) -> bool:
        out = sum(node.ejected for node in self._nodes) + 1
        return out * 100 <= len(self._nodes) * self._ejection.max_ejected_percent

    def _eject(self, node: Node, reason: Reason, now_s: float) -> EjectionEvent:
        backoff_s = node.standing.eject(now_s)
        self._refresh()
        return EjectionEvent(node, True, reason, backoff_s)

    def _readmit(self, node: Node, reason: Reason) -> EjectionEvent:
        node.standing.readmit()
        # The time out was the punishment: keeping the failure penalty as well would leave the node without traffic
        # for another minute.
        node.load.forget()
        self._refresh()
        return EjectionEvent(node, False, reason, 0.0)

    def _forgive(self, node: Node) -> None:
        was_ejected = node.ejected
        if node.stats is not None:
            node.stats.forget()
        event = self._readmit(node, Reason.REGISTERED_AGAIN)
        if was_ejected:
            self._on_event(event)

    def _waiting(self) -> list[Node]:
        return [node for node in self._nodes if node.ejected and not node.standing.probing]

    def _refresh(self) -> None:
        self._near = self._nodes
        if self._scope is not None:
            now_s = self._clock()
            self._near = self._scope.near(self._nodes, now_s)
            self._next_review_s = now_s + self._scope.review_s
        self._rotation = [node for node in self._near if not node.ejected]
        self._next_probe_s = min(map(_retry_at_s, self._waiting()), default=inf)
        self._due_s = min(self._next_probe_s, self._next_review_s)


def _retry_at_s(node: Node) -> float:
    return node.standing.retry_at_s
