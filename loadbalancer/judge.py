"""Who is ejected and who comes back: what outcomes mean for the nodes of one service, beside each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from loadbalancer.ejection import EjectionSettings, Reason, Standing
from loadbalancer.latency import limit_s
from loadbalancer.node import Node
from loadbalancer.outcome import Outcome, Trouble
from loadbalancer.pick import Pick

_SUCCESS, _IGNORED = Outcome.SUCCESS, Outcome.IGNORED  # named here as in loadbalancer.balancer, for speed
_COMPARE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class EjectionEvent:
    """A node left the rotation for `backoff_s` seconds, or came back (`ejected` False, `backoff_s` 0).

    With `shadow` it did not: detectors in shadow mode would have had it so.
    """

    node: Node
    ejected: bool
    reason: Reason
    backoff_s: float
    shadow: bool = False


class Judge:
    """Changes the standings of nodes, for the detectors that act; or their shadows, for those in shadow mode.

    Nothing follows from a shadow but its events, which come as seldom as real ones: a would-be time out lasts as long,
    nothing counts meanwhile, and the first attempt after it is taken for the probe.
    """

    def __init__(self, settings: EjectionSettings, *, shadow: bool = False) -> None:
        self._settings = settings
        self._shadow = shadow
        compares = (settings.rehearses if shadow else settings.acts)(settings.latency)
        self._compare_at_s = 0.0 if compares else inf

    def hear(
        self, nodes: Sequence[Node], pick: Pick, outcome: Outcome, latency_s: float, trouble: Trouble, now_s: float
    ) -> Sequence[EjectionEvent] | None:
        """Take in how an attempt at one of `nodes` ended; None when that changed no standing, as nearly always."""
        node = pick.node
        standing = node.standing
        if pick.ticket != standing.current:
            return None
        if self._shadow:
            if node.shadow is None or pick.started_s < node.shadow.retry_at_s:
                return None
            standing = node.shadow
            standing.probing = standing.ejected
        if standing.probing:
            return self._judge_probe(nodes, node, standing, outcome, latency_s, now_s)
        if outcome is _IGNORED:
            return None
        complaint = standing.succeed(latency_s) if outcome is _SUCCESS else standing.fail(trouble)
        if complaint is None and now_s < self._compare_at_s:
            return None
        events = []
        if complaint is not None and self._may_eject_one_more(nodes):
            events.append(self._eject(node, standing, complaint, now_s))
        if now_s >= self._compare_at_s:
            self._compare_at_s = now_s + _COMPARE_EVERY_S
            events += self._compare(nodes, now_s)
        return events or None

    def readmit(self, node: Node, reason: Reason, now_s: float) -> Sequence[EjectionEvent]:
        """A clean record; an event if the node was out."""
        standing = node.shadow if self._shadow else node.standing
        if standing is None:
            return ()
        was_ejected = standing.ejected
        standing.readmit(now_s)
        return [EjectionEvent(node, False, reason, 0.0, self._shadow)] if was_ejected else ()

    def _judge_probe(
        self, nodes: Sequence[Node], node: Node, standing: Standing, outcome: Outcome, latency_s: float, now_s: float
    ) -> Sequence[EjectionEvent]:
        if outcome is _IGNORED:
            standing.withdraw_probe()
            return ()
        if outcome is _SUCCESS and (latency_s <= standing.limit_s or self._is_usual(nodes, latency_s)):
            return self.readmit(node, Reason.PROBE_SUCCEEDED, now_s)
        return [self._eject(node, standing, Reason.PROBE_FAILED, now_s)]

    def _compare(self, nodes: Sequence[Node], now_s: float) -> Sequence[EjectionEvent]:
        """Eject those that are slow beside their peers, the slowest first."""
        measured = self._measured(nodes)
        if len(measured) < self._settings.latency.min_nodes:
            return ()
        limit = self._limit_s(measured)
        slow = sorted((each for each in measured if each[0] > limit), key=lambda each: each[0], reverse=True)
        events = []
        for _, node, standing in slow:
            if self._may_eject_one_more(nodes):
                standing.limit_s = limit
                events.append(self._eject(node, standing, Reason.LATENCY, now_s))
        return events

    def _is_usual(self, nodes: Sequence[Node], latency_s: float) -> bool:
        """Whether peers are as slow by now as a node that was ejected beside faster ones."""
        measured = self._measured(nodes)
        return bool(measured) and latency_s <= self._limit_s(measured)

    def _measured(self, nodes: Sequence[Node]) -> list[tuple[float, Node, Standing]]:
        """The nodes that can be compared, with their medians."""
        measured = []
        for node in nodes:
            standing = node.shadow if self._shadow else node.standing
            if standing is None or standing.latencies is None or standing.ejected or node.ejected:
                continue
            median_s = standing.latencies.median_s(self._settings.latency.min_samples)
            if median_s is not None:
                measured.append((median_s, node, standing))
        return measured

    def _limit_s(self, measured: Sequence[tuple[float, Node, Standing]]) -> float:
        settings = self._settings.latency
        return limit_s([median_s for median_s, _, _ in measured], settings.deviations, settings.floor_s)

    def _may_eject_one_more(self, nodes: Sequence[Node]) -> bool:
        out = sum(node.ejected or (self._shadow and node.would_be_ejected) for node in nodes) + 1
        return out * 100 <= len(nodes) * self._settings.max_ejected_percent

    def _eject(self, node: Node, standing: Standing, reason: Reason, now_s: float) -> EjectionEvent:
        return EjectionEvent(node, True, reason, standing.eject(now_s, reason), self._shadow)
