"""Callers that hang up: the instance's work is cancelled soon, and every count returns to zero."""

import asyncio
import time
from collections.abc import Callable

import pytest

from .conftest import Caller, Peer, Running, StartSidecar, Upstream, answering, get, post, response, until

SOON_S = 1.0  # 0.2 s is meant; a busy machine gets more

Leave = Callable[[Caller], None]
LEAVE = {"close": Caller.close, "reset": Caller.reset}


class Hanging:
    """Reads a request and does not answer, or sends `answer` and then nothing, until `go_on`."""

    def __init__(self, upstream: Upstream, answer: bytes = b"") -> None:
        self.go_on = asyncio.Event()
        self.cancelled_s: float | None = None
        self._answer = answer
        upstream.serve = self

    async def __call__(self, peer: Peer) -> None:
        await peer.request()
        await peer.send(self._answer)
        waiting = [asyncio.create_task(self.go_on.wait()), asyncio.create_task(self._ended(peer))]
        _, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        if self.go_on.is_set():
            await peer.send(response(b"late"))

    async def _ended(self, peer: Peer) -> None:
        await peer.ended()
        self.cancelled_s = time.monotonic()

    async def cancelled_soon_after(self, left_s: float) -> bool:
        await until(lambda: self.cancelled_s is not None, "the instance's connection to be closed")
        assert self.cancelled_s is not None
        return self.cancelled_s - left_s < SOON_S


@pytest.mark.parametrize("leave", LEAVE.values(), ids=LEAVE.keys())
@pytest.mark.parametrize("raw", [get(b"/orders/"), post(b"/orders/", b"body")], ids=["GET", "POST"])
async def test_leaving_before_the_answer_cancels_the_instance(
    running: Running, upstream: Upstream, leave: Leave, raw: bytes
) -> None:
    hanging = Hanging(upstream)
    caller = await running.open()
    await caller.send(raw)
    await until(lambda: upstream.requests)
    assert not running.idle
    left_s = time.monotonic()
    leave(caller)
    assert await hanging.cancelled_soon_after(left_s)
    await until(lambda: running.idle)
    assert (running.service().commands[0].breaker.health.error_count, running.service().balancer.nodes[0].failures) == (
        0,
        0,
    )
    assert running.upstream_connections == 0


@pytest.mark.parametrize("leave", LEAVE.values(), ids=LEAVE.keys())
async def test_leaving_during_the_answer_cancels_the_instance(
    running: Running, upstream: Upstream, leave: Leave
) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await peer.send(b"5\r\ntick!\r\n")
            await asyncio.sleep(0.01)

    upstream.serve = serve
    caller = await running.open()
    await caller.send(get(b"/orders/"))
    await caller._until(b"tick!")
    left_s = time.monotonic()
    leave(caller)
    await until(lambda: upstream.ends == 1)
    assert time.monotonic() - left_s < SOON_S
    await until(lambda: running.idle)


async def test_a_reset_during_a_silent_answer_is_noticed_without_a_write(running: Running, upstream: Upstream) -> None:
    hanging = Hanging(upstream, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfive!")
    caller = await running.open()
    await caller.send(get(b"/orders/"))
    await caller._until(b"five!")
    left_s = time.monotonic()
    caller.reset()
    assert await hanging.cancelled_soon_after(left_s)


@pytest.mark.parametrize("leave", [*LEAVE.values(), Caller.half_close], ids=[*LEAVE.keys(), "half-close"])
async def test_leaving_within_an_upload_cancels_the_instance(
    running: Running, upstream: Upstream, leave: Leave
) -> None:
    endings: list[str] = []

    async def serve(peer: Peer) -> None:
        await peer.head()
        endings.append(await peer.ended())

    upstream.serve = serve
    caller = await running.open()
    await caller.send(post(b"/orders/", b"x" * 10)[:-5])
    await until(lambda: upstream.requests)
    leave(caller)
    await until(lambda: endings)
    await until(lambda: running.idle)
    assert running.upstream_connections == 0


async def test_a_caller_that_half_closes_and_still_reads_gets_its_answer(running: Running, upstream: Upstream) -> None:
    hanging = Hanging(upstream)
    caller = await running.open()
    await caller.send(post(b"/orders/", b"body"))
    caller.half_close()
    await until(lambda: upstream.requests)
    await until(lambda: running.sidecar._server.in_flight == 1)
    await asyncio.sleep(0.1)  # three looks at whether the caller is still there
    hanging.go_on.set()
    answer = await caller.answer()
    assert (answer.status, answer.body) == (200, b"late")
    assert set(answer.interims) <= {b"HTTP/1.1 100 Continue\r\n\r\n"}
    assert await caller.rest() == b""


async def test_an_http_1_0_caller_that_half_closes_gets_no_interim_answer(running: Running, upstream: Upstream) -> None:
    hanging = Hanging(upstream)
    caller = await running.open()
    await caller.send(b"GET /orders/ HTTP/1.0\r\n\r\n")
    caller.half_close()
    await until(lambda: upstream.requests)
    await asyncio.sleep(0.1)
    hanging.go_on.set()
    answer = await caller.answer()
    assert (answer.body, answer.interims) == (b"late", [])


async def test_pipelined_requests_before_a_half_close_are_all_answered(running: Running) -> None:
    caller = await running.open()
    await caller.send(get(b"/orders/") * 40)
    caller.half_close()
    assert (await caller.rest()).count(b"HTTP/1.1 200 OK\r\n") == 40


async def test_a_half_close_within_a_head_ends_the_connection(running: Running, upstream: Upstream) -> None:
    caller = await running.open()
    await caller.send(get(b"/orders/")[:-3])
    caller.half_close()
    assert await caller.rest() == b""
    assert upstream.connections == 0


async def test_a_storm_of_aborts_leaves_nothing_behind(running: Running, upstream: Upstream) -> None:
    Hanging(upstream)
    for batch in range(5):
        callers = [await running.open() for _ in range(20)]
        for number, caller in enumerate(callers):
            await caller.send(get(b"/orders/") if number % 2 else post(b"/orders/", b"abc")[:-1])
        for number, caller in enumerate(callers):
            (caller.reset if (number + batch) % 3 else caller.close)()
    await until(lambda: running.idle and len(running.sidecar._server) == 0)
    await until(lambda: running.upstream_connections == 0)
    upstream.serve = answering
    assert (await running.ask(get(b"/orders/"))).status == 200


async def test_a_full_bulkhead_is_free_again_after_its_callers_left(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    running = await start_sidecar(upstream.port, max_concurrent=2)
    Hanging(upstream)
    callers = [await running.open() for _ in range(2)]
    for caller in callers:
        await caller.send(get(b"/orders/"))
    await until(lambda: len(upstream.requests) == 2)
    refused = await running.ask(get(b"/orders/"))
    assert refused.problem == (503, "connection_limit_reached")
    for caller in callers:
        caller.close()
    await until(lambda: running.idle)
    upstream.serve = answering
    assert (await running.ask(get(b"/orders/"))).status == 200


async def test_a_pipelining_caller_that_left_is_noticed_in_a_later_request_too(
    running: Running, upstream: Upstream
) -> None:
    ended: list[str] = []

    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(response())
        await peer.request()
        ended.append(await peer.ended())

    upstream.serve = serve
    caller = await running.open()
    await caller.send(get(b"/orders/1") + get(b"/orders/2"))
    await caller._until(b"ok")
    await until(lambda: len(upstream.requests) == 2)
    caller.close()
    await until(lambda: ended)
    await until(lambda: running.idle)
