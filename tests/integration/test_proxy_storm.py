"""All instances fail and callers go on calling: what the instances see beyond that."""

import asyncio
import contextlib
import time

import pytest

from prana.config.settings import Breaker, Hedge, Retry

from .conftest import (
    Caller,
    Peer,
    Running,
    StartSidecar,
    StartUpstream,
    get,
    response,
)

RATE_PER_S = 1000
REQUESTS = 1500
# A busy machine is no defect.
PATIENT = {"timeout": 60.0, "attempt_timeout": 60.0, "connect_timeout": 60.0, "max_concurrent": REQUESTS}


class Failing(asyncio.Protocol):
    """An instance's end of a connection: 503, or nothing and the end."""

    seen = 0
    answer = response(b"busy", status=b"503 Service Unavailable")

    _transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # uvloop's transports do not inherit from asyncio's

    def data_received(self, data: bytes) -> None:
        assert data.endswith(b"\r\n\r\n"), "requests without a body arrive in one piece"
        type(self).seen += 1
        if self.answer:
            self._transport.write(self.answer)
        else:
            self._transport.close()


async def call_at_a_constant_rate(running: Running, expected: set[int]) -> None:
    """Whether answers come or not, as from many callers who do not know of each other."""
    idle: list[Caller] = []

    async def call(due_s: float) -> None:
        await asyncio.sleep(due_s - time.monotonic())
        caller = idle.pop() if idle else await running.open()
        assert (await caller.ask(get(b"/orders/"))).status in expected
        idle.append(caller)

    start_s = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(REQUESTS):
            group.create_task(call(start_s + number / RATE_PER_S))


@pytest.mark.parametrize("answers", [True, False])
async def test_failing_instances_see_a_fifth_more_and_ten_a_second(start_sidecar: StartSidecar, answers: bool) -> None:
    class Here(Failing):
        if not answers:
            answer = b""

    async with contextlib.AsyncExitStack() as servers:
        ports = [await port_of(Here, servers) for _ in range(3)]
        running = await start_sidecar(*ports, breaker=Breaker(enabled=False), **PATIENT)
        metrics = running.service().metrics
        start_s = time.monotonic()
        await call_at_a_constant_rate(running, {503} if answers else {502})
        seconds = time.monotonic() - start_s
        assert REQUESTS < Here.seen <= 1.2 * REQUESTS + 10 * (seconds + 1)
        assert metrics.retries == Here.seen - REQUESTS
        assert metrics.retries_refused >= REQUESTS / 2, "there would have been two for each"


async def port_of(instance: type[Failing], stack: contextlib.AsyncExitStack) -> int:
    server = await asyncio.get_running_loop().create_server(instance, "127.0.0.1", 0, backlog=4096)
    stack.callback(server.close)
    port: int = server.sockets[0].getsockname()[1]
    return port


async def test_hedges_of_slow_instances_cost_no_more_than_that_either(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    """Every answer takes far longer than any before, as when what all of them need has become slow."""
    slow = asyncio.Event()

    async def serve(peer: Peer) -> None:
        while True:
            await peer.request()
            await asyncio.sleep(0.1 if slow.is_set() else 0)
            await peer.send(response())

    upstreams = [await start_upstream(serve) for _ in range(3)]
    running = await start_sidecar(
        *(upstream.port for upstream in upstreams),
        hedge=Hedge(enabled=True),
        retry=Retry(budget_floor_per_s=0.0),
        **PATIENT,
    )
    for _ in range(30):
        await running.ask(get(b"/orders/"))
    slow.set()
    seen_before = sum(len(upstream.requests) for upstream in upstreams)
    await call_at_a_constant_rate(running, {200})
    seen = sum(len(upstream.requests) for upstream in upstreams) - seen_before
    assert seen <= 1.2 * REQUESTS + 10
    assert running.service().metrics.hedges > 0
