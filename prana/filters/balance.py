"""One attempt: take a pick, send, settle the pick."""

import time
from collections.abc import Callable
from functools import partial

from admin.metrics import ServiceMetrics
from loadbalancer.balancer import Balancer
from loadbalancer.node import Node
from loadbalancer.outcome import Outcome, Trouble
from loadbalancer.pick import Pick
from prana.errors import ConnectTimeout, DeadlineExceeded, NoInstance, ProxyError, ResponseTimeout
from prana.request import Attempt, End, Request, Response
from prana.resilience.answers import PATIENCE, AnswerTimes
from prana.resilience.classify import outcome_of_error, outcome_of_status, trouble_of_error, trouble_of_status
from prana.resilience.retry_after import ASKS, retry_after_s
from prana.wire.body import BodyStream
from prana.wire.client import AttemptTimes, Client
from prana.wire.tls import UpstreamTls

_SUCCESS, _BROKEN = Outcome.SUCCESS, End.BROKEN  # named as in prana.resilience.classify, for speed
_RETRY_AFTER_S = 5.0  # a registry read away, as a rule
_GRAIN_S = 0.01  # by which timers may be early


class Balance:
    """The end of the pipeline. Nodes this request has tried already are avoided while there are others."""

    def __init__(
        self,
        balancer: Balancer,
        client: Client,
        times: AttemptTimes,
        answers: AnswerTimes,
        metrics: ServiceMetrics,
        clock: Callable[[], float],
        tls: UpstreamTls | None = None,
        epoch_s: Callable[[], float] = time.time,
    ) -> None:
        """`tls` is for instances that are called by it."""
        self._balancer = balancer
        self._client = client
        self._times = times
        self._answers = answers
        self._metrics = metrics
        self._clock = clock
        self._tls = tls
        self._epoch_s = epoch_s

    async def __call__(self, request: Request) -> Response:
        pick = self._balancer.pick(self._avoided(request) if request.attempts else ())
        if pick is None:
            missing = "in our own zone" if self._balancer.members else "UP"
            raise NoInstance(f"the service is known, but no instance of it is {missing}", retry_after_s=_RETRY_AFTER_S)
        instance = pick.node.instance
        attempt = Attempt(pick.node)
        request.attempts.append(attempt)
        try:
            address = instance.host, instance.ip, instance.port, self._tls if instance.secure else None
            response = await self._client.send(request, address, self._times)
        except BaseException as error:
            unfair = self._unfair(error, request, pick.started_s)
            blamed = unfair or error
            attempt.cause = attempt.cause or (blamed.cause if isinstance(blamed, ProxyError) else "cancelled")
            self._settle(pick, outcome_of_error(blamed), attempt, trouble_of_error(blamed))
            pick.release()
            if unfair is not None:
                raise unfair from error
            raise
        status = attempt.status = response.status
        outcome = outcome_of_status(status)
        asked_s = retry_after_s(response.headers, self._epoch_s()) if status in ASKS else 0.0
        self._settle(pick, outcome, attempt, trouble_of_status(status), asked_s)
        if outcome is _SUCCESS:
            self._answers.record(pick.started_s, attempt.duration_s)
        response.on_finish(partial(self._finished, pick, outcome, response.body))
        return response

    def _finished(self, pick: Pick, outcome: Outcome, body: BodyStream | bytes, end: End) -> None:
        # An answer also breaks off where the caller's own upload stalled; and a bad one has been counted.
        if (
            end is _BROKEN
            and outcome is _SUCCESS
            and isinstance(body, BodyStream)
            and body.error is not None
            and outcome_of_error(body.error) is Outcome.FAILURE
        ):
            self._balancer.broke_off(pick)
        pick.release()

    def elsewhere(self, request: Request) -> bool:
        """Whether there is a fit node that the request has not tried."""
        tried = [attempt.node for attempt in request.attempts]
        return any(not node.ejected and node not in tried for node in self._balancer.nodes)

    def _avoided(self, request: Request) -> list[Node]:
        last = request.attempts[-1]
        if last.again and not last.node.ejected:
            return [node for node in self._balancer.nodes if node is not last.node]
        return [attempt.node for attempt in request.attempts]

    def _unfair(self, error: BaseException, request: Request, started_s: float) -> DeadlineExceeded | None:
        """Instead of an error that is not to be held against instance and service: they missed a deadline which the
        caller set so short that good answers miss it, too. One such caller would open the circuit for all."""
        if not isinstance(error, ResponseTimeout | ConnectTimeout) or not _is_callers(request):
            return None
        patience_s = self._answers.within_s(PATIENCE)
        if self._clock() + _GRAIN_S < request.deadline_s or request.deadline_s - started_s >= patience_s:
            return None
        usual = f"{PATIENCE:g} % of the answers take up to {patience_s * 1e3:.3g} ms"
        return DeadlineExceeded(f"{error.detail}, which is all that the caller allows; {usual}", sent=error.sent)

    def _settle(self, pick: Pick, outcome: Outcome, attempt: Attempt, trouble: Trouble, asked_s: float = 0.0) -> None:
        attempt.duration_s = self._clock() - pick.started_s
        pick.report(outcome, attempt.duration_s, trouble, asked_s)
        self._metrics.attempt(outcome)


def _is_callers(request: Request) -> bool:
    """Whether the deadline is what the caller asked for, and not the service's."""
    return request.asked_timeout_s > 0 and request.deadline_s == request.received_s + request.asked_timeout_s
