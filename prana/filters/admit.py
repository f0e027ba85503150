"""Breaker and bulkhead: refuse before work is spent."""

import asyncio
from collections.abc import Callable

from admin.metrics import CommandMetrics, Event
from prana.errors import CircuitOpen, Overloaded, ProxyError, ResponseTimeout
from prana.request import End, Handler, Request, Response
from prana.resilience.breaker import Breaker, Verdict
from prana.resilience.bulkhead import Bulkhead
from prana.resilience.classify import verdict_of_error, verdict_of_status

_OVERLOAD_RETRY_AFTER_S = 1.0


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
            retry_after_s = breaker.retry_after_s
            raise CircuitOpen(f"{_failing(breaker)}; next trial in {retry_after_s:.1f} s", retry_after_s=retry_after_s)
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
            breaker.record(permit, verdict_of_error(error))
            self._metrics.event(_event_of(error))
            self._metrics.executed(self._clock() - started_s)
            raise
        verdict = verdict_of_status(response.status)
        breaker.record(permit, verdict)
        self._metrics.event(Event.SUCCESS if verdict is Verdict.SUCCESS else Event.FAILURE)
        self._metrics.executed(self._clock() - started_s)
        return response

    def _release(self, end: End) -> None:
        self._bulkhead.release()


def _failing(breaker: Breaker) -> str:
    return f"{breaker.error_percentage} % of {breaker.request_count} recent requests to this service failed"


def _event_of(error: BaseException) -> Event:
    if isinstance(error, ResponseTimeout):
        return Event.TIMEOUT
    if isinstance(error, asyncio.CancelledError):
        return Event.CANCELLED
    if isinstance(error, ProxyError) and verdict_of_error(error) is Verdict.CANCELLED:
        return Event.BAD_REQUEST
    return Event.FAILURE
