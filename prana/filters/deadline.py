"""One time budget for all attempts."""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from admin.metrics import ServiceMetrics
from prana.errors import DeadlineExceeded, ResponseTimeout
from prana.request import Handler, Request, Response
from prana.resilience.answers import MEDIAN, AnswerTimes

_TRIED_ANYHOW: Final = 0.1  # of the hopeless requests; drawn, for among requests in a fixed order every tenth is alike


class Deadline:
    """Fixes the moment by which the response head must be there. The wire and the waits between attempts obey it.

    It counts from the arrival of the request, so that a wait for the first registry read is part of it. A caller may
    set an earlier one, never a later one.

    A caller that leaves less than the service's median is refused at once, but only after a request with as much time
    has indeed missed it: the median is that of all requests, and this one may be of a quick kind. A tenth is tried all
    the same, and the first that makes it ends the refusals.
    """

    def __init__(
        self,
        timeout_s: float,
        answers: AnswerTimes,
        metrics: ServiceMetrics,
        clock: Callable[[], float],
        rng: Random,
    ) -> None:
        self._timeout_s = timeout_s
        self._answers = answers
        self._metrics = metrics
        self._clock = clock
        self._rng = rng
        self._hopeless_s = 0.0  # the most time that ran out, of less than the median

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
        return left_s <= self._hopeless_s and self._rng.random() >= _TRIED_ANYHOW

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
