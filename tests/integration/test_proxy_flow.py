"""Streaming: whoever is slow holds up the other side, and what is held in between is bounded."""

import asyncio

import pytest

from prana.wire.limits import BODY_HIGH_WATER_BYTES

from .conftest import Caller, Peer, Running, StartSidecar, Upstream, answering, get, post, response, until

MIB = 2**20
SIZE_BYTES = 48 * MIB
KERNEL_BYTES = 24 * MIB  # socket buffers of four ends on loopback, generously


def held_bytes(running: Running) -> int:
    """What the sidecar itself has buffered of all bodies and connections."""
    held = 0
    for connection in running.sidecar._server._connections:
        held += sum(map(len, connection._unread)) + connection._transport.get_write_buffer_size()
        if connection._active is not None and connection._active.body is not None:
            held += connection._active.body._size
    for upstream in running.sidecar._pool._open:
        held += upstream._transport.get_write_buffer_size()
        held += upstream._reader.body._size if upstream._reader.body is not None else 0
    return held


async def standstill(value: list[int]) -> None:
    """Until the last entry has not grown for a while."""
    before = -1
    while value[-1] != before:
        before = value[-1]
        await asyncio.sleep(0.1)


async def test_a_caller_that_reads_slowly_pauses_the_instance(running: Running, upstream: Upstream) -> None:
    sent = [0]

    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE_BYTES)
        while sent[0] < SIZE_BYTES:
            await peer.send(bytes(MIB))
            sent[0] += MIB

    upstream.serve = serve
    caller = await running.open()
    await caller.send(get(b"/orders/"))
    await caller._until(b"\r\n\r\n")
    await standstill(sent)
    assert sent[0] <= KERNEL_BYTES, "the instance is held up"
    assert held_bytes(running) < 2 * MIB
    assert len(await caller._exactly(SIZE_BYTES)) == SIZE_BYTES
    assert sent[0] == SIZE_BYTES


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_instance_that_reads_slowly_pauses_the_caller(
    running: Running, upstream: Upstream, chunked: bool
) -> None:
    sent, received, go_on = [0], [0], asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.head()
        await go_on.wait()
        while received[0] < SIZE_BYTES:
            received[0] += len(await peer.reader.read(MIB))
        await peer.send(response(b"done", b"Connection: close"))

    async def upload(caller: Caller) -> None:
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % SIZE_BYTES
        await caller.send(get(b"/orders/", framing, method=b"PUT"))
        while sent[0] < SIZE_BYTES:
            await caller.send(b"%x\r\n%b\r\n" % (MIB, bytes(MIB)) if chunked else bytes(MIB))
            sent[0] += MIB
        if chunked:
            await caller.send(b"0\r\n\r\n")

    upstream.serve = serve
    caller = await running.open()
    uploading = asyncio.create_task(upload(caller))
    await until(lambda: upstream.requests)
    await standstill(sent)
    assert sent[0] <= KERNEL_BYTES, "the caller is held up"
    assert held_bytes(running) < 2 * MIB
    go_on.set()
    assert (await caller.answer()).body == b"done"
    await uploading
    assert received[0] >= SIZE_BYTES


async def test_a_caller_that_stops_reading_is_cut_off(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await peer.send(bytes(MIB))

    upstream.serve = serve
    running = await start_sidecar(upstream.port, idle_timeout=0.3)
    caller = await running.open()
    caller.reader._limit = 1024  # type: ignore[attr-defined] # asyncio's own: stop reading after so many bytes
    await caller.send(get(b"/orders/"))
    await until(lambda: upstream.ends == 1, "the instance to be let go")
    await until(lambda: running.idle)


async def test_a_caller_that_sends_requests_and_reads_no_answers_is_held_up(
    running: Running, upstream: Upstream
) -> None:
    """Each answer is small enough to be written at once; together they would fill the memory."""
    count = 1000

    async def serve(peer: Peer) -> None:
        await answering(peer, response(bytes(60_000)))

    upstream.serve = serve
    caller = await running.open()
    await caller.send(get(b"/orders/") * count)
    await until(lambda: len(upstream.requests) > 1)
    served = [0]
    while len(served) < 3 or served[-1] != served[-2]:
        await asyncio.sleep(0.1)
        served.append(len(upstream.requests))
    assert served[-1] * 60_000 <= KERNEL_BYTES
    assert held_bytes(running) < 2 * MIB
    for _ in range(count):
        assert len((await caller.answer()).body) == 60_000


async def test_a_caller_whose_upload_stalls_gets_408(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    running = await start_sidecar(upstream.port, idle_timeout=0.1)
    caller = await running.open()
    answer = await caller.ask(post(b"/orders/", b"x" * 10)[:-5])
    assert answer.problem == (408, "http_request_error")
    assert answer.value(b"Connection") == b"close"
    assert running.service().balancer.nodes[0].failures == 0, "not the instance's fault"


async def test_a_slow_upload_does_not_use_up_the_attempts_time(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    running = await start_sidecar(upstream.port, timeout=0.5, attempt_timeout=0.5)
    caller = await running.open()
    raw = post(b"/orders/", b"x" * 8)
    await caller.send(raw[:-8])
    for _ in range(8):
        await asyncio.sleep(0.1)
        await caller.send(b"x")
    assert (await caller.answer()).status == 200


async def test_a_streamed_answer_is_passed_on_as_it_comes(running: Running, upstream: Upstream) -> None:
    go_on = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await go_on.wait()
        await peer.send(b"data: 2\n\n")

    upstream.serve = serve
    caller = await running.open()
    await caller.send(get(b"/orders/"))
    await caller._until(b"data: 1\n\n\r\n")
    go_on.set()
    assert await caller._until(b"data: 2\n\n\r\n") == b"9\r\ndata: 2\n\n\r\n"


async def test_many_small_chunks_arrive_whole(running: Running, upstream: Upstream) -> None:
    caller = await running.open()
    count = BODY_HIGH_WATER_BYTES * 2
    sending = asyncio.create_task(
        caller.send(get(b"/orders/", b"Transfer-Encoding: chunked", method=b"PUT") + b"1\r\nx\r\n" * count)
    )
    await sending
    assert (await caller.ask(b"0\r\n\r\n")).status == 200
    assert upstream.requests[0].body == b"x" * count


async def test_a_body_that_stalls_is_cut_off(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive!")
        await peer.ended()

    upstream.serve = serve
    running = await start_sidecar(upstream.port, idle_timeout=0.05)
    caller = await running.open()
    await caller.send(get(b"/orders/"))
    assert await caller.ended() == "reset"
    await until(lambda: upstream.ends == 1)
