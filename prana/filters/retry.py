"""Another attempt where it is safe, useful, in time and within the budget."""

import asyncio
from collections.abc import Callable, Collection

import tenacity
from tenacity.wait import wait_random_exponential

from admin.metrics import ServiceMetrics
from prana.errors import ProxyError
from prana.request import Handler, Request, Response
from prana.resilience.budget import RetryBudget
from prana.resilience.classify import may_retry, may_retry_status

# Envoy's backoff: fully jittered from 25 ms, at most ten times that.
_BACKOFF = wait_random_exponential(multiplier=0.025, max=0.25)


class _BadAnswer(Exception):
    """An answer with a status worth another attempt; delivered after all when there is none."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"status {response.status}")
        self.response = response


class Retry:
    """The first attempt is a plain await; tenacity is entered only after it failed, for it costs 15-30 us a call."""

    def __init__(
        self,
        max_retries: int,
        statuses: Collection[int],
        replay_bytes: int,
        budget: RetryBudget,
        metrics: ServiceMetrics,
        clock: Callable[[], float],
    ) -> None:
        self._max_retries = max_retries
        self._statuses = frozenset(statuses)
        self._replay_bytes = replay_bytes
        self._budget = budget
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, request: Request, next: Handler) -> Response:
        self._budget.deposit()
        if request.body is not None:
            request.body.retain(self._replay_bytes)
        failure: ProxyError | _BadAnswer
        try:
            response = await next(request)
            if response.status not in self._statuses:
                return response
            failure = _BadAnswer(response)
        except ProxyError as error:
            failure = error
        if self._max_retries > 0 and self._may_retry(request, failure):
            return await self._again(request, next, failure)
        return _settled(failure)

    async def _attempt(self, request: Request, next: Handler) -> Response:
        response = await next(request)
        if response.status in self._statuses:
            raise _BadAnswer(response)
        return response

    async def _again(self, request: Request, next: Handler, failure: ProxyError | _BadAnswer) -> Response:
        """One policy object per request: tenacity keeps its state on it. Its first call repeats what happened."""
        happened: list[ProxyError | _BadAnswer] = [failure]

        async def attempt() -> Response:
            if happened:
                raise happened.pop()
            if request.body is not None:
                request.body.rewind()
            self._metrics.retried()
            return await self._attempt(request, next)

        policy = tenacity.AsyncRetrying(
            sleep=asyncio.sleep,
            retry=tenacity.retry_if_exception(lambda error: self._may_retry(request, error)),
            wait=_wait_s,
            stop=lambda state: self._must_stop(request, state),
            before_sleep=_discard,
            reraise=True,
        )
        try:
            return await policy(attempt)
        except (ProxyError, _BadAnswer) as last:
            return _settled(last)

    def _may_retry(self, request: Request, failure: BaseException) -> bool:
        replayable = request.body is None or request.body.replayable
        if isinstance(failure, _BadAnswer):
            return may_retry_status(failure.response.status, request.method, replayable, self._statuses)
        return isinstance(failure, ProxyError) and may_retry(failure, request.method, replayable)

    def _must_stop(self, request: Request, state: tenacity.RetryCallState) -> bool:
        if state.attempt_number > self._max_retries or self._clock() + state.upcoming_sleep >= request.deadline_s:
            return True
        if self._budget.withdraw():  # last: it spends
            return False
        self._metrics.retry_refused()
        return True


def _settled(failure: ProxyError | _BadAnswer) -> Response:
    if isinstance(failure, _BadAnswer):
        return failure.response
    raise failure


def _wait_s(state: tenacity.RetryCallState) -> float:
    """Where no instance was reached the first retry goes to another at once; else back off, for it may be load."""
    error = state.outcome.exception() if state.outcome is not None else None
    if state.attempt_number == 1 and isinstance(error, ProxyError) and not error.sent:
        return 0.0
    return _BACKOFF(state)


def _discard(state: tenacity.RetryCallState) -> None:
    """Give the connection of an answer nobody will read back before another attempt takes one."""
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, _BadAnswer):
        error.response.discard()
