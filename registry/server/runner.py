"""Running the embedded server: its socket, its clock and its background loops."""

import asyncio
import time
from collections.abc import Callable

from aiohttp import web

from registry.server.about import About
from registry.server.api import EurekaApi, build_app
from registry.server.cache import ResponseCache
from registry.server.settings import RegistrySettings
from registry.server.store import LeaseStore
from registry.server.views import View, render

_NO_SETTINGS = RegistrySettings()


class RegistryServer:
    """A running server; `serve` makes one. It keeps nothing on disk: `close` forgets everything registered."""

    def __init__(self, host: str, port: int, runner: web.AppRunner, loops: asyncio.Task[None]) -> None:
        self._host = host
        self._port = port
        self._runner = runner
        self._loops = loops

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        """The base URL for clients, ending in `/eureka/`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/eureka/"

    async def close(self) -> None:
        """Stops listening and evicting; raises what broke a background loop, if anything did."""
        self._loops.cancel()
        await self._runner.cleanup()
        await asyncio.wait([self._loops])
        if not self._loops.cancelled():
            self._loops.result()


async def serve(host: str, port: int, settings: RegistrySettings = _NO_SETTINGS) -> RegistryServer:
    """Starts the server; port 0 takes a free one. Raises OSError when the address cannot be had."""
    clock_ms = epoch_clock_ms()
    store = LeaseStore(
        clock_ms,
        delta_retention_ms=round(settings.delta_retention_s * 1000),
        strict_leases=settings.strict_leases,
        self_preservation=settings.self_preservation,
    )
    cache = ResponseCache[View](
        lambda view: render(store, view),
        lambda: store.revision,
        clock_ms,
        lagging=settings.response_cache_interval_s > 0,
    )
    runner = web.AppRunner(
        build_app(EurekaApi(store, cache, About(clock_ms))),
        access_log=None,
        # A handler never waits but for its request's body, so a client that left may end it at once.
        handler_cancellation=True,
        shutdown_timeout=1.0,
        auto_decompress=False,  # `read_body` does, and bounds what comes out
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except BaseException:
        await runner.cleanup()
        raise
    bound_port: int = runner.addresses[0][1]
    loops = asyncio.create_task(_run_loops(store, cache, clock_ms, settings), name="registry-loops")
    return RegistryServer(host, bound_port, runner, loops)


async def _run_loops(
    store: LeaseStore, cache: ResponseCache[View], clock_ms: Callable[[], int], settings: RegistrySettings
) -> None:
    async with asyncio.TaskGroup() as loops:
        loops.create_task(_evict_forever(store, clock_ms, settings.eviction_interval_s))
        if settings.response_cache_interval_s > 0:
            loops.create_task(_refresh_forever(cache, clock_ms, settings.response_cache_interval_s))


async def _evict_forever(store: LeaseStore, clock_ms: Callable[[], int], interval_s: float) -> None:
    """A pass that comes late because this process did not run forgives the leases that time, as in Java."""
    last_ms = clock_ms()
    while True:
        await asyncio.sleep(interval_s)
        now_ms = clock_ms()
        store.evict(max(0, now_ms - last_ms - round(interval_s * 1000)))
        last_ms = now_ms


async def _refresh_forever(cache: ResponseCache[View], clock_ms: Callable[[], int], interval_s: float) -> None:
    """On multiples of the wall clock, as in Java, so that several servers change together."""
    while True:
        await asyncio.sleep(interval_s - clock_ms() / 1000 % interval_s)
        cache.refresh()


def epoch_clock_ms() -> Callable[[], int]:
    """Epoch milliseconds that never step: the wall clock once, monotonic from then on."""
    offset_s = time.time() - time.monotonic()
    return lambda: round((offset_s + time.monotonic()) * 1000)
