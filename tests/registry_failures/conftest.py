"""A scripted Eureka, a sidecar that reads it, and traffic through that sidecar which must not notice anything."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp import web

from prana.app import Sidecar
from prana.config.settings import Admin, App, AppHealth, Policy, Proxy, Settings, Shutdown
from prana.config.settings import Eureka as EurekaSettings
from prana.config.units import Address
from prana.signals import Stop
from registry.discovery import Discovery
from registry.renewal import Registrar
from tests.registry_failures.eureka import Eureka, instance

PATIENCE_S = 20.0  # far more than anything here takes, so that a busy machine fails no test
FETCH_S, RENEWAL_S = 0.05, 0.1


async def until(condition: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - any condition, not only what has an event
                await asyncio.sleep(0.005)
    except TimeoutError:
        pytest.fail(f"waited {PATIENCE_S} s in vain for {what}")


class Clock:
    """The real clocks, and steps of them."""

    def __init__(self) -> None:
        self.monotonic_step_s = 0.0
        self.epoch_step_s = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.monotonic_step_s

    def epoch_s(self) -> float:
        return time.time() + self.epoch_step_s


class Running:
    """A sidecar at work, with one app beside it that listens where the instances of `orders` do."""

    def __init__(self, sidecar: Sidecar, task: "asyncio.Task[None]", stop: Stop) -> None:
        self.sidecar = sidecar
        self.task = task
        self.stop = stop
        self.port = int(sidecar.proxy_addresses[0].rpartition(":")[2])

    @property
    def discovery(self) -> Discovery:
        discovery = self.sidecar._discovery
        assert discovery is not None
        return discovery

    @property
    def registrar(self) -> Registrar:
        registrar = self.sidecar._apps[0].registrar
        assert registrar is not None
        return registrar

    async def reads(self, count: int = 3) -> None:
        """Wait for so many further reads, good or not, begun from now on."""
        target = self.discovery.fetches_total + count + 1
        await until(lambda: self.discovery.fetches_total >= target, "further reads")

    async def good_read(self) -> None:
        """Wait for a read that began from now on and succeeded."""
        await self.reads(1)
        await until(lambda: not self.discovery.problem, "a good read")

    async def get(self, port: int, path: str) -> tuple[int, bytes]:
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with (
            aiohttp.ClientSession(timeout=timeout, headers={"Accept": "application/json"}) as session,
            session.get(f"http://127.0.0.1:{port}{path}") as response,
        ):
            return response.status, await response.read()

    async def call(self, path: str = "/orders/") -> tuple[int, bytes]:
        return await self.get(self.port, path)

    async def admin(self, path: str) -> tuple[int, Any]:
        status, body = await self.get(self.sidecar.admin_port, path)
        return status, json.loads(body)

    async def eureka_metrics(self) -> Any:
        return (await self.admin("/metrics"))[1]["eureka"]

    async def ready(self) -> bool:
        return (await self.get(self.sidecar.admin_port, "/readyz"))[0] == 200

    async def end(self) -> None:
        self.stop.requested.set()
        async with asyncio.timeout(PATIENCE_S):
            await self.task

    async def die(self) -> None:
        """As by SIGKILL, as far as Eureka can see: nothing more is sent."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        await self.sidecar._server.close(0)
        if self.sidecar._admin is not None:
            await self.sidecar._admin.close()
        if self.sidecar._transport is not None:
            await self.sidecar._transport.close()


class Traffic:
    """Calls `orders` all the time; what does not succeed, or takes long, is kept."""

    SLOW_S = 2.0

    def __init__(self, running: Running) -> None:
        self._running = running
        self.calls = 0
        self.failures: list[str] = []

    async def run(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                started_s = time.monotonic()
                async with session.get(f"http://127.0.0.1:{self._running.port}/orders/") as response:
                    body = await response.read()
                self.calls += 1
                took_s = time.monotonic() - started_s
                if response.status != 200 or took_s > self.SLOW_S:
                    self.failures.append(f"{response.status} after {took_s:.3f} s: {body!r}")
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def unharmed(running: Running) -> AsyncIterator[Traffic]:
    """Traffic during the block, none of which may fail."""
    traffic = Traffic(running)
    task = asyncio.create_task(traffic.run())
    try:
        await until(lambda: traffic.calls or task.done(), "traffic")
        yield traffic
        calls = traffic.calls
        await until(lambda: traffic.calls > calls + 5 or task.done(), "more traffic")
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    assert traffic.failures == []


@pytest.fixture
def clock() -> Clock:
    return Clock()


StartServer = Callable[..., Awaitable[Eureka]]
StartSidecar = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start_eureka() -> AsyncIterator[StartServer]:
    started: list[Eureka] = []

    async def start(*listed: dict[str, Any]) -> Eureka:
        eureka = Eureka(list(listed))
        started.append(eureka)
        await eureka.start()
        return eureka

    yield start
    for eureka in started:
        await eureka.stop()


@pytest.fixture
async def callee() -> AsyncIterator[int]:
    """The port of an instance that answers everything with 200."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.01, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.fixture
async def eureka(start_eureka: StartServer, callee: int) -> Eureka:
    """Lists `orders` with its one real instance, and two services of no importance."""
    return await start_eureka(instance("orders", callee), instance("a", 1), instance("b", 1))


@pytest.fixture
async def start_sidecar(callee: int, clock: Clock) -> AsyncIterator[StartSidecar]:
    """Start a sidecar of these servers. When the test is over nothing may have gone unhandled."""
    started: list[Running] = []
    unhandled: list[Mapping[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))

    async def start(*urls: str, cache_file: Path | None = None, loopback: str = "auto", **eureka: Any) -> Running:
        settings = Settings(
            apps=(App(name="mine", port=callee, instance_id="mine-1", health=AppHealth(interval=0.1)),),
            eureka=EurekaSettings(
                urls=urls,
                fetch_interval=FETCH_S,
                renewal_interval=RENEWAL_S,
                cache_file=str(cache_file or ""),
                allow_loopback_instances=loopback,
                **eureka,
            ),
            proxy=Proxy(listen=(Address("127.0.0.1", 0),)),
            admin=Admin(listen=Address("127.0.0.1", 0)),
            shutdown=Shutdown(drain_delay=0.0, grace=1.0),
            defaults=Policy(timeout=1.0),
        )
        sidecar = Sidecar(settings, Random(1), clock=clock.monotonic, epoch_s=clock.epoch_s)
        await sidecar.start()
        stop = Stop(0.0)
        started.append(Running(sidecar, asyncio.create_task(sidecar.run(stop)), stop))
        return started[-1]

    with structlog.testing.capture_logs() as logs:
        yield start
        for running in started:
            if not running.task.done():
                await running.end()
    assert not unhandled
    assert not [line for line in logs if line["event"] == "internal error"]


@pytest.fixture
async def running(start_sidecar: StartSidecar, eureka: Eureka) -> Running:
    """A sidecar of `eureka`, registered, with the registry read."""
    running = await start_sidecar(eureka.url)
    await settled(running)
    return running


async def settled(running: Running) -> None:
    await until(lambda: running.sidecar._apps, "the app's health check")
    await until(lambda: running.registrar.registered and running.registrar.status == "UP", "the app to be registered")
    await until(running.discovery.first_read.is_set, "the registry to be read")
