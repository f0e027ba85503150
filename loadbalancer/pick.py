"""One attempt's claim on a node, and how it is settled."""

from collections.abc import Callable
from enum import StrEnum

from loadbalancer.node import Node


class Outcome(StrEnum):
    """What an attempt tells about its node; IGNORED tells nothing, as when the caller hung up."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"


class Trouble(StrEnum):
    """What was the matter, as far as judges of nodes differ about it."""

    NONE = "none"  # an answer came, whatever its status but those of LIMITED and THROTTLED
    LIMITED = "limited"  # 429: it works, but does no more for us now
    THROTTLED = "throttled"  # 502, 503 or 504: an answer that says that there is none
    BROKEN = "broken"  # no answer: a timeout, a reset, no HTTP
    REFUSED = "refused"  # nobody listens there


CONNECTION_TROUBLES = frozenset({Trouble.THROTTLED, Trouble.BROKEN, Trouble.REFUSED})
"""What Ribbon counts as a connection failure of a server."""


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
            self.report(Outcome.IGNORED, 0.0)
            self.node.load.release()
            if self.node.stats is not None:
                self.node.stats.release()


Settle = Callable[[Pick, Outcome, float, Trouble, float], None]
