"""Instances that break off or speak nonsense: the caller can see it, and the next caller notices nothing of it."""

import asyncio

import pytest

from .conftest import NO_RETRY, Answer, Peer, Running, StartSidecar, Upstream, answering, get, response, until

FINE = b"HTTP/1.1 200 OK\r\n"
NONSENSE = {
    "no http": b"SSH-2.0-OpenSSH_9.2\r\n",
    "bad status line": b"HTTP/1.1 2x0 OK\r\n\r\n",
    "status below 100": b"HTTP/1.1 099 Low\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nX: y\n\n",
    "two lengths": FINE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "two equal lengths": FINE + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "signed length": FINE + b"Content-Length: +2\r\n\r\nok",
    "length and coding": FINE + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "coding and length": FINE + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "other coding": FINE + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "two codings": FINE + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "101 unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nxyz",
    "1xx flood": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 17 + response(),
    "space before colon": FINE + b"X : y\r\nContent-Length: 2\r\n\r\nok",
    "folded header": FINE + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "control character in the reason": b"HTTP/1.1 200 O\x1b[2JK\r\nContent-Length: 2\r\n\r\nok",
    "too many headers": FINE + b"X-A: b\r\n" * 101 + b"Content-Length: 2\r\n\r\nok",
    "too large a head": FINE + b"X-A: " + b"b" * 33_000 + b"\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE.keys())
async def test_nonsense_is_a_502_and_its_connection_is_never_used_again(
    start_sidecar: StartSidecar, upstream: Upstream, nonsense: bytes
) -> None:
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
    assert (await caller.ask(get(b"/orders/1"))).problem == (502, "http_protocol_error")
    await until(lambda: upstream.ends == 1, "the connection to be closed")
    answer = await caller.ask(get(b"/orders/2"))
    assert (answer.status, answer.body) == (200, b"ok")
    assert upstream.connections == 2


@pytest.mark.parametrize("start", [FINE + b"X-A: ", FINE + b"Content-Length: 2\r\n", b"HTTP/1.1 200 "])
async def test_endless_headers_are_cut_off(start_sidecar: StartSidecar, upstream: Upstream, start: bytes) -> None:
    sent = 0

    async def serve(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(start)
        while sent < 64 * 1024 * 1024:
            await peer.send(b"b" * 4096)
            sent += 4096

    upstream.serve = serve
    running = await start_sidecar(upstream.port, retry=NO_RETRY)
    assert (await running.ask(get(b"/orders/"))).problem == (502, "http_protocol_error")
    await until(lambda: upstream.ends == 1)
    assert sent < 16 * 1024 * 1024, "what the kernel buffers, and no more"


@pytest.mark.parametrize("start", [b"2\r\nok\r\n0\r\nX-Trailer: ", b"2\r\nok\r\n2;ext="])
async def test_an_endless_trailer_or_extension_cuts_the_answer(
    running: Running, upstream: Upstream, start: bytes
) -> None:
    sent = 0

    async def serve(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(FINE + b"Transfer-Encoding: chunked\r\n\r\n" + start)
        while sent < 64 * 1024 * 1024:
            await peer.send(b"b" * 4096)
            sent += 4096

    upstream.serve = serve
    caller = await running.open()
    await caller.send(get(b"/orders/"))
    assert await caller.ended() == "reset"
    await until(lambda: upstream.ends == 1)
    assert sent < 16 * 1024 * 1024, "what the kernel buffers, and no more"


TRUNCATED = {
    "length": FINE + b"Content-Length: 10\r\n\r\nfive!",
    "chunked": FINE + b"Transfer-Encoding: chunked\r\n\r\n5\r\nfive!\r\n",
    "within a chunk": FINE + b"Transfer-Encoding: chunked\r\n\r\nA\r\nfive!",
    "bad chunk": FINE + b"Transfer-Encoding: chunked\r\n\r\n5\r\nfive!XX0\r\n\r\n",
    "no chunk size": FINE + b"Transfer-Encoding: chunked\r\n\r\n5\r\nfive!\r\nxyz\r\n",
}


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("truncated", TRUNCATED.values(), ids=TRUNCATED.keys())
async def test_a_truncated_body_never_looks_complete(
    running: Running, upstream: Upstream, truncated: bytes, version: bytes
) -> None:
    go_on = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.request()
        head, _, body = truncated.partition(b"\r\n\r\n")
        await peer.send(head + b"\r\n\r\n")
        await go_on.wait()
        await peer.send(body)

    upstream.serve = serve
    caller = await running.open()
    await caller.send(b"GET /orders/ HTTP/" + version + b"\r\nHost: a\r\n\r\n")
    head = Answer(await caller._until(b"\r\n\r\n"))
    assert head.status == 200
    go_on.set()
    assert await caller.ended() == "reset"
    await until(lambda: upstream.ends == 1)
    await until(lambda: running.upstream_connections == 0)


async def test_a_reset_in_the_body_is_visible_too(running: Running, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(FINE + b"\r\nsome, delimited by the close")
        await until(caller_has_head.is_set)
        peer.reset()

    caller_has_head = asyncio.Event()
    upstream.serve = serve
    caller = await running.open()
    await caller.send(get(b"/orders/"))
    await caller._until(b"\r\n\r\n")
    caller_has_head.set()
    assert await caller.ended() == "reset"


@pytest.mark.parametrize(
    "head",
    [FINE + b"Content-Length: 5\r\n\r\nfirst", FINE + b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n"],
)
@pytest.mark.parametrize("extra", [b"extra", b"\r\n\r\n0\r\n", response(b"second"), b"HTTP/1.1 200"])
async def test_what_follows_an_answer_is_nobodys_answer(
    running: Running, upstream: Upstream, head: bytes, extra: bytes
) -> None:
    async def serve(peer: Peer) -> None:
        if upstream.connections > 1:
            await answering(peer, response(b"mine"))
            return
        await peer.request()
        await peer.send(head + extra)
        await peer.ended()

    upstream.serve = serve
    first, second = await running.open(), await running.open()
    assert (await first.ask(get(b"/orders/1"))).body == b"first"
    await until(lambda: upstream.ends == 1, "the connection to be discarded")
    assert (await second.ask(get(b"/orders/2"))).body == b"mine"
    assert (await first.ask(get(b"/orders/3"))).body == b"mine", "nothing was written behind the first answer"


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
async def test_a_body_where_none_may_be_is_discarded_with_its_connection(
    running: Running, upstream: Upstream, method: bytes
) -> None:
    head = b"HTTP/1.1 204 No Content\r\n\r\n" if method == b"GET" else FINE + b"Content-Length: 37\r\n\r\n"

    async def serve(peer: Peer) -> None:
        if upstream.connections > 1:
            await answering(peer, response(b"mine"))
            return
        await peer.request()
        await peer.send(head + response(b"")[:37])
        await peer.ended()

    upstream.serve = serve
    caller = await running.open()
    await caller.send(get(b"/orders/1", method=method))
    await caller.answer(bodiless=True)
    await until(lambda: upstream.ends == 1, "the connection to be discarded")
    assert (await caller.ask(get(b"/orders/2"))).body == b"mine"


async def test_bytes_on_an_idle_connection_close_it(running: Running, upstream: Upstream) -> None:
    await running.ask(get(b"/orders/1"))
    await until(lambda: running.idle)
    await upstream.peers[0].send(response(b"poison"))
    await until(lambda: running.upstream_connections == 0)
    assert (await running.ask(get(b"/orders/2"))).body == b"ok"
    assert upstream.connections == 2


async def test_an_answer_cut_before_its_head_is_terminated(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 O")

    upstream.serve = serve
    running = await start_sidecar(upstream.port, retry=NO_RETRY)
    assert (await running.ask(get(b"/orders/"))).problem == (502, "connection_terminated")


async def test_a_body_that_stalls_is_cut_off(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(FINE + b"Content-Length: 10\r\n\r\nfive!")
        await peer.ended()

    upstream.serve = serve
    running = await start_sidecar(upstream.port, idle_timeout=0.05)
    caller = await running.open()
    await caller.send(get(b"/orders/"))
    assert await caller.ended() == "reset"
    await until(lambda: upstream.ends == 1)
