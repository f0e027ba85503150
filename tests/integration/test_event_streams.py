"""Server-sent events and long polls: each piece reaches the caller before the next one is made."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from aiohttp import web

from .conftest import Caller, Peer, StartSidecar, Upstream, get, post, response, until

# Three servers of the same: GET /events streams what each POST /next adds.
NODE = """
let stream = null, count = 0
const server = require("http").createServer((request, response) => {
  if (request.url === "/events") {
    response.writeHead(200, {"Content-Type": "text/event-stream"})
    response.flushHeaders()
    stream = response
  } else {
    stream.write(`data: ${++count}\\n\\n`)
    response.end()
  }
})
server.listen(0, "127.0.0.1", () => console.log(server.address().port))
"""


@contextlib.asynccontextmanager
async def node() -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec("node", "-e", NODE, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def aiohttp_server() -> AsyncIterator[int]:
    events: asyncio.Queue[bytes] = asyncio.Queue()

    async def stream(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        while True:
            await answer.write(await events.get())

    async def following(request: web.Request) -> web.Response:
        following.count += 1  # type: ignore[attr-defined]
        events.put_nowait(b"data: %d\n\n" % following.count)  # type: ignore[attr-defined]
        return web.Response()

    following.count = 0  # type: ignore[attr-defined]
    app = web.Application()
    app.add_routes([web.get("/events", stream), web.post("/next", following)])
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def until_close() -> AsyncIterator[int]:
    """Without chunks: the body ends with the connection, as from a CGI script."""
    streams: list[Peer] = []

    async def serve(peer: Peer) -> None:
        count = 0
        with contextlib.suppress(asyncio.IncompleteReadError):
            while (await peer.request()).line.startswith(b"POST"):
                count = len(sent)
                sent.append(count)
                await streams[0].send(b"data: %d\n\n" % (count + 1))
                await peer.send(response())
            streams.append(peer)
            await peer.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            await peer.ended()

    sent: list[int] = []
    upstream = Upstream(serve)
    await upstream.start()
    try:
        yield upstream.port
    finally:
        await upstream.stop()


SERVERS = [
    pytest.param(node, marks=pytest.mark.skipif(shutil.which("node") is None, reason="needs node")),
    aiohttp_server,
    until_close,
]


async def event(caller: Caller) -> bytes:
    """The next chunk, without its framing."""
    size = int(await caller._until(b"\r\n"), 16)
    data = await caller._exactly(size)
    assert await caller._exactly(2) == b"\r\n"
    return data


@pytest.mark.parametrize("server", SERVERS)
async def test_each_event_is_passed_on_before_the_next_is_made(
    start_sidecar: StartSidecar, server: Callable[[], AbstractAsyncContextManager[int]]
) -> None:
    async with server() as port:
        running = await start_sidecar(port, timeout=0.5, attempt_timeout=0.5)
        caller = await running.open()
        await caller.send(get(b"/orders/events", b"Accept: text/event-stream"))
        head = await caller._until(b"\r\n\r\n")
        assert b"Content-Type: text/event-stream" in head, "before there is an event"
        for number in range(1, 8):
            assert (await running.ask(post(b"/orders/next", b""))).status == 200
            assert await event(caller) == b"data: %d\n\n" % number
            await asyncio.sleep(0.08)  # in all, more than `timeout`: that is for the head
        caller.reset()
        await until(lambda: running.idle)


async def test_a_silent_stream_is_cut_off_after_the_idle_timeout_of_its_service(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await peer.ended()

    upstream.serve = serve
    running = await start_sidecar(upstream.port, timeout=0.05, attempt_timeout=0.05, idle_timeout=0.3)
    caller = await running.open()
    started_s = asyncio.get_running_loop().time()
    await caller.send(get(b"/orders/events"))
    assert await caller.ended() == "reset", "an EventSource then comes back"
    assert asyncio.get_running_loop().time() - started_s >= 0.3
    await until(lambda: upstream.ends == 1)


async def test_a_long_poll_may_last_as_long_as_its_service_allows(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await asyncio.sleep(0.3)
        await peer.send(response(b"news"))

    upstream.serve = serve
    running = await start_sidecar(upstream.port, timeout=60.0, attempt_timeout=60.0, idle_timeout=0.05)
    assert (await running.ask(get(b"/orders/news"))).body == b"news", "the idle timeout is for bodies"
