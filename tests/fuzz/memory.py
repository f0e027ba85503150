"""Both sides of the proxy over transports in memory: bytes of a caller in, bytes to an instance out, and back."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from prana.filters.rescue import Rescue
from prana.request import Handler, Request, Response
from prana.wire.downstream import DownstreamConnection
from prana.wire.fields import IN_REQUESTS, FieldLines
from prana.wire.headers import request_head
from prana.wire.upstream import Link, UpstreamConnection
from tests.wire.conftest import FakeHome, FakeTransport

AUTHORITY = b"10.0.0.1:80"
NEVER_S = 3600.0


class FuzzEdge:
    """The server a caller's connection belongs to; `exchange` stands for everything behind the error table."""

    draining = False
    min_upload_rate = 0
    date = b"Thu, 01 Jan 1970 00:00:00 GMT"

    def __init__(self, exchange: Handler, clock: Callable[[], float] = lambda: 1.0) -> None:
        self._exchange = exchange
        self._rescue = Rescue()
        self.lines = FieldLines(IN_REQUESTS)
        self.clock = clock
        self.requests: list[Request] = []

    async def handle(self, request: Request) -> Response:
        request.request_id = b"id"
        self.requests.append(request)
        return await self._rescue(request, self._forward)

    async def _forward(self, request: Request) -> Response:
        if request.malformed is not None:
            raise request.malformed
        request.path = request.target
        request.deadline_s = request.received_s + NEVER_S
        return await self._exchange(request)

    def opened(self, connection: DownstreamConnection) -> None:
        pass

    def closed(self, connection: DownstreamConnection) -> None:
        pass

    def is_own(self, link: Link) -> bool:
        return False


class MemoryTransport(FakeTransport):
    """Reports its end to the protocol as loops do: once, later."""

    def __init__(self, protocol: asyncio.Protocol, **extra: Any) -> None:
        super().__init__(**extra)
        self._protocol = protocol
        self._lost = False
        protocol.connection_made(self)

    def close(self) -> None:
        super().close()
        self._lose()

    def abort(self) -> None:
        super().abort()
        self._lose()

    def _lose(self) -> None:
        if not self._lost:
            self._lost = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def deliver(self, data: bytes) -> None:
        """From the other side; a closed socket takes nothing."""
        if not self.closing:
            self._protocol.data_received(data)

    def finish(self) -> None:
        """FIN from the other side."""
        if not self.closing and not self._protocol.eof_received():
            self.close()


class Caller:
    """A caller's connection to the proxy."""

    def __init__(self, exchange: Handler, clock: Callable[[], float] = lambda: 1.0) -> None:
        edge = FuzzEdge(exchange, clock)
        self.requests = edge.requests
        self.connection = DownstreamConnection(edge)
        self.transport = MemoryTransport(self.connection, peername=("127.0.0.1", 5), sockname=("127.0.0.1", 8078))

    @property
    def received(self) -> bytes:
        return self.transport.written

    @property
    def ended(self) -> str:
        """How the proxy ended the connection: "", "close", "abort", or "eof" while it lingers."""
        return self.transport.closing or ("eof" if self.transport.eof else "")


class Instance:
    """An instance's end of one upstream connection that serves one exchange."""

    def __init__(self) -> None:
        self._home = FakeHome()
        self.connection = UpstreamConnection(self._home)
        self.transport = MemoryTransport(self.connection, peername=("10.0.0.1", 80), sockname=("10.0.0.2", 9))

    @property
    def reusable(self) -> bool | None:
        return self._home.reusable[-1] if self._home.reusable else None

    @property
    def received(self) -> bytes:
        return self.transport.written

    async def exchange(self, request: Request) -> Response:
        return await self.connection.exchange(request, request_head(request, AUTHORITY, NEVER_S), NEVER_S)


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """`data` cut at these places; cuts beyond its end are ignored."""
    places = sorted({cut for cut in cuts if 0 < cut < len(data)})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True) if end > start]


async def quiet(progress: Callable[[], object]) -> None:
    """Let every task run until `progress` stops changing: everybody waits for something from outside."""
    seen: object = None
    while (now := progress()) != seen:
        seen = now
        for _ in range(6):
            await asyncio.sleep(0)
