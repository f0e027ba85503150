"""The proxy's listeners: accept within a limit, keep connections' times, drain."""

import asyncio
import email.utils
import time
from collections.abc import Callable
from typing import Final

from admin.metrics import ProxyMetrics
from prana.request import Handler
from prana.wire.descriptors import Shortage
from prana.wire.downstream import DownstreamConnection
from prana.wire.fields import IN_REQUESTS, FieldLines
from prana.wire.limits import SWEEP_INTERVAL_S
from prana.wire.listener import Listener
from prana.wire.pool import Pool
from prana.wire.refusal import MAX_LINGERING, Refusal
from prana.wire.upstream import Link

_LEAVING_LOOK_S: Final = 0.02


class ProxyServer:
    """Owns the connections of callers. `handler` is the pipeline; it answers every request, also malformed ones."""

    def __init__(
        self,
        handler: Handler,
        pool: Pool,
        clock: Callable[[], float],
        metrics: ProxyMetrics,
        max_connections: int,
        min_upload_rate: int,
    ) -> None:
        self.handle: Handler = handler
        self.clock = clock
        self.lines = FieldLines(IN_REQUESTS)
        self.draining = False
        self.date = b""
        self.listeners: list[Listener] = []
        self.max_connections = max_connections
        self.min_upload_rate = min_upload_rate
        self.shortage = Shortage(clock, pool.drop_idle)
        self._pool = pool
        self._metrics = metrics
        self._connections: set[DownstreamConnection] = set()
        self._refusals: set[Refusal] = set()
        self._tell_date()

    def __len__(self) -> int:
        return len(self._connections)

    @property
    def addresses(self) -> list[str]:
        """Where the proxy listens, as bound: `host:port` or `unix:path`."""
        return [listener.address for listener in self.listeners]

    @property
    def in_flight(self) -> int:
        return sum(connection.serving for connection in self._connections)

    def accept(self) -> asyncio.BaseProtocol:
        """What a listener asks for each connection. It counts from now on."""
        if len(self._connections) >= self.max_connections:
            refusal = Refusal(self._refusals.discard, lingers=len(self._refusals) < MAX_LINGERING)
            self._refusals.add(refusal)
            return refusal
        connection = DownstreamConnection(self)
        self._connections.add(connection)
        self._metrics.connection_opened()
        return connection

    async def run(self) -> None:
        """The clockwork: one timer for all connections instead of one each."""
        while True:
            due_s = self.clock() + SWEEP_INTERVAL_S
            await asyncio.sleep(SWEEP_INTERVAL_S)
            now = self.clock()
            self._metrics.loop_lag_s = max(0.0, now - due_s)
            self._tell_date()
            for connection in list(self._connections):
                connection.expire(now)
            self._pool.sweep()
            self.shortage.check()

    def _tell_date(self) -> None:
        self.date = email.utils.formatdate(time.time(), usegmt=True).encode()

    async def close(self, grace_s: float) -> bool:
        """Stop accepting, let what is in flight finish within `grace_s`, then cut. True if nothing was cut.

        A connection that has just been used, or has just come, is not idle yet: its next request may be on the way,
        and gets its answer, with `Connection: close`.
        """
        self.draining = True
        for listener in self.listeners:
            listener.close()
        self.listeners = []
        try:
            async with asyncio.timeout(grace_s):
                while self._connections:
                    now = self.clock()
                    for connection in list(self._connections):
                        connection.close_if_idle(now)
                    await asyncio.sleep(_LEAVING_LOOK_S)
        except TimeoutError:
            cut = self.in_flight
            for connection in list(self._connections):
                connection.abort()
            return cut == 0
        return True

    # what a connection needs (prana.wire.downstream.Edge)

    def closed(self, connection: DownstreamConnection) -> None:
        self._connections.discard(connection)
        self._metrics.connection_closed()

    def is_own(self, link: Link) -> bool:
        return self._pool.is_own(link)
