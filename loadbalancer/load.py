"""How loaded a node looks from here: peak-EWMA, as in Finagle and linkerd, with additions of our own."""

from collections import OrderedDict
from math import exp, inf

DECAY_S = 10.0  # tau of the average, as in Finagle and linkerd
FAILURE_PENALTY_S = 5.0  # linkerd's LoadBiaser: what a failed attempt costs, however quickly it failed
REST_S = 10.0  # after a failure, until the node is tried again whatever its estimate still says
MAX_REST_S = 60.0
UNMEASURED_S = 1.0  # linkerd's default round-trip time, charged as Finagle does: only while an attempt is under way


class PeakEwma:
    """The load of one node: `cost_s` is what the next attempt is expected to wait, in seconds.

    The estimate jumps up to a slower measurement at once, comes down over `DECAY_S`, and decays towards zero while
    nothing is measured, so that a punished node is tried again. Failures cost `FAILURE_PENALTY_S`; without that, a
    node that fails instantly looks like the fastest one and attracts all traffic.

    A node never measured is free while idle and costs `UNMEASURED_S` per attempt while busy: a new instance gets its
    first request at once, and just one until it has answered (Finagle). Charging linkerd's 1 s while idle as well
    would starve it for a minute beside peers that answer in 2 ms. Finagle's "infinite" penalty while busy would, at a
    cold start, make a node that fails at once preferable to peers that have not answered yet.

    Our additions. When a failed node has rested for `REST_S`, its estimate is forgotten, so that it gets one request;
    each trial that fails doubles the rest, up to `MAX_REST_S`. The penalty alone takes 78 s to decay from 5 s to the
    2 ms of the node's peers, and for as long one failed request would leave one of two nodes idle.

    An attempt that has not been reported yet already tells how slow the node is at least, so the cost is never less
    than the age of the oldest one. A frozen process is then avoided within milliseconds, not once the attempt timeout
    has passed.
    """

    __slots__ = (
        "_attempts",
        "_estimate_s",
        "_oldest_s",
        "_rest_ends_s",
        "_rest_s",
        "_starts_s",
        "_updated_s",
        "pending",
    )

    def __init__(self) -> None:
        self.pending = 0  # attempts picked and not yet released; those streaming a body count
        self._estimate_s: float | None = None  # None: never measured
        self._updated_s = 0.0
        self._rest_s = REST_S  # of the next failure
        self._rest_ends_s = inf  # none is going on
        self._attempts = 0
        # Starts of the attempts not yet reported, oldest first. An OrderedDict, because finding the first entry of a
        # plain dict means stepping over the holes that finished attempts left before it.
        self._starts_s: OrderedDict[int, float] = OrderedDict()
        self._oldest_s = inf

    def cost_s(self, now_s: float) -> float:
        """Expected wait of one more attempt: the estimate times the number of attempts there would be."""
        pending = self.pending
        estimate_s = self._estimate_s
        if estimate_s is not None and now_s < self._rest_ends_s:
            estimate_s *= exp((self._updated_s - now_s) / DECAY_S)
        elif pending:
            estimate_s = UNMEASURED_S
        else:
            return 0.0
        age_s = now_s - self._oldest_s
        return (age_s if age_s > estimate_s else estimate_s) * (pending + 1)

    def start(self, now_s: float) -> int:
        """Count an attempt in; the number returned names it in `succeed`, `fail` and `ignore`."""
        self.pending += 1
        self._attempts += 1
        if not self._starts_s:
            self._oldest_s = now_s
        self._starts_s[self._attempts] = now_s
        return self._attempts

    def succeed(self, attempt: int, latency_s: float, now_s: float) -> None:
        self._unlist(attempt)
        estimate_s = self._estimate_s
        if now_s >= self._rest_ends_s:
            self._end_rest()
        elif estimate_s is not None and latency_s < estimate_s:
            weight = exp((self._updated_s - now_s) / DECAY_S)
            latency_s = estimate_s * weight + latency_s * (1 - weight)
        self._estimate_s = latency_s
        self._updated_s = now_s

    def fail(self, attempt: int, latency_s: float, now_s: float, retry_after_s: float = 0.0) -> None:
        """`retry_after_s`: for how long the node asked to be left alone."""
        self._unlist(attempt)
        self.punish(latency_s, now_s, retry_after_s)

    def punish(self, latency_s: float, now_s: float, retry_after_s: float = 0.0) -> None:
        """As `fail`, of an attempt that has been reported."""
        self._estimate_s = max(self._decayed_s(now_s), latency_s, FAILURE_PENALTY_S, retry_after_s)
        self._updated_s = now_s
        if now_s >= self._rest_ends_s:
            self._rest_s = min(2 * self._rest_s, MAX_REST_S)
        self._rest_ends_s = now_s + max(self._rest_s, retry_after_s)

    def ignore(self, attempt: int, latency_s: float, now_s: float) -> None:
        """The attempt was given up after `latency_s`: the node is at least that slow, and may be slower.

        Without this a frozen node would look idle again each time a caller lost patience.
        """
        self._unlist(attempt)
        if latency_s > self._decayed_s(now_s):
            self._estimate_s = latency_s
            self._updated_s = now_s
            if now_s >= self._rest_ends_s:
                self._rest_ends_s = inf  # the trial has told something, if no verdict

    def release(self) -> None:
        """Count an attempt out that has been reported or ignored."""
        self.pending -= 1

    def forget(self) -> None:
        """Back to never measured; attempts under way still count."""
        self._estimate_s = None
        self._end_rest()

    def _end_rest(self) -> None:
        self._rest_s = REST_S
        self._rest_ends_s = inf

    def _decayed_s(self, now_s: float) -> float:
        if self._estimate_s is None or now_s >= self._rest_ends_s:
            return 0.0
        return self._estimate_s * exp((self._updated_s - now_s) / DECAY_S)

    def _unlist(self, attempt: int) -> None:
        starts_s = self._starts_s
        if starts_s.pop(attempt) == self._oldest_s:
            self._oldest_s = next(iter(starts_s.values())) if starts_s else inf
