"""Breaker and bulkhead: refuse before work is spent."""

from collections.abc import Callable

from admin.metrics import CommandMetrics, Event
from prana.errors import CircuitOpen, ConnectTimeout, Overloaded, ProxyError, ResponseTimeout
from prana.request import End, Handler, Request, Response
from prana.resilience.breaker import Breaker
from prana.resilience.bulkhead import Bulkhead
from prana.resilience.classify import verdict_of_error, verdict_of_status
from prana.resilience.verdict import Verdict

_OVERLOAD_RETRY_AFTER_S = 1.0
_TIMER_S = 0.001  # timers of the loop are that exact


class Admit:
    """The command boundary, as in Hystrix: what passes counts for the breaker, and holds a place.

    The place is left on the request as `release_place`: it is held until the last byte of the answer is out, also of a
    fallback's that had to be found first.
    """

    def __init__(
        self, breaker: Breaker, bulkhead: Bulkhead, metrics: CommandMetrics, clock: Callable[[], float]
    ) -> None:
        self._breaker = breaker
        self._bulkhead = bulkhead
        self._metrics = metrics
        self._clock = clock
        self._release_place = self._release  # bound once

    async def __call__(self, request: Request, next: Handler) -> Response:
        breaker = self._breaker
        permit = breaker.admit()
        if permit is None:
            self._metrics.event(Event.SHORT_CIRCUITED)
            raise CircuitOpen(breaker.refusal, retry_after_s=breaker.retry_after_s)
        if not self._bulkhead.try_acquire():
            breaker.record(permit, Verdict.FAILURE)
            self._metrics.event(Event.SEMAPHORE_REJECTED)
            detail = f"{self._bulkhead.limit} requests to this service are in progress already"
            raise Overloaded(detail, retry_after_s=_OVERLOAD_RETRY_AFTER_S)
        request.executed = True
        request.release_place = self._release_place
        started_s = self._clock()
        try:
            response = await next(request)
        except BaseException as error:
            now_s = self._clock()
            breaker.record(permit, verdict_of_error(error), now_s - started_s)
            self._metrics.event(_event_of(error, request.deadline_s - now_s))
            self._metrics.executed(now_s - started_s)
            raise
        took_s = self._clock() - started_s
        verdict = verdict_of_status(response.status)
        breaker.record(permit, verdict, took_s)
        self._metrics.event(Event.SUCCESS if verdict is Verdict.SUCCESS else Event.FAILURE)
        self._metrics.executed(took_s)
        return response

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
