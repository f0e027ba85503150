"""A second attempt beside one that takes unusually long: the first good answer wins."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from copy import copy

from admin.metrics import ServiceMetrics
from prana.config.settings import Hedge as HedgeSettings
from prana.errors import ProxyError
from prana.request import OVERTAKEN, Handler, Request, Response
from prana.resilience.answers import MEDIAN, AnswerTimes
from prana.resilience.budget import RetryBudget
from prana.resilience.repeatable import Repeatable


class Hedge:
    """Only for a first attempt, so there is one hedge a request at most, and only before its answer has begun (Dean and
    Barroso, "The Tail at Scale", 2013). The attempt that is overtaken is given up, as if its caller had gone."""

    def __init__(
        self,
        settings: HedgeSettings,
        statuses: Collection[int],
        repeatable: Repeatable,
        budget: RetryBudget,
        answers: AnswerTimes,
        elsewhere: Callable[[Request], bool],
        metrics: ServiceMetrics,
        clock: Callable[[], float],
    ) -> None:
        """`statuses` are those of no good answer; `elsewhere` tells whether there is a fit node that the request has
        not tried."""
        self._settings = settings
        self._repeatable = repeatable
        self._budget = budget
        self._elsewhere = elsewhere
        self.statuses = statuses
        self.answers = answers
        self.metrics = metrics
        self.clock = clock

    def __call__(self, request: Request, next: Handler) -> Awaitable[Response]:
        if request.attempts or request.upgrade is not None or not self._repeatable(request):
            return next(request)
        late_s = self.answers.within_s(self._settings.percentile)
        if not late_s:
            return next(request)  # too few answers to know
        return _Race(self, request, next).run(max(late_s, self._settings.min_delay))

    def may_begin(self, request: Request) -> bool:
        """Pays for it, too."""
        if request.body is not None and not (request.body.whole and request.body.replayable):
            return False  # two cannot read one upload
        if self.clock() + self.answers.within_s(MEDIAN) >= request.deadline_s or not self._elsewhere(request):
            return False
        if self._budget.withdraw():
            return True
        self.metrics.hedge_refused()
        return False


class _Race:
    """The first attempt is awaited in the request's own task, and cancelled in it when the second wins, as
    `asyncio.timeout` does it: a task for each would cost more than all else here, and few are ever overtaken."""

    __slots__ = ("_cancelled_before", "_hedge", "_lost", "_next", "_racing", "_request", "_second", "_task", "_winner")

    def __init__(self, hedge: Hedge, request: Request, next: Handler) -> None:
        self._hedge = hedge
        self._request = request
        self._next = next
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - stages run in tasks
        self._task = task
        self._cancelled_before = task.cancelling()
        self._racing = True  # the first attempt is under way
        self._second: asyncio.Task[Response] | None = None
        self._winner: Response | None = None  # of the second
        self._lost = False  # whatever the second brings, nobody wants it

    async def run(self, late_s: float) -> Response:
        timer = asyncio.get_running_loop().call_later(late_s, self._begin)
        try:
            response = await self._next(self._request)
        except BaseException as error:
            self._racing = False
            if await self._saved(error):
                return self._won()
            self._call_off()
            raise
        finally:
            self._racing = False
            timer.cancel()
        if self._second is not None and response.status in self._hedge.statuses:
            return await self._better(response)
        self._call_off()
        return response

    def _begin(self) -> None:
        request = self._request
        if not self._hedge.may_begin(request):
            return
        twin = copy(request)
        twin.send_interim = None  # they are the first attempt's
        if request.body is not None:
            twin.body = request.body.copy()
        self._hedge.metrics.hedged()
        self._second = asyncio.create_task(self._send(twin))
        self._second.add_done_callback(self._arrived)

    async def _send(self, twin: Request) -> Response:
        return await self._next(twin)

    def _arrived(self, second: "asyncio.Task[Response]") -> None:
        self._second = None
        if second.cancelled() or second.exception() is not None:
            return  # what was wrong with it, its pick has reported
        response = second.result()
        if self._lost or response.status in self._hedge.statuses:
            response.discard()
            return
        self._winner = response
        if self._racing:
            self._request.attempts[0].cause = OVERTAKEN
            self._task.cancel()

    async def _saved(self, error: BaseException) -> bool:
        """Whether the second answers where the first failed. A cancelled one lost, or its caller has gone."""
        if not isinstance(error, asyncio.CancelledError):
            return isinstance(error, ProxyError) and await self._second_is_good()
        if self._winner is None or self._task.uncancel() > self._cancelled_before:
            return False
        took_s = self._request.attempts[0].duration_s
        self._hedge.answers.record(self._hedge.clock() - took_s, took_s)  # it would have taken longer still
        return True

    def _won(self) -> Response:
        assert self._winner is not None  # noqa: S101 - asked by the callers
        self._hedge.metrics.hedge_won()
        return self._winner

    async def _better(self, bad: Response) -> Response:
        try:
            good = await self._second_is_good()
        except asyncio.CancelledError:
            bad.discard()
            raise
        if not good:
            return bad
        bad.discard()
        return self._won()

    async def _second_is_good(self) -> bool:
        if self._second is not None:
            try:
                await asyncio.wait([self._second])
            except asyncio.CancelledError:
                self._call_off()
                raise
        return self._winner is not None

    def _call_off(self) -> None:
        """Idempotent; the second settles its pick and closes its connection in the next turn of the loop."""
        self._lost = True
        if self._winner is not None:
            self._winner.discard()
        if self._second is not None:
            if len(self._request.attempts) > 1:
                self._request.attempts[1].cause = OVERTAKEN
            self._second.cancel()
