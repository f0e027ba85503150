"""On a failure of the service, another answer instead. Where a command ends, too."""

from collections.abc import Sequence

from admin.metrics import CommandMetrics, Event
from prana.errors import Fault, ProxyError
from prana.fallback.substitute import Kind, Substitute
from prana.filters.rescue import proxy_status
from prana.request import End, Handler, Instead, Request, Response
from prana.resilience.bulkhead import Bulkhead
from prana.wire.fields import Field


class Fallback:
    """Answers for the service when it cannot: on our own errors but those the caller caused, and on 5xx.

    When nothing in the chain has an answer either, the caller gets what it would have got without one, as in Hystrix:
    how a fallback failed is secondary.

    A request keeps the place that `admit` gave it until the answer ends, whoever answers: a fallback that takes long
    must not let in more than the service may have in progress (AbstractCommand.applyHystrixSemantics).
    """

    def __init__(self, chain: Sequence[Substitute], bulkhead: Bulkhead, metrics: CommandMetrics) -> None:
        """`bulkhead` limits the fallbacks in progress: when it is full, the caller gets what went wrong."""
        self._chain = chain
        self._bulkhead = bulkhead
        self._metrics = metrics

    async def __call__(self, request: Request, next: Handler) -> Response:
        try:
            try:
                response = await next(request)
                if response.status >= 500:
                    response = await self._instead_of_answer(request, response)
            except ProxyError as error:
                if error.fault is Fault.DOWNSTREAM:
                    raise
                response = await self._instead_of_error(request, error)
        except BaseException:
            if request.release_place is not None:
                request.release_place(End.BROKEN)
            raise
        if request.release_place is not None:
            response.on_finish(request.release_place)
        return response

    async def _instead_of_answer(self, request: Request, bad: Response) -> Response:
        """The bad answer is kept until there is another."""
        try:
            instead = await self._admitted(request, f"http_{bad.status}", None)
        except BaseException:
            bad.discard()
            raise
        if instead is None:
            return bad
        bad.discard()
        return instead

    async def _instead_of_error(self, request: Request, error: ProxyError) -> Response:
        instead = await self._admitted(request, error.cause, error)
        if instead is None:
            raise error
        return instead

    async def _admitted(self, request: Request, cause: str, error: ProxyError | None) -> Response | None:
        """The walk, with a place of the bulkhead until the answer ends."""
        if request.is_fallback:  # FALLBACK_DISABLED: the chain that asked goes on
            return None
        if not self._chain:
            self._metrics.event(Event.FALLBACK_MISSING)
            return None
        if not self._bulkhead.try_acquire():
            self._metrics.event(Event.FALLBACK_REJECTION)
            return None
        response = None
        try:
            response = await self._walk(request, cause, error)
        finally:
            if response is None:
                self._bulkhead.release()
            else:
                response.on_finish(self._release)
        return response

    async def _walk(self, request: Request, cause: str, error: ProxyError | None) -> Response | None:
        """The first answer that the chain has."""
        for substitute in self._chain:
            response = await substitute(request)
            if response is not None:
                return self._told(response, Instead(substitute.kind, cause), error)
            self._metrics.fallback_failed(substitute.kind)
        self._metrics.event(Event.FALLBACK_FAILURE)
        return None

    def _told(self, response: Response, instead: Instead, error: ProxyError | None) -> Response:
        response.fallback = instead
        response.headers.append(Field(b"X-Prana-Fallback", f"{instead.kind}; reason={instead.cause}".encode()))
        if instead.kind != Kind.SERVICE:  # which is an instance's own answer
            response.error = error
            response.headers.append(proxy_status(error) if error is not None else Field(b"Proxy-Status", b"prana"))
        self._metrics.fallback(instead.kind, instead.cause)
        return response

    def _release(self, end: End) -> None:
        self._bulkhead.release()
