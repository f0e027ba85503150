"""The admin port: an aiohttp server with every size and time bounded."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, cast

import structlog
from aiohttp import http_parser, web

from admin.metrics import ProxyMetrics
from admin.pages import Pages
from admin.problems import problem
from admin.views import Operations, Sources

_MAX_CONNECTIONS = 256
# Also the time for a whole header block: aiohttp closes a connection that has not delivered one by then.
_KEEPALIVE_S = 30.0
_LINGERING_S = 2.0  # for the rest of a body nobody reads
_STALL_S = 15.0
_CLOSE_S = 2.0
_MAX_LINE_BYTES = 8190
_MAX_HEADERS = 100

_log = structlog.get_logger()


class Listener(Protocol):
    """One listening socket."""

    @property
    def port(self) -> int:
        """The port in use, also when 0 was asked for."""

    def close(self) -> None:
        """Stop listening. Idempotent."""


Accept = Callable[[], asyncio.BaseProtocol]
Listen = Callable[[Accept], Awaitable[Sequence[Listener]]]
"""Opens the port, on every address of its host; asks `Accept` for the protocol of each connection."""


class AdminServer:
    """A listening admin port; made by `serve`."""

    def __init__(self, runner: web.AppRunner, listeners: Sequence[Listener]) -> None:
        self._runner = runner
        self._listeners = listeners
        self._port = listeners[0].port

    @property
    def port(self) -> int:
        """The port in use, also when 0 was asked for."""
        return self._port

    async def close(self) -> None:
        """Stop listening, let running answers finish for _CLOSE_S, then cut what is left."""
        for listener in self._listeners:
            listener.close()
        await self._runner.cleanup()


async def serve(
    sources: Sources, operations: Operations, metrics: ProxyMetrics, token: str, listen: Listen
) -> AdminServer:
    """Open the admin port. `token` opens everything to callers from beyond loopback; empty: nobody.

    Raises what `listen` raises, and RuntimeError where only aiohttp's pure-Python HTTP parser is present: its
    request-smuggling holes (CVE-2026-111750 and five before it) are not in the C one.
    """
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise RuntimeError(
            "aiohttp runs on its pure-Python HTTP parser, which is not safe; unset AIOHTTP_NO_EXTENSIONS"
        )
    # A caller that left needs no answer.
    runner = web.AppRunner(
        Pages(sources, operations, metrics, token).application(), handler_cancellation=True, shutdown_timeout=_CLOSE_S
    )
    await runner.setup()
    handlers = runner.server
    assert handlers is not None  # noqa: S101 - AppRunner.setup() makes it, only the type cannot say so
    loop = asyncio.get_running_loop()

    def accept() -> asyncio.BaseProtocol:
        return _Refusal() if len(handlers.connections) >= _MAX_CONNECTIONS else _Connection(handlers, loop)

    return AdminServer(runner, await listen(accept))


class _Refusal(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class _Connection(web.RequestHandler):
    """aiohttp's connection, plus what it lacks: a bound on readers that never read, and errors in our form."""

    __slots__ = ("_asyncio_transport", "_check", "_unsent_bytes")

    def __init__(self, handlers: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            handlers,
            loop=loop,
            keepalive_timeout=_KEEPALIVE_S,
            lingering_time=_LINGERING_S,
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_LINE_BYTES,
            max_headers=_MAX_HEADERS,
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type] # aiohttp's documented way to have none
        )
        self._unsent_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Own reference: aiohttp drops its own on close(), which waits for the peer to read, perhaps for ever.
        self._asyncio_transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its type
        self._check = self._loop.call_later(_STALL_S, self._abort_if_stalled)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._check.cancel()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        self._unsent_bytes = 0  # somebody reads, however slowly
        super().resume_writing()

    def _abort_if_stalled(self) -> None:
        unsent_bytes = self._asyncio_transport.get_write_buffer_size()
        if 0 < self._unsent_bytes <= unsent_bytes:
            self._asyncio_transport.abort()
            return
        self._unsent_bytes = unsent_bytes
        self._check = self._loop.call_later(_STALL_S, self._abort_if_stalled)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """As aiohttp's, for malformed requests and failed pages; but a malformed one leaves no traceback in the log."""
        if status >= 500:
            _log.error("admin page failed", path=request.path, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun, an error cannot be told any more")
        detail = "the request is not valid HTTP" if status < 500 else "this page failed; the log says why"
        response = problem(status, detail)
        response.force_close()
        return response
