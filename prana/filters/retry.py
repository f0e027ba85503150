"""Another attempt where it is safe, useful, in time and within the budget."""

import asyncio
import time
from collections.abc import Callable
from itertools import takewhile
from math import inf
from random import Random

import tenacity

from admin.metrics import ServiceMetrics
from prana.config.settings import CommandRetry
from prana.errors import ProxyError
from prana.request import Handler, Request, Response
from prana.resilience.answers import MEDIAN, AnswerTimes
from prana.resilience.budget import RetryBudget
from prana.resilience.repeatable import Repeatable
from prana.resilience.retry_after import ASKS, retry_after_s


class _BadAnswer(Exception):
    """An answer with a status worth another attempt; delivered after all when there is none."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"status {response.status}")
        self.response = response


class Retry:
    """The first attempt is a plain await; tenacity is entered only after it failed, for it costs 15-30 us a call."""

    def __init__(
        self,
        settings: CommandRetry,
        repeatable: Repeatable,
        budget: RetryBudget,
        answers: AnswerTimes,
        elsewhere: Callable[[Request], bool],
        metrics: ServiceMetrics,
        clock: Callable[[], float],
        rng: Random,
        epoch_s: Callable[[], float] = time.time,
    ) -> None:
        """`elsewhere` tells whether there is a fit node that the request has not tried."""
        self._settings = settings
        self._max_retries = settings.max_retries
        self._statuses = settings.statuses
        self._replay_bytes = settings.replay_bytes
        self._repeatable = repeatable
        self._budget = budget
        self._answers = answers
        self._elsewhere = elsewhere
        self._metrics = metrics
        self._clock = clock
        self._rng = rng
        self._epoch_s = epoch_s

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
            wait=lambda state: self._wait_s(request, state),
            stop=lambda state: self._must_stop(request, state),
            before_sleep=_discard,
            reraise=True,
        )
        try:
            return await policy(attempt)
        except (ProxyError, _BadAnswer) as last:
            return _settled(last)

    def _may_retry(self, request: Request, failure: BaseException) -> bool:
        """As long as nothing was sent, any request may be tried elsewhere."""
        if isinstance(failure, _BadAnswer):
            return self._repeatable(request)
        return isinstance(failure, ProxyError) and failure.retryable and (not failure.sent or self._repeatable(request))

    def _wait_s(self, request: Request, state: tenacity.RetryCallState) -> float:
        """Where no instance was reached the first retry goes to another at once; else back off, for it may be load.

        Envoy's backoff, fully jittered, behind what an instance has asked for; inf if that is too long.
        """
        number, error = state.attempt_number, _error(state)
        asked_s = self._asked_s(error)
        stays = not asked_s and self._stays(request)
        if number == 1 and not stays and isinstance(error, ProxyError) and not error.sent:
            return 0.0
        if self._elsewhere(request) and not stays:
            asked_s = 0.0  # it has its peace meanwhile
        if asked_s > self._settings.max_retry_after:
            return inf
        longest_s = min(self._settings.max_backoff, self._settings.backoff * float(2**number - 1))
        return asked_s + self._rng.random() * longest_s

    def _asked_s(self, error: BaseException | None) -> float:
        """For how long the instance wants to be left alone."""
        if not isinstance(error, _BadAnswer) or error.response.status not in ASKS:
            return 0.0
        return retry_after_s(error.response.headers, self._epoch_s())

    def _stays(self, request: Request) -> bool:
        """Ribbon's MaxAutoRetries: so many retries go to the same node before another is tried."""
        if not self._settings.same_node_retries:
            return False
        last = request.attempts[-1]
        at_it = sum(1 for _ in takewhile(lambda attempt: attempt.node is last.node, reversed(request.attempts)))
        last.again = at_it <= self._settings.same_node_retries
        return last.again

    def _must_stop(self, request: Request, state: tenacity.RetryCallState) -> bool:
        """None begins that the deadline would end before half of the answers are there."""
        if state.attempt_number > self._max_retries:
            return True
        if self._clock() + state.upcoming_sleep + self._answers.within_s(MEDIAN) >= request.deadline_s:
            return True
        if self._budget.withdraw():  # last: it spends
            return False
        self._metrics.retry_refused()
        return True


def _settled(failure: ProxyError | _BadAnswer) -> Response:
    if isinstance(failure, _BadAnswer):
        return failure.response
    raise failure


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _discard(state: tenacity.RetryCallState) -> None:
    """Give the connection of an answer nobody will read back before another attempt takes one."""
    error = _error(state)
    if isinstance(error, _BadAnswer):
        error.response.discard()
