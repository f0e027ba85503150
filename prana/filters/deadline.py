"""One time budget for all attempts."""

from collections.abc import Awaitable, Callable
from math import inf
from typing import Final

from admin.metrics import ServiceMetrics
from prana.errors import DeadlineExceeded, ResponseTimeout
from prana.request import Handler, Request, Response
from prana.resilience.answers import MEDIAN, AnswerTimes

_TRY_INTERVAL_S: Final = 1.0  # between hopeless requests that are tried all the same


class Deadline:
    """Fixes the moment by which the response head must be there. The wire and the waits between attempts obey it.

    It counts from the arrival of the request, so that a wait for the first registry read is part of it. A caller may
    set an earlier one, never a later one.

    A caller that leaves less than the service's median is refused at once: an attempt that cannot finish is not begun.
    But the median is that of all requests, and this one may be of a quick kind, or the slowness over. So one a second
    is tried all the same, and the first that makes it ends the refusals, until one with as much time misses it again.
    """

    def __init__(
        self,
        timeout_s: float,
        answers: AnswerTimes,
        metrics: ServiceMetrics,
        clock: Callable[[], float],
    ) -> None:
        self._timeout_s = timeout_s
        self._answers = answers
        self._metrics = metrics
        self._clock = clock
        self._hopeless_s = inf  # so much time, where it is less than the median, is taken to be too little
        self._next_try_s = inf  # set by the first that is refused

    def __call__(self, request: Request, next: Handler) -> Awaitable[Response]:
        if request.asked_timeout_s:
            return self._hurried(request, next)
        request.deadline_s = request.received_s + self._timeout_s
        return next(request)  # not awaited here: there is nothing left to do, and a coroutine less to pass

    async def _hurried(self, request: Request, next: Handler) -> Response:
        if request.asked_timeout_s >= self._timeout_s:
            request.deadline_s = request.received_s + self._timeout_s
            return await next(request)
        request.deadline_s = request.received_s + request.asked_timeout_s
        left_s = request.deadline_s - self._clock()
        median_s = self._answers.within_s(MEDIAN)
        if left_s <= 0 or (left_s < median_s and self._refuses(left_s)):
            self._metrics.deadline_refused()
            raise DeadlineExceeded(_too_little(left_s, median_s))
        if left_s < median_s:
            return await self._try(request, next, left_s)
        return await next(request)

    def _refuses(self, left_s: float) -> bool:
        if left_s > self._hopeless_s:
            return False
        now_s = self._clock()
        tried = now_s >= self._next_try_s
        if tried or self._next_try_s == inf:
            self._next_try_s = now_s + _TRY_INTERVAL_S
        return not tried

    async def _try(self, request: Request, next: Handler, left_s: float) -> Response:
        try:
            response = await next(request)
        except ResponseTimeout:
            self._hopeless_s = max(self._hopeless_s, left_s)
            raise
        if left_s <= self._hopeless_s:
            self._hopeless_s = 0.0
        return response


def _too_little(left_s: float, median_s: float) -> str:
    if left_s <= 0:
        return "the time that the caller allows was over before an instance could be asked"
    return (
        f"the caller allows {left_s * 1e3:.3g} ms more, and half of the answers take {median_s * 1e3:.3g} ms or longer"
    )
