"""Request id, timing, counters and the access event, at the end of the body."""

import asyncio
import itertools
import secrets
from collections.abc import Callable, Sequence
from functools import partial

from admin.metrics import ProxyMetrics, RequestOutcome
from prana.request import Attempt, End, Handler, Request, Response
from prana.wire.fields import Field
from prana.wire.headers import valid_request_id
from prana.wire.upgrade import SWITCHING_PROTOCOLS

# Named as in prana.resilience.classify, for speed.
_SUCCESS, _BROKEN, _ABANDONED = RequestOutcome.SUCCESS, End.BROKEN, End.ABANDONED

AccessSink = Callable[[Request, Response | None, RequestOutcome, float], None]


class Observe:
    """Sees every request once, also the synthesized answers. `access` gets (request, response, outcome, seconds)."""

    def __init__(self, metrics: ProxyMetrics, clock: Callable[[], float], access: AccessSink | None) -> None:
        self._metrics = metrics
        self._clock = clock
        self._access = access
        # Unique among processes by the random part, among requests by the number; a UUID each costs ten times more.
        self._id_prefix = secrets.token_hex(8).encode()
        self._numbers = itertools.count(1)

    async def __call__(self, request: Request, next: Handler) -> Response:
        if not request.request_id or not valid_request_id(request.request_id):
            request.request_id = self._new_id()
        try:
            response = await next(request)
        except asyncio.CancelledError:
            self._count(request, None, RequestOutcome.CANCELLED)
            raise
        if request.explain:
            self._explain(request, response)
        if response.status == SWITCHING_PROTOCOLS:
            self._switched(request, response)
        else:
            response.on_finish(partial(self._finished, request, response))
        return response

    def _new_id(self) -> bytes:
        return b"%b-%x" % (self._id_prefix, next(self._numbers))

    def _finished(self, request: Request, response: Response, end: End) -> None:
        self._count(request, response, _outcome(request, response, end))

    def _switched(self, request: Request, response: Response) -> None:
        """The caller's wait is over; the request is not, until its tunnel ends."""
        latency_s = self._clock() - request.received_s
        if request.metrics is not None:
            request.metrics.tunnel_opened()

        def finished(end: End) -> None:
            upgrade = request.upgrade
            if upgrade is not None and upgrade.tunnel is not None and request.metrics is not None:
                upgrade.lasted_s = self._clock() - request.received_s - latency_s
                request.metrics.tunnel_closed(upgrade.tunnel.received_bytes, upgrade.tunnel.sent_bytes)
            self._count(request, response, _outcome(request, response, end), latency_s)

        response.on_finish(finished)

    def _count(
        self, request: Request, response: Response | None, outcome: RequestOutcome, latency_s: float | None = None
    ) -> None:
        if latency_s is None:
            latency_s = self._clock() - request.received_s
        series = request.metrics
        if series is None:
            series = self._metrics.other
            series.request_started()
        status = response.status if response is not None else 0
        series.request_finished(request.method, status, outcome, latency_s)
        if request.executed and request.command is not None:
            request.command.answered(latency_s)
        if self._access is not None:
            self._access(request, response, outcome, latency_s)

    def _explain(self, request: Request, response: Response) -> None:
        attempts = request.attempts
        timings = [f"prana;dur={(self._clock() - request.received_s) * 1e3:.3f}"]
        for number, attempt in enumerate(attempts, start=1):
            timings.append(f'attempt-{number};dur={attempt.duration_s * 1e3:.3f};desc="{attempt.result}"')
        if attempts:
            response.headers.append(
                Field(b"X-Prana-Instance", _answering(attempts, response).node.instance.id.encode())
            )
        if request.route:
            response.headers.append(Field(b"X-Prana-Route", request.route.encode()))
        response.headers.append(Field(b"X-Prana-Attempts", b"%d" % len(attempts)))
        response.headers.append(Field(b"Server-Timing", ", ".join(timings).encode()))


def _outcome(request: Request, response: Response, end: End) -> RequestOutcome:
    if end is _ABANDONED:
        return RequestOutcome.CANCELLED
    if end is _BROKEN:
        return RequestOutcome.FAILURE
    if response.fallback:
        return RequestOutcome.FALLBACK
    if response.error is not None:
        return RequestOutcome.FAILURE if request.attempts else RequestOutcome.REJECTED
    return RequestOutcome.FAILURE if response.status >= 500 else _SUCCESS


def _answering(attempts: Sequence[Attempt], response: Response) -> Attempt:
    """The last one, but for hedges, of which the first may answer while the second is under way."""
    answered = (attempt for attempt in reversed(attempts) if attempt.status == response.status and not attempt.cause)
    return next(answered, attempts[-1])
