"""`prana demo`: registry, sample instances, sidecar and traffic in one process and on one event loop."""

import asyncio
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from random import Random

import aiohttp
import uvloop

from prana import logs
from prana.app import Sidecar
from prana.demo.guide import guide
from prana.demo.sample import HOST, Outage, Role, Sample
from prana.demo.scene import APP, ROLES, Ports, check, registration, settings
from prana.demo.traffic import keep_calling
from prana.signals import Stop
from prana.startup import listening
from registry.instance import Status
from registry.renewal import Registrar
from registry.server.runner import serve
from registry.servers import Servers
from registry.transport import EurekaTransport
from registry.writes import EurekaWrites

_LOOK_EVERY_S = 0.1


def run(*, registry_port: int, port: int, admin_port: int, instances_port: int) -> int:
    """Until SIGINT or SIGTERM. Returns the exit code; raises StartupError."""
    ports = Ports(registry_port, port, admin_port, instances_port)
    check(ports)
    logs.configure("info", "console", sys.stderr)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(ports))


async def _run(ports: Ports) -> int:
    stop = Stop(drain_delay_s=0.0)
    with stop.installed():
        async with AsyncExitStack() as opened:
            await _perform(ports, stop, opened)
    return 0


async def _perform(ports: Ports, stop: Stop, opened: AsyncExitStack) -> None:
    """First every port is opened, so that a taken one ends it before anything runs."""
    registry = await listening(serve(HOST, ports.registry), f"{HOST}:{ports.registry}", "--registry-port")
    opened.push_async_callback(registry.close)
    transport = EurekaTransport(Servers.of([ports.eureka_url], time.monotonic, Random()))
    opened.push_async_callback(transport.close)
    samples = _samples(ports, EurekaWrites(transport))
    for port, sample in samples.items():
        opened.push_async_callback(sample.close)
        await listening(sample.open(), f"{HOST}:{port}", "--instances-port")
    sidecar = Sidecar(settings(ports))
    await sidecar.start(listen_flag="--port", admin_flag="--admin-port")

    async with asyncio.TaskGroup() as group:
        loops = [*(sample.run() for sample in samples.values()), _show(ports)]
        tasks = [group.create_task(loop) for loop in loops]
        await sidecar.run(stop)
        await asyncio.gather(*(sample.leave() for sample in samples.values()))
        for task in tasks:
            task.cancel()


def _samples(ports: Ports, writes: EurekaWrites) -> Mapping[int, Sample]:
    """The sample instances by their ports. Those of one service share their outage."""
    outages = {role.service: Outage(time.monotonic) for role in ROLES}

    def sample(role: Role, port: int) -> Sample:
        registrar = None if role.service == APP else _registrar(role, port, writes)
        return Sample(role, port, outages[role.service], registrar, time.monotonic, Random())

    return {ports.of(role.id): sample(role, ports.of(role.id)) for role in ROLES}


def _registrar(role: Role, port: int, writes: EurekaWrites) -> Registrar:
    registrar = Registrar(
        registration(role, port), writes, clock=time.monotonic, epoch_ms=lambda: int(time.time() * 1000), rng=Random()
    )
    registrar.set_status(Status.UP)
    return registrar


async def _show(ports: Ports) -> None:
    """The guide as soon as all it promises is there, then traffic."""
    async with aiohttp.ClientSession() as session:
        while not await all_callable(session, ports):  # noqa: ASYNC110 - asked over HTTP, as a user would
            await asyncio.sleep(_LOOK_EVERY_S)
        print(guide(ports), flush=True)
        await keep_calling(session, ports.proxy, Random())


async def all_callable(session: aiohttp.ClientSession, ports: Ports) -> bool:
    """Whether the sidecar can call every sample instance, and with that the app has been registered as UP."""
    expected: dict[str, set[str]] = {}
    for role in ROLES:
        expected.setdefault(role.service, set()).add(role.id)
    return all([await _nodes(session, ports, service) == ids for service, ids in expected.items()])


async def _nodes(session: aiohttp.ClientSession, ports: Ports, service: str) -> set[str]:
    """The ids of the instances that the sidecar balances over."""
    try:
        async with session.get(f"http://{HOST}:{ports.admin}/services/{service}") as response:
            if response.status != 200:
                return set()
            document = await response.json()
    except aiohttp.ClientError:  # ended before it was complete: the admin port is closed already
        return set()
    return {node["id"] for node in document["balancer"]["nodes"]}
