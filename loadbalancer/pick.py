"""One attempt's claim on a node, and how it is settled."""

from collections.abc import Callable
from enum import StrEnum

from loadbalancer.node import Node


class Outcome(StrEnum):
    """What an attempt tells about its node; IGNORED tells nothing, as when the caller hung up."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"


class Pick:
    """The whole accounting of one attempt: `report` once at response headers, `release` once at body end.

    The first call of each counts and later ones do nothing, so that every error path may settle what it holds without
    knowing how far the attempt got. Released without a report is IGNORED.
    """

    __slots__ = ("_released", "_reported", "_settle", "attempt", "node", "started_s", "ticket")

    def __init__(
        self, node: Node, started_s: float, ticket: int, settle: Callable[["Pick", Outcome, float], None]
    ) -> None:
        self.node = node
        self.started_s = started_s  # monotonic
        self.ticket = ticket
        self.attempt = node.load.start(started_s)
        self._settle = settle
        self._reported = False
        self._released = False

    def report(self, outcome: Outcome, latency_s: float) -> None:
        """`latency_s`: seconds until response headers; of no account when IGNORED, the elapsed time is used then."""
        if not self._reported:
            self._reported = True
            self._settle(self, outcome, latency_s)

    def release(self) -> None:
        if not self._released:
            self._released = True
            self.report(Outcome.IGNORED, 0.0)
            self.node.load.release()
