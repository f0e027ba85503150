"""Breaker and bulkhead: refuse before work is spent."""

from collections.abc import Callable

from admin.metrics import CommandMetrics, Event
from prana.errors import CircuitOpen, ConnectTimeout, Overloaded, ProxyError, ResponseTimeout
from prana.request import End, Handler, Request, Response
from prana.resilience.breaker import Breaker
from prana.resilience.bulkhead import Bulkhead
from prana.resilience.classify import load_of_error, load_of_status, verdict_of_error, verdict_of_status
from prana.resilience.gradient import Gradient2, Load
from prana.resilience.trials import Permit
from prana.resilience.verdict import Verdict

# Named as in prana.resilience.classify, for speed.
_WORKS, _SUCCESS, _FAILURE = Verdict.SUCCESS, Event.SUCCESS, Event.FAILURE
_OVERLOAD_RETRY_AFTER_S = 1.0
_TIMER_S = 0.001  # timers of the loop are that exact


class Admit:
    """The command boundary, as in Hystrix: what passes counts for the breaker, and holds a place.

    The place is left on the request as `release_place`: it is held until the last byte of the answer is out, also of a
    fallback's that had to be found first.
    """

    def __init__(
        self,
        breaker: Breaker,
        bulkhead: Bulkhead,
        metrics: CommandMetrics,
        clock: Callable[[], float],
        adaptive: Gradient2 | None = None,
    ) -> None:
        """`adaptive` is what the limit of the bulkhead follows."""
        self._breaker = breaker
        self._bulkhead = bulkhead
        self._metrics = metrics
        self._clock = clock
        self._adaptive = adaptive
        self._release_place = self._release  # bound once

    async def __call__(self, request: Request, next: Handler) -> Response:
        permit = self._breaker.admit()
        if permit is None:
            raise self._short_circuited()
        if not self._bulkhead.try_acquire():
            raise self._rejected(permit)
        request.executed = True
        request.release_place = self._release_place
        started_s = self._clock()
        try:
            response = await next(request)
        except BaseException as error:
            self._failed(permit, error, self._clock() - started_s, request.deadline_s)
            raise
        took_s = self._clock() - started_s
        verdict = verdict_of_status(response.status)
        self._breaker.record(permit, verdict, took_s)
        self._metrics.event(_SUCCESS if verdict is _WORKS else _FAILURE)
        self._metrics.executed(took_s)
        if self._adaptive is not None:
            self._adapt(self._adaptive, load_of_status(response.status), took_s)
        return response

    def _short_circuited(self) -> CircuitOpen:
        self._metrics.event(Event.SHORT_CIRCUITED)
        return CircuitOpen(self._breaker.refusal, retry_after_s=self._breaker.retry_after_s)

    def _rejected(self, permit: Permit) -> Overloaded:
        """Hystrix counts it among the errors. A limit that follows the load refuses as a matter of course."""
        self._breaker.record(permit, Verdict.FAILURE if self._adaptive is None else Verdict.IGNORED)
        self._metrics.event(Event.SEMAPHORE_REJECTED)
        detail = f"{self._bulkhead.limit} requests to this service are in progress already"
        return Overloaded(detail, retry_after_s=_OVERLOAD_RETRY_AFTER_S)

    def _failed(self, permit: Permit, error: BaseException, took_s: float, deadline_s: float) -> None:
        self._breaker.record(permit, verdict_of_error(error), took_s)
        self._metrics.event(_event_of(error, deadline_s - self._clock()))
        self._metrics.executed(took_s)
        if self._adaptive is not None:
            self._adapt(self._adaptive, load_of_error(error), took_s)

    def _adapt(self, adaptive: Gradient2, load: Load, took_s: float) -> None:
        self._bulkhead.limit = adaptive.learn(load, took_s, self._bulkhead.in_use)

    def _release(self, end: End) -> None:
        self._bulkhead.release()


def _event_of(error: BaseException, left_s: float) -> Event:
    """A connection that was not made is a failure; if the deadline was what ended it, that is what counts."""
    if isinstance(error, ResponseTimeout) or (isinstance(error, ConnectTimeout) and left_s < _TIMER_S):
        return Event.TIMEOUT
    verdict = verdict_of_error(error)
    if verdict is Verdict.CANCELLED:
        return Event.CANCELLED
    return Event.BAD_REQUEST if verdict is Verdict.IGNORED and isinstance(error, ProxyError) else Event.FAILURE
