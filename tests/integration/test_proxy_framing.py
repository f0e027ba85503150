"""Message framing: what delimits a body on one side is translated faithfully to the other."""

import asyncio

import pytest

from .conftest import PATIENCE_S, Peer, Recorded, Running, Upstream, answering, get, post, response, until

CHUNKED = b"Transfer-Encoding: chunked"


def replying(upstream: Upstream, answer: bytes) -> None:
    async def serve(peer: Peer) -> None:
        await answering(peer, answer)

    upstream.serve = serve


async def test_a_length_stays_a_length_both_ways(running: Running, upstream: Upstream) -> None:
    replying(upstream, response(b"r" * 70_000))
    answer = await running.ask(post(b"/orders/", b"q" * 70_000))
    assert (answer.value(b"Content-Length"), answer.body) == (b"70000", b"r" * 70_000)
    recorded = upstream.requests[0]
    assert (recorded.values(b"Content-Length"), recorded.body) == ([b"70000"], b"q" * 70_000)
    assert recorded.values(b"Transfer-Encoding") == []


async def test_chunks_stay_chunks_both_ways_without_extensions(running: Running, upstream: Upstream) -> None:
    body = b'3;a=b;c="d"\r\nabc\r\n00A\r\n0123456789\r\n0;x\r\n\r\n'
    replying(upstream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n" + body)
    answer = await running.ask(get(b"/orders/", CHUNKED, method=b"PATCH") + body)
    assert (answer.value(b"Transfer-Encoding"), answer.body) == (b"chunked", b"abc0123456789")
    recorded = upstream.requests[0]
    assert (recorded.values(b"Transfer-Encoding"), recorded.body) == ([b"chunked"], b"abc0123456789")
    assert recorded.values(b"Content-Length") == []


async def test_an_empty_body_keeps_its_framing(running: Running, upstream: Upstream) -> None:
    caller = await running.open()
    for raw in (post(b"/orders/", b""), get(b"/orders/", CHUNKED, method=b"POST") + b"0\r\n\r\n", get(b"/orders/")):
        assert (await caller.ask(raw)).status == 200
    lengths = [request.values(b"Content-Length") for request in upstream.requests]
    codings = [request.values(b"Transfer-Encoding") for request in upstream.requests]
    assert (lengths, codings) == ([[b"0"], [], []], [[], [b"chunked"], []])


async def test_a_request_arriving_byte_by_byte_is_the_same_request(running: Running, upstream: Upstream) -> None:
    caller = await running.open()
    raw = get(b"/orders/a?b", CHUNKED, b"X-A: b", method=b"PUT") + b"3\r\nabc\r\n0\r\n\r\n" + post(b"/orders/c", b"de")
    for at in range(len(raw)):
        await caller.send(raw[at : at + 1])
        await asyncio.sleep(0)
    assert [(await caller.answer()).status for _ in range(2)] == [200, 200]
    assert [(request.line, request.body) for request in upstream.requests] == [
        (b"PUT /a?b HTTP/1.1", b"abc"),
        (b"POST /c HTTP/1.1", b"de"),
    ]


async def test_a_response_arriving_byte_by_byte_is_the_same_response(running: Running, upstream: Upstream) -> None:
    raw = b"HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"

    async def serve(peer: Peer) -> None:
        for _ in range(2):
            await peer.request()
            for at in range(len(raw)):
                await peer.send(raw[at : at + 1])
                await asyncio.sleep(0)

    upstream.serve = serve
    caller = await running.open()
    for _ in range(2):
        answer = await caller.ask(get(b"/orders/"))
        assert (answer.body, answer.value(b"X-A")) == (b"abcde", b"b")
    assert upstream.connections == 1


@pytest.mark.parametrize("length", [b"Content-Length: 1234", b"Transfer-Encoding: chunked", b"X-None: 1"])
async def test_head_has_no_body_whatever_its_fields_say(running: Running, upstream: Upstream, length: bytes) -> None:
    async def serve(peer: Peer) -> None:
        await answering(
            peer,
            lambda request: (
                b"HTTP/1.1 200 OK\r\n" + length + b"\r\n\r\n" if request.line.startswith(b"HEAD") else response(b"next")
            ),
        )

    upstream.serve = serve
    caller = await running.open()
    await caller.send(get(b"/orders/", method=b"HEAD"))
    answer = await caller.answer(bodiless=True)
    assert answer.values(b"Content-Length") == ([b"1234"] if b"1234" in length else [])
    assert (await caller.ask(get(b"/orders/"))).body == b"next"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_204_and_304_have_no_body_and_keep_the_connections(
    running: Running, upstream: Upstream, status: bytes
) -> None:
    replying(upstream, b"HTTP/1.1 " + status + b"\r\nETag: x\r\n\r\n")
    caller = await running.open()
    for _ in range(3):
        answer = await caller.ask(get(b"/orders/"))
        assert answer.line == b"HTTP/1.1 " + status
        assert answer.values(b"Content-Length") == answer.values(b"Transfer-Encoding") == []
    assert upstream.connections == 1


async def test_the_length_of_a_304_passes_and_that_of_a_204_does_not(running: Running, upstream: Upstream) -> None:
    caller = await running.open()
    replying(upstream, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n")
    assert (await caller.ask(get(b"/orders/"))).value(b"Content-Length") == b"7"
    await until(lambda: upstream.connections)
    for peer in upstream.peers:
        peer.close()
    await until(lambda: running.upstream_connections == 0)
    replying(upstream, b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
    assert (await caller.ask(get(b"/orders/"))).values(b"Content-Length") == []
    replying(upstream, response(b"next"))


async def test_a_body_delimited_by_the_close_is_chunked_for_the_caller(running: Running, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.0 200 OK\r\n\r\nsome")
        await peer.send(b" more")

    upstream.serve = serve
    caller = await running.open()
    for _ in range(2):
        answer = await caller.ask(get(b"/orders/"))
        assert (answer.value(b"Transfer-Encoding"), answer.body) == (b"chunked", b"some more")
    assert upstream.connections == 2


async def test_an_error_of_ours_to_head_has_no_body(running: Running) -> None:
    caller = await running.open()
    await caller.send(get(b"/nobody/", method=b"HEAD"))
    answer = await caller.answer(bodiless=True)
    assert answer.status == 404
    assert int(answer.value(b"Content-Length")) > 0
    assert (await caller.ask(get(b"/orders/"))).body == b"ok"


async def test_103_passes_and_100_is_ours_to_send(running: Running, upstream: Upstream) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    replying(upstream, b"HTTP/1.1 100 Continue\r\n\r\n" + early + response())
    answer = await running.ask(get(b"/orders/"))
    assert answer.interims == [early]
    old = await running.open()
    assert (await old.ask(b"GET /orders/ HTTP/1.0\r\n\r\n")).interims == []


async def test_100_continue_is_sent_when_the_body_is_wanted(running: Running, upstream: Upstream) -> None:
    caller = await running.open()
    await caller.send(get(b"/orders/", b"Expect: 100-Continue", b"Content-Length: 3", method=b"POST"))
    async with asyncio.timeout(PATIENCE_S):
        assert await caller.reader.readexactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    answer = await caller.ask(b"abc")
    assert (answer.status, answer.interims) == (200, [])
    assert (upstream.requests[0].body, upstream.requests[0].values(b"Expect")) == (b"abc", [b"100-continue"])


async def test_a_refused_expectation_gets_the_final_status_and_no_100(running: Running, upstream: Upstream) -> None:
    caller = await running.open()
    answer = await caller.ask(get(b"/nobody/", b"Expect: 100-continue", b"Content-Length: 3", method=b"POST"))
    assert (answer.status, answer.interims) == (404, [])
    assert answer.value(b"Connection") == b"close", "the body may still come"
    assert upstream.connections == 0


async def test_no_100_for_a_body_that_is_already_there_or_never_was(running: Running) -> None:
    expect = b"Expect: 100-continue"
    assert (await running.ask(post(b"/orders/", b"abc", expect))).interims == []
    assert (await running.ask(get(b"/orders/", expect))).interims == []
    old = await running.open()
    raw = b"POST /orders/ HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    await old.send(raw)
    assert (await old.ask(b"abc")).interims == []


@pytest.mark.parametrize("offer", [b"h2c", b"websocket", b"TLS/1.0, foo"])
@pytest.mark.parametrize("body", [b"", b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_an_upgrade_offer_is_passed_over_and_the_connection_stays_in_step(
    running: Running, upstream: Upstream, offer: bytes, body: bytes
) -> None:
    upgrade = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + offer, b"HTTP2-Settings: AAMAAABk"]
    first = post(b"/orders/1", body, *upgrade) if body else get(b"/orders/1", *upgrade)
    chunked = get(b"/orders/2", CHUNKED, *upgrade, method=b"POST") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    raw = first + (chunked if body else b"") + get(b"/orders/3")
    for step in (len(raw), 7):
        upstream.requests.clear()
        caller = await running.open()
        for at in range(0, len(raw), step):
            await caller.send(raw[at : at + step])
            await asyncio.sleep(0)
        for _ in range(3 if body else 2):
            assert (await caller.answer()).status == 200
        assert [request.body for request in upstream.requests] == ([body, body, b""] if body else [b"", b""])
        names = {name.lower() for request in upstream.requests for name, _ in request.headers}
        assert not names & {b"upgrade", b"http2-settings", b"connection"}


async def test_a_query_for_all_is_only_for_options(running: Running, upstream: Upstream) -> None:
    assert (await running.ask(get(b"*", method=b"OPTIONS"))).status == 200
    assert (await running.ask(get(b"*"))).problem[0] == 400
    assert upstream.connections == 0
    assert (await running.ask(get(b"/orders/", method=b"OPTIONS"))).status == 200


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"PROPFIND", b"REPORT"])
async def test_any_other_method_reaches_the_instance(running: Running, upstream: Upstream, method: bytes) -> None:
    assert (await running.ask(get(b"/orders/a", method=method))).status == 200
    assert upstream.requests[0].line == method + b" /a HTTP/1.1"


def test_recorded_keeps_the_head() -> None:
    assert Recorded(b"GET / HTTP/1.1\r\n\r\n").headers == []
