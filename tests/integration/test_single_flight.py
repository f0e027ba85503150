"""Identical concurrent GETs seen from both outsides."""

import asyncio

import pytest

from admin.metrics import Event
from prana.config.settings import Breaker, Fallback

from .conftest import (
    NO_RETRY,
    Answer,
    Caller,
    Peer,
    Running,
    StartSidecar,
    StartUpstream,
    Upstream,
    get,
    response,
    until,
)

MANY = 100


class Held:
    """An instance that answers when it is let go, then at once."""

    def __init__(self, sent: bytes) -> None:
        self.sent = sent
        self.go_on = asyncio.Event()

    async def __call__(self, peer: Peer) -> None:
        while True:
            await peer.request()
            await self.go_on.wait()
            await peer.send(self.sent)


async def asked_at_once(running: Running, raw: bytes, count: int = MANY) -> list[Caller]:
    """Callers that have sent their request and wait; all of them have reached the sidecar."""
    callers = [await running.open() for _ in range(count)]
    for caller in callers:
        await caller.send(raw)
    await until(lambda: running.sidecar._server.in_flight == count)
    return callers


async def answers(callers: list[Caller]) -> list[Answer]:
    return [await caller.answer() for caller in callers]


@pytest.fixture
async def held(start_upstream: StartUpstream) -> tuple[Held, Upstream]:
    serve = Held(response(b"good", b"ETag: e"))
    return serve, await start_upstream(serve)


async def test_a_hundred_identical_gets_are_one_call(start_sidecar: StartSidecar, held: tuple[Held, Upstream]) -> None:
    serve, upstream = held
    running = await start_sidecar(upstream.port, single_flight=True, max_concurrent=1)
    callers = await asked_at_once(running, get(b"/orders/a?b=1", b"Accept: */*"))
    serve.go_on.set()
    got = await answers(callers)
    assert {(each.status, each.body, each.value(b"ETag")) for each in got} == {(200, b"good", b"e")}
    assert len({each.value(b"X-Request-Id") for each in got}) == MANY
    assert len(upstream.requests) == 1
    collapsed = [each for each in got if each.values(b"Cache-Status") == [b"prana; fwd=miss; collapsed"]]
    assert len(collapsed) == MANY - 1
    assert running.service().metrics.events[Event.COLLAPSED] == MANY - 1
    assert (await running.ask(get(b"/orders/a?b=1", b"Accept: */*"))).values(b"Cache-Status") == []
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("header", [b"Authorization: Bearer x", b"Cookie: a=b"])
async def test_a_hundred_with_credentials_are_a_hundred_calls(
    start_sidecar: StartSidecar, held: tuple[Held, Upstream], header: bytes
) -> None:
    serve, upstream = held
    running = await start_sidecar(upstream.port, single_flight=True)
    callers = await asked_at_once(running, get(b"/orders/a", header))
    await until(lambda: len(upstream.requests) == MANY)
    serve.go_on.set()
    assert {each.status for each in await answers(callers)} == {200}
    assert running.service().metrics.events[Event.COLLAPSED] == 0


async def test_it_is_off_unless_asked_for(start_sidecar: StartSidecar, held: tuple[Held, Upstream]) -> None:
    serve, upstream = held
    running = await start_sidecar(upstream.port)
    callers = await asked_at_once(running, get(b"/orders/a"), 5)
    await until(lambda: len(upstream.requests) == 5)
    serve.go_on.set()
    await answers(callers)


async def test_the_first_caller_may_hang_up(start_sidecar: StartSidecar, held: tuple[Held, Upstream]) -> None:
    serve, upstream = held
    running = await start_sidecar(upstream.port, single_flight=True)
    first, *others = await asked_at_once(running, get(b"/orders/a"), 5)
    await until(lambda: len(upstream.requests) == 1)
    first.reset()
    await until(lambda: len(upstream.requests) == 2)
    serve.go_on.set()
    assert [(each.status, each.body) for each in await answers(others)] == [(200, b"good")] * 4
    assert len(upstream.requests) == 2


async def test_each_caller_gets_the_fallback_for_a_failure_that_all_share(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    serve = Held(response(b"oops", status=b"500 Oops"))
    upstream = await start_upstream(serve)
    running = await start_sidecar(
        upstream.port,
        single_flight=True,
        retry=NO_RETRY,
        breaker=Breaker(request_volume=2),
        fallback=(Fallback(body="instead"),),
    )
    callers = await asked_at_once(running, get(b"/orders/a"), 10)
    serve.go_on.set()
    got = await answers(callers)
    assert {(each.body, each.value(b"X-Prana-Fallback")) for each in got} == {(b"instead", b"static; reason=http_500")}
    assert len(upstream.requests) == 1
    assert running.service().own.breaker.state == "closed", "one call failed, not ten"


async def test_an_answer_in_pieces_is_shared_once_it_is_whole(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    go_on = asyncio.Event()

    async def in_pieces(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ngo\r\n")
            await go_on.wait()
            await peer.send(b"2\r\nod\r\n0\r\n\r\n")

    upstream = await start_upstream(in_pieces)
    running = await start_sidecar(upstream.port, single_flight=True)
    callers = await asked_at_once(running, get(b"/orders/a"), 5)
    await callers[0]._until(b"2\r\ngo\r\n")
    go_on.set()
    assert await callers[0]._exactly(12) == b"2\r\nod\r\n0\r\n\r\n"
    assert {each.body for each in await answers(callers[1:])} == {b"good"}
    assert len(upstream.requests) == 1


async def test_a_large_answer_is_streamed_to_each_caller(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    content = bytes(range(256)) * 1024
    serve = Held(response(content))
    upstream = await start_upstream(serve)
    running = await start_sidecar(upstream.port, single_flight=True)
    callers = await asked_at_once(running, get(b"/orders/a"), 5)
    serve.go_on.set()
    assert all(each.body == content for each in await answers(callers))
    assert len(upstream.requests) == 5
