"""The proxy's listeners: accept within a limit, keep connections' times, drain."""

import asyncio
import email.utils
import time
from collections.abc import Callable
from typing import Any

from admin.metrics import ProxyMetrics
from prana.config.units import Address
from prana.request import Handler
from prana.unix_socket import BoundPath, refuse_taken
from prana.wire.downstream import DownstreamConnection
from prana.wire.limits import SWEEP_INTERVAL_S
from prana.wire.pool import Pool
from prana.wire.upstream import Link

_BACKLOG = 1024
_FULL_PROBLEM = (
    b'{"type":"urn:prana:error:overload","title":"Too many connections","status":503,'
    b'"detail":"proxy.max_connections are open already","service":null,"request_id":null,"attempts":0}'
)
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
    b"Proxy-Status: prana; error=connection_limit_reached\r\nRetry-After: 1\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(_FULL_PROBLEM), _FULL_PROBLEM)
)


class ProxyServer:
    """Owns the connections of callers. `handler` is the pipeline; it answers every request, also malformed ones."""

    def __init__(
        self,
        handler: Handler,
        pool: Pool,
        clock: Callable[[], float],
        metrics: ProxyMetrics,
        max_connections: int,
    ) -> None:
        self.handle: Handler = handler
        self.clock = clock
        self.draining = False
        self.date = b""
        self._pool = pool
        self._metrics = metrics
        self._max_connections = max_connections
        self._connections: set[DownstreamConnection] = set()
        self._servers: list[asyncio.AbstractServer] = []
        self._unix_paths: list[BoundPath] = []
        self._empty = asyncio.Event()
        self._empty.set()
        self._tell_date()

    def __len__(self) -> int:
        return len(self._connections)

    @property
    def addresses(self) -> list[str]:
        """Where the proxy listens, as bound: `host:port` or `unix:path`."""
        bound = [sock.getsockname() for server in self._servers for sock in getattr(server, "sockets", ())]
        return [f"unix:{name}" if isinstance(name, str) else f"{name[0]}:{name[1]}" for name in bound]

    @property
    def in_flight(self) -> int:
        return sum(connection.serving for connection in self._connections)

    async def listen(self, address: Address) -> None:
        """Bind and accept. Raises OSError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        if address.unix_path:
            refuse_taken(address.unix_path)  # the loop would replace even the socket of a process that lives
            server = await loop.create_unix_server(self._accept, address.unix_path)
            self._unix_paths.append(BoundPath(address.unix_path))
        else:
            server = await loop.create_server(self._accept, address.host, address.port, backlog=_BACKLOG)
        self._servers.append(server)

    def _accept(self) -> Any:
        if len(self._connections) >= self._max_connections:
            return _Refusal()
        return DownstreamConnection(self)

    async def run(self) -> None:
        """The clockwork: one timer for all connections instead of one each."""
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            self._tell_date()
            now = self.clock()
            for connection in list(self._connections):
                connection.expire(now)
            self._pool.sweep()

    def _tell_date(self) -> None:
        self.date = email.utils.formatdate(time.time(), usegmt=True).encode()

    async def close(self, grace_s: float) -> bool:
        """Stop accepting, let what is in flight finish within `grace_s`, then cut. True if nothing was cut."""
        self.draining = True
        for server in self._servers:
            server.close()
        for path in self._unix_paths:
            path.unlink()
        for connection in list(self._connections):
            connection.close_if_idle()
        try:
            async with asyncio.timeout(grace_s):
                await self._empty.wait()
        except TimeoutError:
            for connection in list(self._connections):
                connection.abort()
            return False
        return True

    # what a connection needs (prana.wire.downstream.Edge)

    def opened(self, connection: DownstreamConnection) -> None:
        self._connections.add(connection)
        self._metrics.connection_opened()
        self._empty.clear()

    def closed(self, connection: DownstreamConnection) -> None:
        self._connections.discard(connection)
        self._metrics.connection_closed()
        if not self._connections:
            self._empty.set()

    def is_own(self, link: Link) -> bool:
        return self._pool.is_own(link)


class _Refusal(asyncio.Protocol):
    """A connection over the limit learns why and is closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(_FULL)  # type: ignore[attr-defined] # a stream transport
        transport.close()
