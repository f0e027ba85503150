"""Framing (RFC 9112 sections 6 and 7): where a body ends is never in doubt, on either side."""

import asyncio

import pytest

from prana.wire.limits import MAX_HEADERS, MAX_LINE_BYTES
from tests.integration.conftest import (
    NO_RETRY,
    Answer,
    Peer,
    Running,
    StartSidecar,
    StartUpstream,
    Upstream,
    answering,
    get,
    post,
    response,
    until,
)

from .conftest import Refuses, Rejects
from .messages import CHUNKED, FINE, answers, bodied, chunked_answer, replying, requests


@requests(
    {
        "chunked not last": bodied(b"Transfer-Encoding: chunked, identity"),
        "no chunked at all": bodied(b"Transfer-Encoding: xchunked"),
        "gzip alone": bodied(b"Transfer-Encoding: gzip"),
        "identity": bodied(b"Transfer-Encoding: identity"),
        "parameter": bodied(b"Transfer-Encoding: chunked;q=1"),
        "quoted": bodied(b'Transfer-Encoding: "chunked"'),
        "empty": bodied(b"Transfer-Encoding:"),
        "two lines": bodied(CHUNKED, CHUNKED),
        "chunked twice": bodied(b"Transfer-Encoding: chunked, chunked"),
        "empty list element last": bodied(b"Transfer-Encoding: chunked,"),
        "underscore in its name": bodied(b"Transfer_Encoding: chunked"),
        "behind another in a line of its own": bodied(CHUNKED, b"Transfer-Encoding: gzip"),
    }
)
async def test_c13_chunked_must_be_the_final_coding(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 400)


@requests(
    {
        "gzip and chunked": bodied(b"Transfer-Encoding: gzip, chunked"),
        "in two lines": bodied(b"Transfer-Encoding: gzip", CHUNKED),
        "empty list element first": bodied(b"Transfer-Encoding: ,chunked"),
    }
)
async def test_c13_another_coding_before_chunked_is_501(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 501)


@answers(
    {
        "gzip and chunked": chunked_answer(b"2\r\nok\r\n0\r\n\r\n").replace(b"chunked", b"gzip, chunked"),
        "gzip alone": chunked_answer(b"2\r\nok\r\n0\r\n\r\n").replace(b"chunked", b"gzip"),
        "two lines": chunked_answer(b"2\r\nok\r\n0\r\n\r\n", b"Transfer-Encoding: gzip"),
        "chunked not last": chunked_answer(b"2\r\nok\r\n0\r\n\r\n").replace(b"chunked", b"chunked, gzip"),
    }
)
async def test_c13_an_answer_in_another_coding_is_502(rejects: Rejects, nonsense: bytes) -> None:
    await rejects(nonsense)


@requests(
    {
        "length and coding": bodied(b"Content-Length: 5", CHUNKED),
        "coding and length": bodied(CHUNKED, b"Content-Length: 5"),
        "length of nothing and coding": bodied(b"Content-Length: 0", CHUNKED),
    }
)
async def test_c14_a_length_and_a_coding_are_refused(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 400)


@answers(
    {
        "length and coding": chunked_answer(b"2\r\nok\r\n0\r\n\r\n", b"Content-Length: 2"),
        "coding and length": chunked_answer(b"2\r\nok\r\n0\r\n\r\n").replace(
            CHUNKED, CHUNKED + b"\r\nContent-Length: 2"
        ),
    }
)
async def test_c14_an_answer_with_a_length_and_a_coding_is_502(rejects: Rejects, nonsense: bytes) -> None:
    await rejects(nonsense)


async def test_c15_a_coding_in_an_http_1_0_request_is_refused(refuses: Refuses) -> None:
    await refuses(bodied(CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0", 1), 400)


async def test_c15_a_coding_in_an_http_1_0_answer_is_502(rejects: Rejects) -> None:
    await rejects(chunked_answer(b"2\r\nok\r\n0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"))


@pytest.mark.parametrize("status", [b"103 Early Hints", b"204 No Content"])
async def test_c16_no_framing_where_there_is_no_body(running: Running, upstream: Upstream, status: bytes) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nX-A: b\r\n\r\n")
        await peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    upstream.serve = serve
    answer = await running.ask(get(b"/orders/"))
    for head in (answer.head, *answer.interims):
        assert b"Content-Length" not in head
        assert b"Transfer-Encoding" not in head


@requests(
    {
        "two": bodied(b"Content-Length: 5", b"Content-Length: 6"),
        "two equal": bodied(b"Content-Length: 5", b"content-length: 5"),
        "list": bodied(b"Content-Length: 5, 5"),
        "signed": bodied(b"Content-Length: +5"),
        "negative": bodied(b"Content-Length: -5"),
        "hexadecimal": bodied(b"Content-Length: 0x5"),
        "digits with underscore": bodied(b"Content-Length: 1_0"),
        "digits with a space": bodied(b"Content-Length: 1 0"),
        "fraction": bodied(b"Content-Length: 5.0"),
        "empty": bodied(b"Content-Length: "),
        "overflow": bodied(b"Content-Length: 18446744073709551621"),
        "far overflow": bodied(b"Content-Length: " + b"9" * 5000),
        "other digits": bodied("Content-Length: \u0665".encode()),
        "underscore in its name": bodied(b"Content_Length: 5"),
    }
)
async def test_c18_an_invalid_length_is_refused(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 400)


@answers(
    {
        "two": FINE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "two equal": FINE + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "signed": FINE + b"Content-Length: +2\r\n\r\nok",
        "list": FINE + b"Content-Length: 2, 2\r\n\r\nok",
        "empty": FINE + b"Content-Length:\r\n\r\nok",
        "overflow": FINE + b"Content-Length: 18446744073709551618\r\n\r\nok",
    }
)
async def test_c18_an_answers_invalid_length_is_502(rejects: Rejects, nonsense: bytes) -> None:
    await rejects(nonsense)


async def test_c17_a_length_is_written_anew_and_without_leading_zeros(running: Running, upstream: Upstream) -> None:
    replying(upstream, FINE + b"Content-Length: 0002\r\n\r\nok")
    answer = await running.ask(get(b"/orders/", b"Content-Length: 0003", method=b"POST") + b"abc")
    assert (answer.value(b"Content-Length"), answer.body) == (b"2", b"ok")
    assert upstream.requests[0].values(b"Content-Length") == [b"3"]


@pytest.mark.parametrize("end", ["half-close", "close", "reset"])
@pytest.mark.parametrize("raw", [post(b"/orders/", b"abcdef")[:-2], bodied(CHUNKED, body=b"4\r\nabcd\r\n")])
async def test_c19_a_callers_short_body_never_looks_complete(
    running: Running, upstream: Upstream, raw: bytes, end: str
) -> None:
    async def serve(peer: Peer) -> None:
        recorded = await peer.head()
        recorded.body = await peer.rest_or_nothing()

    upstream.serve = serve
    caller = await running.open()
    await caller.send(raw)
    await until(lambda: upstream.requests)
    {"half-close": caller.half_close, "close": caller.close, "reset": caller.reset}[end]()
    await until(lambda: upstream.ends == 1, "the instance to see the end")
    assert not upstream.requests[0].body.endswith(b"0\r\n\r\n")
    await until(lambda: running.upstream_connections == 0)


OVERHEAD = {
    "extensions": (b"1;" + b"a" * 100 + b"\r\nx\r\n") * 3000 + b"0\r\n\r\n",
    "one extension": b"1;" + b"a" * 300_000 + b"\r\nx\r\n0\r\n\r\n",
    "leading zeros": b"0" * 300_000 + b"1\r\nx\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("data", [b"", b"7a120\r\n" + bytes(500_000) + b"\r\n"], ids=["at once", "after much data"])
@pytest.mark.parametrize("chunks", OVERHEAD.values(), ids=OVERHEAD.keys())
async def test_c21_a_caller_sends_no_more_framing_than_data(
    running: Running, upstream: Upstream, chunks: bytes, data: bytes
) -> None:
    caller = await running.open()
    await caller.send(bodied(CHUNKED, body=data + chunks))
    assert (await caller.answer()).problem == (431, "http_request_error")
    assert not any(request.whole for request in upstream.requests)


@pytest.mark.parametrize("chunks", OVERHEAD.values(), ids=OVERHEAD.keys())
async def test_c21_nor_does_an_instance(running: Running, upstream: Upstream, chunks: bytes) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(chunked_answer(b"1\r\na\r\n"))
        await until(head_arrived.is_set)
        await peer.send(chunks)
        await peer.ended()

    head_arrived = asyncio.Event()
    upstream.serve = serve
    caller = await running.open()
    await caller.send(get(b"/orders/"))
    await caller._until(b"\r\n\r\n")
    head_arrived.set()
    assert await caller.ended() == "reset"
    await until(lambda: upstream.ends == 1)


@pytest.mark.parametrize("extension", [b"", b";a=b", b';a="b c"', b";abcdef=ghijkl"])
async def test_c21_chunks_of_one_byte_are_legal_also_with_short_extensions(
    running: Running, upstream: Upstream, extension: bytes
) -> None:
    count = 20_000
    replying(upstream, chunked_answer((b"1" + extension + b"\r\nx\r\n") * count + b"0\r\n\r\n"))
    answer = await running.ask(bodied(CHUNKED, body=(b"1" + extension + b"\r\nx\r\n") * count + b"0\r\n\r\n"))
    assert answer.body == upstream.requests[0].body == b"x" * count


TRAILERS = [b"X-Checksum: abc", b"X-Hop: 1", b"x-twice: 1", b"X-Twice: 2", b"X-Latin: caf\xe9", b"Grpc-Status: 0"]
PASSED = [line.split(b": ") for line in TRAILERS if line != b"X-Hop: 1"]
WITH_TRAILERS = b"3\r\nabc\r\n0\r\n" + b"".join(line + b"\r\n" for line in TRAILERS) + b"\r\n"


@pytest.mark.parametrize("step", [2**20, 1], ids=["at once", "byte by byte"])
async def test_c22_trailers_pass_both_ways_as_trailers(running: Running, upstream: Upstream, step: int) -> None:
    replying(upstream, chunked_answer(WITH_TRAILERS, b"Trailer: X-Checksum", b"Connection: X-Hop"))
    headers = [CHUNKED, b"Connection: TE, X-Hop", b"TE: deflate;q=0.5, Trailers", b"Trailer: X-Checksum"]
    raw = bodied(*headers, body=WITH_TRAILERS)
    caller = await running.open()
    for at in range(0, len(raw), step):
        await caller.send(raw[at : at + step])
        await asyncio.sleep(0)
    answer = await caller.answer()
    (request,) = upstream.requests
    for message in (request, answer):
        assert (message.body, list(map(list, message.trailers))) == (b"abc", PASSED)
        assert message.values(b"Trailer") == [b"X-Checksum"]
        assert message.values(b"X-Checksum") == [], "never merged into the headers"
    assert (request.values(b"TE"), request.values(b"Connection")) == ([b"trailers"], [b"TE"])
    assert (await caller.ask(get(b"/orders/"))).status == 200


@pytest.mark.parametrize("te", [[], [b"TE: deflate"], [b"TE:"], [b"TE: trailersx"]])
async def test_c22_te_is_sent_on_only_for_trailers(running: Running, upstream: Upstream, te: list[bytes]) -> None:
    assert (await running.ask(get(b"/orders/", *te, b"Connection: TE"))).status == 200
    assert upstream.requests[0].values(b"TE") == upstream.requests[0].values(b"Connection") == []


async def test_c22_trailers_follow_a_body_that_is_streamed(running: Running, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(chunked_answer(b"3\r\nabc\r\n"))
        await until(head_arrived.is_set)
        await peer.send(b"0\r\nX-A: 1\r\n\r\n")

    head_arrived = asyncio.Event()
    upstream.serve = serve
    caller = await running.open()
    await caller.send(bodied(CHUNKED, body=b"3\r\nabc\r\n"))
    await until(lambda: upstream.requests)
    await caller.send(b"0\r\nX-B: 2\r\n\r\n")
    head = Answer(await caller._until(b"\r\n\r\n"))
    head_arrived.set()
    assert await caller._body(head.headers) == b"abc"
    assert (upstream.requests[0].trailers, caller.trailers) == ([(b"X-B", b"2")], [(b"X-A", b"1")])


async def test_c22_trailers_are_part_of_what_a_retry_sends_again(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    async def breaking_off(peer: Peer) -> None:
        await peer.request()

    bad, good = await start_upstream(breaking_off), await start_upstream()
    running = await start_sidecar(bad.port, good.port)
    raw = get(b"/orders/", CHUNKED, method=b"PUT") + b"3\r\nabc\r\n0\r\nX-A: 1\r\n\r\n"
    for _ in range(6):
        assert (await running.ask(raw)).status == 200
    assert bad.requests
    seen = [(request.body, request.trailers) for request in bad.requests + good.requests]
    assert seen == [(b"abc", [(b"X-A", b"1")])] * len(seen)


FORBIDDEN = [
    b"Host", b"Authorization", b"Proxy-Authorization", b"Cookie", b"Set-Cookie", b"WWW-Authenticate", b"Expect",
    b"Range", b"If-Match", b"Cache-Control", b"Max-Forwards", b"TE", b"Trailer", b"Keep-Alive", b"Upgrade",
    b"Proxy-Connection", b"Content-Type", b"Content-Encoding", b"Content-Range", b"X-Forwarded-For",
    b"X_Forwarded_For", b"X-Request-Id", b"X-Prana-Service", b"Via", b"Location", b"Date",
]  # fmt: skip


@pytest.mark.parametrize("name", FORBIDDEN)
async def test_c22_what_must_be_known_before_the_body_is_no_trailer(
    running: Running, upstream: Upstream, name: bytes
) -> None:
    chunks = b"0\r\nX-A: 1\r\n" + name + b": evil\r\nX-B: 2\r\n\r\n"
    replying(upstream, chunked_answer(chunks))
    answer = await running.ask(bodied(CHUNKED, body=chunks))
    assert upstream.requests[0].trailers == answer.trailers == [(b"X-A", b"1"), (b"X-B", b"2")]
    assert b"evil" not in upstream.requests[0].head + answer.head


async def test_c22_what_a_connection_field_among_the_trailers_names_is_dropped_with_it(
    running: Running, upstream: Upstream
) -> None:
    await running.ask(bodied(CHUNKED, body=b"0\r\nX-A: 1\r\nConnection: x-a, close\r\nX-B: 2\r\n\r\n"))
    assert upstream.requests[0].trailers == [(b"X-B", b"2")]
    caller = await running.open()
    await caller.send(bodied(CHUNKED, body=b"0\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n") + get(b"/orders/"))
    assert [(await caller.answer()).status for _ in range(2)] == [200, 200], "too late to ask for another protocol"


async def test_c22_a_connection_that_carried_trailers_carries_no_other_request(
    running: Running, upstream: Upstream
) -> None:
    """Some servers take them for headers of the next request."""
    for raw in (bodied(CHUNKED, body=b"0\r\nX-A: 1\r\n\r\n"), get(b"/orders/"), bodied(CHUNKED, body=b"0\r\n\r\n")):
        assert (await running.ask(raw)).status == 200
    assert upstream.connections == 2


async def test_c22_an_http_1_0_caller_gets_no_trailers(running: Running, upstream: Upstream) -> None:
    replying(upstream, chunked_answer(b"3\r\nabc\r\n0\r\nX-A: 1\r\n\r\n", b"Trailer: X-A"))
    caller = await running.open()
    answer = await caller.ask(b"GET /orders/ HTTP/1.0\r\nTE: trailers\r\n\r\n")
    assert (answer.body, answer.values(b"Trailer")) == (b"abc", [])
    assert upstream.requests[0].values(b"TE") == []


TOO_MANY_TRAILERS = {
    "number": b"X: y\r\n" * (MAX_HEADERS + 1),
    "one line": b"X: " + b"y" * MAX_LINE_BYTES + b"\r\n",
    "all together": (b"X: " + b"y" * 8000 + b"\r\n") * 5,
}


@pytest.mark.parametrize("trailers", TOO_MANY_TRAILERS.values(), ids=TOO_MANY_TRAILERS.keys())
async def test_c22_trailers_have_the_limits_of_headers(running: Running, upstream: Upstream, trailers: bytes) -> None:
    caller = await running.open()
    await caller.send(bodied(CHUNKED, body=b"0\r\n" + trailers + b"\r\n"))
    assert (await caller.answer()).problem == (431, "http_request_error")
    assert not any(request.whole for request in upstream.requests)
    replying(upstream, chunked_answer(b"0\r\n" + trailers + b"\r\n"))
    other = await running.open()
    await other.send(get(b"/orders/"))
    assert await other.ended() == "reset"


@requests(
    {
        "space before the colon": b"0\r\nX : y\r\n\r\n",
        "folded": b"0\r\nX: y\r\n z\r\n\r\n",
        "bare LF": b"0\r\nX: y\n\r\n",
        "control character": b"0\r\nX: \x01\r\n\r\n",
        "lookalike": b"0\r\nContent_Length: 5\r\n\r\n",
        "length": b"0\r\nContent-Length: 5\r\n\r\n",
        "coding": b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    }
)
async def test_c22_trailers_are_parsed_as_strictly_as_headers(running: Running, upstream: Upstream, raw: bytes) -> None:
    caller = await running.open()
    await caller.send(bodied(CHUNKED, body=raw))
    assert (await caller.answer()).problem == (400, "http_request_error")
    assert not any(request.whole for request in upstream.requests)


async def test_c16_the_length_of_a_304_passes_and_that_of_a_204_does_not(running: Running, upstream: Upstream) -> None:
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


async def test_c16_an_http_1_0_caller_gets_no_chunks(running: Running, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        await answering(peer, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")

    upstream.serve = serve
    caller = await running.open()
    answer = await caller.ask(b"GET /orders/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert answer.values(b"Transfer-Encoding") == answer.values(b"Content-Length") == []
    assert (answer.value(b"Connection"), answer.body) == (b"close", b"abc")


async def test_c17_a_length_stays_a_length_both_ways(running: Running, upstream: Upstream) -> None:
    replying(upstream, response(b"r" * 70_000))
    answer = await running.ask(post(b"/orders/", b"q" * 70_000))
    assert (answer.value(b"Content-Length"), answer.body) == (b"70000", b"r" * 70_000)
    recorded = upstream.requests[0]
    assert (recorded.values(b"Content-Length"), recorded.body) == ([b"70000"], b"q" * 70_000)
    assert recorded.values(b"Transfer-Encoding") == []


async def test_c17_an_empty_body_keeps_its_framing(running: Running, upstream: Upstream) -> None:
    caller = await running.open()
    for raw in (post(b"/orders/", b""), get(b"/orders/", CHUNKED, method=b"POST") + b"0\r\n\r\n", get(b"/orders/")):
        assert (await caller.ask(raw)).status == 200
    lengths = [request.values(b"Content-Length") for request in upstream.requests]
    codings = [request.values(b"Transfer-Encoding") for request in upstream.requests]
    assert (lengths, codings) == ([[b"0"], [], []], [[], [b"chunked"], []])


async def test_c17_a_body_delimited_by_the_close_is_chunked_for_the_caller(
    running: Running, upstream: Upstream
) -> None:
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


TRUNCATED = {
    "length": FINE + b"Content-Length: 10\r\n\r\nfive!",
    "chunked": FINE + b"Transfer-Encoding: chunked\r\n\r\n5\r\nfive!\r\n",
    "within a chunk": FINE + b"Transfer-Encoding: chunked\r\n\r\nA\r\nfive!",
    "bad chunk": FINE + b"Transfer-Encoding: chunked\r\n\r\n5\r\nfive!XX0\r\n\r\n",
    "no chunk size": FINE + b"Transfer-Encoding: chunked\r\n\r\n5\r\nfive!\r\nxyz\r\n",
}


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("truncated", TRUNCATED.values(), ids=TRUNCATED.keys())
async def test_c19_a_truncated_body_never_looks_complete(
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


async def test_c19_a_reset_in_the_body_is_visible_too(running: Running, upstream: Upstream) -> None:
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


async def test_c19_an_answer_cut_before_its_head_is_terminated(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 O")

    upstream.serve = serve
    running = await start_sidecar(upstream.port, retry=NO_RETRY)
    assert (await running.ask(get(b"/orders/"))).problem == (502, "connection_terminated")


@pytest.mark.parametrize(
    "head",
    [FINE + b"Content-Length: 5\r\n\r\nfirst", FINE + b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n"],
)
@pytest.mark.parametrize("extra", [b"extra", b"\r\n\r\n0\r\n", response(b"second"), b"HTTP/1.1 200"])
async def test_c20_what_follows_an_answer_is_nobodys_answer(
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
async def test_c20_a_body_where_none_may_be_is_discarded_with_its_connection(
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


async def test_c21_chunks_stay_chunks_both_ways_without_their_extensions(running: Running, upstream: Upstream) -> None:
    body = b'3;a=b;c="d"\r\nabc\r\n00A\r\n0123456789\r\n0;x\r\n\r\n'
    replying(upstream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n" + body)
    answer = await running.ask(get(b"/orders/", CHUNKED, method=b"PATCH") + body)
    assert (answer.value(b"Transfer-Encoding"), answer.body) == (b"chunked", b"abc0123456789")
    recorded = upstream.requests[0]
    assert (recorded.values(b"Transfer-Encoding"), recorded.body) == ([b"chunked"], b"abc0123456789")
    assert recorded.values(b"Content-Length") == []


BAD_CHUNKS = {
    "prefix": b"0x1\r\na\r\n0\r\n\r\n",
    "sign": b"+1\r\na\r\n0\r\n\r\n",
    "underscore": b"1_0\r\na\r\n0\r\n\r\n",
    "space after the size": b"1 \r\na\r\n0\r\n\r\n",
    "no size": b"\r\na\r\n0\r\n\r\n",
    "seventeen digits": b"00000000000000001\r\na\r\n0\r\n\r\n",
    "overflow": b"10000000000000001\r\na\r\n0\r\n\r\n",
    "LF after the size": b"1\na\r\n0\r\n\r\n",
    "LF in an extension": b"1;a\nb\r\na\r\n0\r\n\r\n",
    "NUL in an extension": b"1;a\x00\r\na\r\n0\r\n\r\n",
    "line end in a quoted extension": b'1;a="\r\n"\r\na\r\n0\r\n\r\n',
    "other bytes after the data": b"1\r\naXX0\r\n\r\n",
    "LF after the data": b"1\r\na\n0\r\n\r\n",
    "bad trailer": b"1\r\na\r\n0\r\nX : y\r\n\r\n",
    "endless trailer": b"1\r\na\r\n0\r\nX: " + b"y" * 300_000,
    "endless extension": b"1;" + b"y" * 300_000,
}


@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
async def test_c21_bad_chunks_are_never_delivered_as_a_complete_body(
    running: Running, upstream: Upstream, chunks: bytes
) -> None:
    caller = await running.open()
    await caller.send(get(b"/orders/", CHUNKED, method=b"POST") + chunks)
    answer = await caller.answer()
    assert answer.problem == (431 if len(chunks) > 1000 else 400, "http_request_error")
    assert answer.value(b"Connection") == b"close"
    assert upstream.requests == [] or not upstream.requests[0].body
    for peer in upstream.peers:
        assert not (await peer.rest_or_nothing()).endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("start", [b"2\r\nok\r\n0\r\nX-Trailer: ", b"2\r\nok\r\n2;ext="])
async def test_c21_an_endless_trailer_or_extension_cuts_the_answer(
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


@pytest.mark.parametrize("length", [b"Content-Length: 1234", b"Transfer-Encoding: chunked", b"X-None: 1"])
async def test_c23_head_has_no_body_whatever_its_fields_say(
    running: Running, upstream: Upstream, length: bytes
) -> None:
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
async def test_c23_204_and_304_have_no_body_and_keep_the_connections(
    running: Running, upstream: Upstream, status: bytes
) -> None:
    replying(upstream, b"HTTP/1.1 " + status + b"\r\nETag: x\r\n\r\n")
    caller = await running.open()
    for _ in range(3):
        answer = await caller.ask(get(b"/orders/"))
        assert answer.line == b"HTTP/1.1 " + status
        assert answer.values(b"Content-Length") == answer.values(b"Transfer-Encoding") == []
    assert upstream.connections == 1


async def test_c23_an_error_of_ours_to_head_has_no_body(running: Running) -> None:
    caller = await running.open()
    await caller.send(get(b"/nobody/", method=b"HEAD"))
    answer = await caller.answer(bodiless=True)
    assert answer.status == 404
    assert int(answer.value(b"Content-Length")) > 0
    assert (await caller.ask(get(b"/orders/"))).body == b"ok"
