"""The sidecar and the recording instances of the integration tests.

Tests here are named after the items of RFC 9110 and 9112 that concern a gateway: `c13` is item 13 of the list in
`README.md` beside this file. Whatever reaches an instance in any of them must be read alike by every parser.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.integration.conftest import (
    NO_RETRY,
    Peer,
    Running,
    StartSidecar,
    Upstream,
    answering,
    get,
    pytest_asyncio_loop_factories,
    running,
    start_sidecar,
    start_upstream,
    started_upstreams,
    until,
    upstream,
)

from .alike import read_alike

__all__ = [
    "pytest_asyncio_loop_factories",
    "running",
    "start_sidecar",
    "start_upstream",
    "started_upstreams",
    "upstream",
]

Refuses = Callable[[bytes, int], Awaitable[None]]
Rejects = Callable[[bytes], Awaitable[None]]


@pytest.fixture(autouse=True)
async def what_reaches_an_instance_is_read_alike(started_upstreams: list[Upstream]) -> AsyncIterator[None]:
    yield
    for instance in started_upstreams:
        for peer in instance.peers:
            readings = read_alike(bytes(peer.received))
            whole = [recorded for recorded in peer.requests if recorded.whole]
            assert len(whole) <= len(readings) <= len(peer.requests), "every parser counts what was recorded"
            for reading, recorded in zip(readings, peer.requests, strict=False):
                assert recorded.line == b"%b %b HTTP/1.1" % (reading.method, reading.target)
                assert recorded.body == reading.body or not recorded.whole


@pytest.fixture(params=[2**20, 1], ids=["at once", "byte by byte"])
def refuses(request: pytest.FixtureRequest, running: Running, upstream: Upstream) -> Refuses:
    """Send bytes, at once or one by one; the status expected is the answer, and nothing reaches the instance."""

    async def check(raw: bytes, status: int) -> None:
        step = request.param if len(raw) < 1000 else max(request.param, 997)
        caller = await running.open()
        for at in range(0, len(raw), step):
            caller.writer.write(raw[at : at + step])
            await asyncio.sleep(0)
        answer = await caller.answer()
        assert answer.problem == (status, "http_request_error")
        assert answer.value(b"Connection") == b"close"
        assert await caller.ended() in ("closed", "reset"), "and what follows is not read"
        assert upstream.connections == 0
        assert (answer.values(b"Allow") != []) == (status == 405)

    return check


@pytest.fixture
def rejects(start_sidecar: StartSidecar, upstream: Upstream) -> Rejects:
    """An instance answers with these bytes: the caller gets 502, and the connection is never used again."""

    async def check(nonsense: bytes) -> None:
        async def serve(peer: Peer) -> None:
            if upstream.connections > 1:
                await answering(peer)
                return
            await peer.request()
            await peer.send(nonsense)
            await peer.ended()

        upstream.serve = serve
        running = await start_sidecar(upstream.port, retry=NO_RETRY)
        caller = await running.open()
        await caller.send(get(b"/orders/1"))
        answer = await caller.answer()
        assert answer.problem == (502, "http_protocol_error")
        await until(lambda: upstream.ends == 1, "the connection to be closed")
        answer = await caller.ask(get(b"/orders/2"))
        assert (answer.status, answer.body) == (200, b"ok")
        assert upstream.connections == 2

    return check
