"""One attempt's claim on a node, and how it is settled."""

from collections.abc import Callable

from loadbalancer.node import Node
from loadbalancer.outcome import Outcome, Trouble


class Pick:
    """The whole accounting of one attempt: `report` once at response headers, `release` once at body end.

    The first call of each counts and later ones do nothing, so that every error path may settle what it holds without
    knowing how far the attempt got. Released without a report is IGNORED.
    """

    __slots__ = ("_released", "_reported", "_settle", "attempt", "node", "started_s", "ticket")

    def __init__(self, node: Node, started_s: float, ticket: int, settle: "Settle") -> None:
        self.node = node
        self.started_s = started_s  # monotonic
        self.ticket = ticket
        self.attempt = node.load.start(started_s)
        if node.stats is not None:
            node.stats.start(started_s)
        self._settle = settle
        self._reported = False
        self._released = False

    def report(
        self, outcome: Outcome, latency_s: float, trouble: Trouble = Trouble.NONE, retry_after_s: float = 0.0
    ) -> None:
        """`latency_s`: seconds until response headers; of no account when IGNORED, the elapsed time is used then.
        `retry_after_s` is for how long the node asked to be left alone; 0 when it did not."""
        if not self._reported:
            self._reported = True
            self._settle(self, outcome, latency_s, trouble, retry_after_s)

    def release(self) -> None:
        if not self._released:
            self._released = True
            if not self._reported:
                self.report(Outcome.IGNORED, 0.0)
            self.node.load.release()
            if self.node.stats is not None:
                self.node.stats.release()


Settle = Callable[[Pick, Outcome, float, Trouble, float], None]
