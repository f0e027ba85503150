"""One attempt: take a pick, send, settle the pick."""

import time
from collections.abc import Callable
from functools import partial

from admin.metrics import ServiceMetrics
from loadbalancer.balancer import Balancer
from loadbalancer.outcome import Outcome, Trouble
from loadbalancer.pick import Pick
from prana.errors import NoInstance, ProxyError
from prana.request import Attempt, End, Request, Response
from prana.resilience.classify import outcome_of_error, outcome_of_status, trouble_of_error, trouble_of_status
from prana.resilience.retry_after import ASKS, retry_after_s
from prana.wire.body import BodyStream
from prana.wire.client import AttemptTimes, Client
from prana.wire.tls import UpstreamTls

_RETRY_AFTER_S = 5.0  # a registry read away, as a rule


class Balance:
    """The end of the pipeline. Nodes this request has tried already are avoided while there are others."""

    def __init__(
        self,
        balancer: Balancer,
        client: Client,
        times: AttemptTimes,
        metrics: ServiceMetrics,
        clock: Callable[[], float],
        tls: UpstreamTls | None = None,
        epoch_s: Callable[[], float] = time.time,
    ) -> None:
        """`tls` is for instances that are called by it."""
        self._balancer = balancer
        self._client = client
        self._times = times
        self._metrics = metrics
        self._clock = clock
        self._tls = tls
        self._epoch_s = epoch_s

    async def __call__(self, request: Request) -> Response:
        pick = self._balancer.pick([attempt.node for attempt in request.attempts] if request.attempts else ())
        if pick is None:
            missing = "in our own zone" if self._balancer.members else "UP"
            raise NoInstance(f"the service is known, but no instance of it is {missing}", retry_after_s=_RETRY_AFTER_S)
        instance = pick.node.instance
        attempt = Attempt(pick.node)
        request.attempts.append(attempt)
        started_s = self._clock()
        try:
            address = instance.host, instance.ip, instance.port, self._tls if instance.secure else None
            response = await self._client.send(request, address, self._times)
        except BaseException as error:
            attempt.cause = error.cause if isinstance(error, ProxyError) else "cancelled"
            self._settle(pick, outcome_of_error(error), attempt, started_s, trouble_of_error(error))
            pick.release()
            raise
        status = attempt.status = response.status
        asked_s = retry_after_s(response.headers, self._epoch_s()) if status in ASKS else 0.0
        self._settle(pick, outcome_of_status(status), attempt, started_s, trouble_of_status(status), asked_s)
        response.on_finish(partial(self._finished, pick, response.body))
        return response

    def _finished(self, pick: Pick, body: BodyStream | bytes, end: End) -> None:
        # Broken has an answer also where the caller's own upload stalled.
        if (
            end is End.BROKEN
            and isinstance(body, BodyStream)
            and body.error is not None
            and outcome_of_error(body.error) is Outcome.FAILURE
        ):
            self._balancer.broke_off(pick)
        pick.release()

    def _settle(
        self,
        pick: Pick,
        outcome: Outcome,
        attempt: Attempt,
        started_s: float,
        trouble: Trouble,
        asked_s: float = 0.0,
    ) -> None:
        attempt.duration_s = self._clock() - started_s
        pick.report(outcome, attempt.duration_s, trouble, asked_s)
        self._metrics.attempt(outcome)
