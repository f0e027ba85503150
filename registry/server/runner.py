"""Running the embedded server: its socket, its clock and the loop that evicts."""

import asyncio
import time
from collections.abc import Callable

from aiohttp import web

from registry.server.api import build_app
from registry.server.store import LeaseStore


class RegistryServer:
    """A running server; `serve` makes one. It keeps nothing on disk: `close` forgets everything registered."""

    def __init__(self, host: str, port: int, runner: web.AppRunner, eviction: asyncio.Task[None]) -> None:
        self._host = host
        self._port = port
        self._runner = runner
        self._eviction = eviction

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        """The base URL for clients, ending in `/eureka/`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/eureka/"

    async def close(self) -> None:
        """Stops listening and evicting; raises what broke the eviction, if anything did."""
        self._eviction.cancel()
        await self._runner.cleanup()
        await asyncio.wait([self._eviction])
        if not self._eviction.cancelled():
            self._eviction.result()


async def serve(
    host: str,
    port: int,
    *,
    eviction_interval_s: float = 1.0,
    delta_retention_s: float = 180.0,
    lease_doubling: bool = False,
) -> RegistryServer:
    """Starts the server; port 0 takes a free one. Raises OSError when the address cannot be had.

    `lease_doubling` is the Java server's expiry, two lease durations after the last heartbeat instead of one.
    """
    store = LeaseStore(
        epoch_clock_ms(), delta_retention_ms=round(delta_retention_s * 1000), lease_doubling=lease_doubling
    )
    # A handler never waits but for its request's body, so a client that left may end it at once.
    runner = web.AppRunner(build_app(store), access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except BaseException:
        await runner.cleanup()
        raise
    bound_port: int = runner.addresses[0][1]
    eviction = asyncio.create_task(_evict_forever(store, eviction_interval_s), name="registry-eviction")
    return RegistryServer(host, bound_port, runner, eviction)


async def _evict_forever(store: LeaseStore, interval_s: float) -> None:
    while True:
        await asyncio.sleep(interval_s)
        store.evict()


def epoch_clock_ms() -> Callable[[], int]:
    """Epoch milliseconds that never step: the wall clock once, monotonic from then on."""
    offset_s = time.time() - time.monotonic()
    return lambda: round((offset_s + time.monotonic()) * 1000)
