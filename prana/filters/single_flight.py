"""One call for all identical GETs that are waiting for the same answer."""

import asyncio
import copy
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Final

from admin.metrics import CommandMetrics, Event
from prana.errors import ConnectTimeout, DeadlineExceeded, Fault, ProxyError, ResponseTimeout
from prana.kept import Kept, when_whole
from prana.request import Attempt, End, Handler, Request, Response
from prana.sharing import Likeness, likeness, may_answer_alike, may_share
from prana.wire.fields import Field
from prana.wire.patience import told

_MAX_BYTES: Final = 64 * 1024  # of a body that is shared
# For the rest of a body whose beginning is there. Who waits gets nothing of it before its end, so a stream without one
# must not keep them.
_BODY_PATIENCE_S: Final = 1.0
_GRAIN_S: Final = 0.01  # by which timers may be early
_COLLAPSED: Final = Field(b"Cache-Status", b"prana; fwd=miss; collapsed")  # RFC 9211 section 2.6


class _Go(Enum):
    """What those who waited have to do when there is nothing to share."""

    ALONE = "alone"  # each calls, all at once: answers to this cannot be shared
    AGAIN = "again"  # the first of them calls, the others wait for that: it was only this caller's call that ended


_Landing = Kept | ProxyError | _Go


class _Flight:
    """A call under way, and who waits for it."""

    __slots__ = ("attempts", "landing", "patience", "waiters")

    def __init__(self, attempts: list[Attempt]) -> None:
        self.attempts = attempts
        self.landing: _Landing | None = None
        self.waiters: dict[asyncio.Future[None], None] = {}  # the one that came first takes over first
        self.patience: asyncio.TimerHandle | None = None

    async def landed(self, timeout_s: float) -> _Landing:
        """Raises TimeoutError."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiters[waiter] = None
        try:
            await told(waiter, timeout_s)
        finally:
            del self.waiters[waiter]
        assert self.landing is not None  # noqa: S101 - set before any waiter is told
        return self.landing


class SingleFlight:
    """The first of several like requests calls; those that come before its answer is there get a copy.

    A failure is shared, too: a service that fails is not asked again by everybody at once. Not shared is what concerns
    one caller only: when it hangs up or its time is over, the next one calls. Nobody waits longer than its own timeout.
    """

    def __init__(self, timeout_s: float, metrics: CommandMetrics, clock: Callable[[], float]) -> None:
        """`timeout_s` is that of the command, from the arrival of a request."""
        self._timeout_s = timeout_s
        self._metrics = metrics
        self._clock = clock
        self._flights: dict[Likeness, _Flight] = {}

    async def __call__(self, request: Request, next: Handler) -> Response:
        if request.method != b"GET" or not may_share(request):
            return await next(request)
        like = likeness(request)
        while (flight := self._flights.get(like)) is not None:
            landing = await self._wait(flight, request)
            if landing is _Go.ALONE:
                return await next(request)
            if landing is not _Go.AGAIN:
                return self._shared(landing, flight, request)
        return await self._lead(like, request, next)

    async def _lead(self, like: Likeness, request: Request, next: Handler) -> Response:
        flight = self._flights[like] = _Flight(request.attempts)
        landing: _Landing = _Go.AGAIN
        try:
            response = await next(request)
        except ProxyError as error:
            if not self._is_callers_own(request, error):
                landing = error
            self._land(like, flight, landing)
            raise
        except BaseException:
            self._land(like, flight, landing)
            raise
        if isinstance(response.body, bytes) and not flight.waiters:  # the usual case: nobody to share it with
            self._land(like, flight, _Go.ALONE)
            return response
        if not may_answer_alike(response.headers):
            self._land(like, flight, _Go.ALONE)
            return response
        when_whole(response, _MAX_BYTES, partial(self._whole, like, flight, Kept(response)))
        if flight.landing is None:
            loop = asyncio.get_running_loop()
            flight.patience = loop.call_later(_BODY_PATIENCE_S, self._land, like, flight, _Go.ALONE)
        return response

    def _is_callers_own(self, request: Request, error: ProxyError) -> bool:
        """Whether the failure is none to others: of a request that is at fault, or that had too little time."""
        if error.fault is Fault.DOWNSTREAM or isinstance(error, DeadlineExceeded):
            return True
        in_time = self._clock() + _GRAIN_S < request.deadline_s
        return isinstance(error, ResponseTimeout | ConnectTimeout) and not in_time

    def _whole(self, like: Likeness, flight: _Flight, kept: Kept, content: bytes | None, end: End) -> None:
        if content is not None:
            kept.content = content
            self._land(like, flight, kept)
        elif (
            end is End.DISCARDED
        ):  # a failure: its caller has got a fallback, as the others will, so its status will do
            kept.headers = []
            self._land(like, flight, kept)
        else:
            self._land(like, flight, _Go.ALONE if end is End.COMPLETE else _Go.AGAIN)

    def _land(self, like: Likeness, flight: _Flight, landing: _Landing) -> None:
        """Only the first counts. Whoever comes from now on is a leader, or follows the next one."""
        if flight.landing is not None:
            return
        flight.landing = landing
        del self._flights[like]
        if flight.patience is not None:
            flight.patience.cancel()
        for waiter in flight.waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _wait(self, flight: _Flight, request: Request) -> _Landing:
        timeout_s = min(self._timeout_s, request.asked_timeout_s or self._timeout_s)
        try:
            return await flight.landed(request.received_s + timeout_s - self._clock())
        except TimeoutError:
            self._metrics.event(Event.TIMEOUT)
            detail = f"no response within {timeout_s:.3g} s to the same request of another caller"
            raise ResponseTimeout(detail) from None

    def _shared(self, landing: Kept | ProxyError, flight: _Flight, request: Request) -> Response:
        self._metrics.event(Event.COLLAPSED)
        request.attempts = flight.attempts
        if isinstance(landing, ProxyError):
            raise copy.copy(landing)  # each with a traceback of its own
        return landing.again(_COLLAPSED)
