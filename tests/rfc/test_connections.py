"""Connections (RFC 9112 section 9): what may follow what, on which side, and what ends them."""

import asyncio

import pytest

from tests.integration.conftest import (
    Peer,
    Running,
    Upstream,
    answering,
    get,
    post,
    response,
    until,
)

from .messages import CHUNKED, SMUGGLED, bodied

MIB = 2**20


@pytest.mark.parametrize("body", [bodied(b"Content-Length: 100"), bodied(CHUNKED, body=b"64\r\nabc")])
async def test_c24_a_connection_whose_body_was_not_read_to_the_end_closes(
    running: Running, upstream: Upstream, body: bytes
) -> None:
    caller = await running.open()
    answer = await caller.ask(body.replace(b"/orders/", b"/nobody/", 1))
    assert (answer.status, answer.value(b"Connection")) == (404, b"close")
    await caller.send(get(b"/orders/"))
    assert await caller.rest_or_nothing() == b""
    assert upstream.connections == 0


async def test_c24_an_instance_is_never_asked_to_keep_a_connection_of_http_1_0(
    running: Running, upstream: Upstream
) -> None:
    async def serve(peer: Peer) -> None:
        await answering(peer, response().replace(b"HTTP/1.1", b"HTTP/1.0"))

    upstream.serve = serve
    for _ in range(2):
        assert (await running.ask(get(b"/orders/"))).status == 200
    assert upstream.connections == 2
    assert {connection for request in upstream.requests for connection in request.values(b"Connection")} == set()


async def test_c26_an_answer_that_closes_says_so(running: Running) -> None:
    caller = await running.open()
    answer = await caller.ask(get(b"/orders/", b"Connection: x, CLOSE"))
    assert answer.value(b"Connection") == b"close"
    assert await caller.rest() == b""


async def test_c27_a_body_that_an_instance_refuses_is_not_sent_to_its_end(running: Running, upstream: Upstream) -> None:
    rest = asyncio.get_running_loop().create_future()

    async def serve(peer: Peer) -> None:
        await peer.head()
        assert await peer._exactly(3) == b"abc"
        await peer.send(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\n")
        await until(more_sent.is_set)
        await peer.send(b"no")
        rest.set_result(await peer.rest_or_nothing())

    more_sent = asyncio.Event()
    upstream.serve = serve
    caller = await running.open()
    await caller.send(get(b"/orders/", b"Content-Length: 100", method=b"POST") + b"abc")
    await caller._until(b"\r\n\r\n")
    await caller.send(b"d" * 50)
    await asyncio.sleep(0.05)
    more_sent.set()
    assert await rest == b""
    assert await caller.rest() == b"no"


async def test_c27_an_instance_that_answers_early_but_reads_on_gets_the_whole_body(
    running: Running, upstream: Upstream
) -> None:
    async def serve(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        await peer.send(await peer._exactly(3))
        await peer.send(await peer._exactly(3))
        await peer.ended()

    upstream.serve = serve
    caller = await running.open()
    await caller.send(get(b"/orders/", b"Content-Length: 6", method=b"POST") + b"abc")
    await caller._until(b"\r\n\r\n")
    assert await caller._exactly(3) == b"abc"
    await caller.send(b"def")
    assert await caller.rest() == b"def", "an echo, and then the close"


@pytest.mark.parametrize("target", [b"orders:80", b"orders:", b"orders", b"orders:99999", b"/orders/", b"[::1]:80"])
async def test_c37_no_tunnel_is_opened_to_anybody(running: Running, upstream: Upstream, target: bytes) -> None:
    caller = await running.open()
    await caller.send(b"CONNECT " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED)
    answer = await caller.answer()
    assert answer.status in (400, 405)
    assert answer.value(b"Connection") == b"close"
    assert await caller.rest_or_nothing() == b""
    assert upstream.connections == 0


@pytest.mark.parametrize(
    "raw", [get(b"/orders/", method=b"TRACE"), get(b"/orders/", b"Max-Forwards: 0", method=b"TRACE")]
)
async def test_c37_trace_is_not_served(running: Running, upstream: Upstream, raw: bytes) -> None:
    answer = await running.ask(raw)
    assert (answer.status, answer.value(b"Connection")) == (405, b"close")
    assert upstream.connections == 0


async def test_c24_pipelined_requests_with_bodies_are_kept_apart(running: Running, upstream: Upstream) -> None:
    caller = await running.open()
    chunked = get(b"/orders/2", b"Transfer-Encoding: chunked", method=b"PUT") + b"3\r\nabc\r\n0\r\n\r\n"
    await caller.send(post(b"/orders/1", b"GET / HTTP/1.1\r\n\r\n") + chunked + get(b"/orders/3"))
    for _ in range(3):
        assert (await caller.answer()).status == 200
    assert [request.body for request in upstream.requests] == [b"GET / HTTP/1.1\r\n\r\n", b"abc", b""]


async def test_c24_an_http_1_0_caller_keeps_no_connection_even_if_it_asks(running: Running) -> None:
    caller = await running.open()
    answer = await caller.ask(b"GET /orders/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert (answer.value(b"Connection"), answer.body) == (b"close", b"ok")
    assert await caller.rest() == b""


async def test_c24_a_refused_body_that_has_arrived_does_not_block_the_connection(
    running: Running, upstream: Upstream
) -> None:
    """The body is larger than what is buffered before the caller is paused, and nobody ever takes it."""
    caller = await running.open()
    answer = await caller.ask(post(b"/nobody/", bytes(200_000)))
    assert answer.problem == (404, "destination_not_found")
    if answer.values(b"Connection") == []:
        assert (await caller.ask(get(b"/orders/"))).status == 200


@pytest.mark.parametrize("good", [get(b"/orders/good"), post(b"/orders/good", b"0\r\n\r\n")])
async def test_c25_a_bad_request_behind_a_good_one_does_not_cost_the_good_answer(
    running: Running, upstream: Upstream, good: bytes
) -> None:
    caller = await running.open()
    await caller.send(good + b"\x00bad\r\n\r\n" + SMUGGLED)
    assert (await caller.answer()).status == 200
    assert (await caller.answer()).problem[0] == 400
    assert await caller.rest() == b""
    assert [request.line.split(b" ")[1] for request in upstream.requests] == [b"/good"]


async def test_c25_pipelined_requests_are_answered_in_order(running: Running, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        await answering(peer, lambda request: response(request.line.split(b" ")[1]))

    upstream.serve = serve
    caller = await running.open()
    await caller.send(b"".join(get(b"/orders/%d" % n) for n in range(60)))
    assert [(await caller.answer()).body for _ in range(60)] == [b"/%d" % n for n in range(60)]
    assert upstream.connections == 1


async def test_c25_bytes_on_an_idle_connection_close_it(running: Running, upstream: Upstream) -> None:
    await running.ask(get(b"/orders/1"))
    await until(lambda: running.idle)
    await upstream.peers[0].send(response(b"poison"))
    await until(lambda: running.upstream_connections == 0)
    assert (await running.ask(get(b"/orders/2"))).body == b"ok"
    assert upstream.connections == 2


async def test_c26_close_is_obeyed_and_what_follows_is_not_read(running: Running, upstream: Upstream) -> None:
    caller = await running.open()
    await caller.send(get(b"/orders/1", b"Connection: close") + get(b"/orders/2"))
    answer = await caller.answer()
    assert answer.value(b"Connection") == b"close"
    assert await caller.rest() == b""
    assert len(upstream.requests) == 1


async def test_c26_an_instance_that_says_close_is_not_used_again(running: Running, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        await answering(peer, response(b"x", b"Connection: close"))

    upstream.serve = serve
    caller = await running.open()
    for _ in range(2):
        answer = await caller.ask(get(b"/orders/"))
        assert answer.values(b"Connection") == [], "the instance's connection is not the caller's"
    assert upstream.connections == 2


async def test_c26_an_early_answer_is_readable_although_the_caller_keeps_sending(
    running: Running, upstream: Upstream
) -> None:
    async def serve(peer: Peer) -> None:
        await peer.head()
        await peer.send(response(b"too large", status=b"413 Content Too Large"))
        await peer.ended()

    upstream.serve = serve
    caller = await running.open()
    await caller.send(get(b"/orders/", b"Content-Length: %d" % (8 * MIB), method=b"POST"))
    for _ in range(8):
        await caller.send(bytes(MIB))
    assert (await caller.answer()).status == 413


async def test_c27_an_early_answer_to_an_upload_reaches_the_caller(running: Running, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        if upstream.connections > 1:
            await answering(peer)
            return
        await peer.head()
        await peer.send(response(b"too large", status=b"413 Content Too Large"))
        await peer.ended()

    upstream.serve = serve
    caller = await running.open()
    await caller.send(get(b"/orders/", b"Content-Length: %d" % MIB, method=b"POST") + bytes(1024))
    answer = await caller.answer()
    assert (answer.status, answer.body, answer.value(b"Connection")) == (413, b"too large", b"close")
    await until(lambda: upstream.ends == 1, "the instance's connection to be discarded")
    assert await caller.rest() == b""
    assert (await running.ask(get(b"/orders/"))).body == b"ok"


async def test_c37_connect_does_not_poison_the_next_callers_connection(running: Running, upstream: Upstream) -> None:
    first, second = await running.open(), await running.open()
    assert (await first.ask(get(b"/orders/1"))).status == 200
    await first.send(b"CONNECT orders:80 HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED)
    assert (await first.answer()).status == 405
    assert (await second.ask(get(b"/orders/2"))).body == b"ok"
    assert [request.line for request in upstream.requests] == [b"GET /1 HTTP/1.1", b"GET /2 HTTP/1.1"]
