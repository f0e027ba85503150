"""Attacks that once worked on other proxies, servers and parsers. Each test is named after the CVE that it replays.

Upgrades have theirs in `tests/integration/test_proxy_upgrade.py`, memory and time in `tests/attack`.
"""

import asyncio
import importlib.util

import aiohttp.http_parser
import pytest

from tests.integration.conftest import (
    PATIENCE_S,
    Peer,
    Running,
    StartSidecar,
    Upstream,
    answering,
    get,
    post,
    response,
    until,
)

from .conftest import Refuses, Rejects
from .messages import CHUNKED, FINE, SMUGGLED, answers, bodied, chunked_answer, requests

HIGH_S = "\u017f".encode()  # which str.upper() makes an S
KELVIN = "\u212a".encode()  # which str.lower() makes a k


def test_cve_2026_111750_aiohttp_parses_in_c() -> None:
    """Its pure Python parser reads ambiguous framing leniently; the admin port and Eureka must not depend on it."""
    assert importlib.util.find_spec("aiohttp._http_parser") is not None
    assert aiohttp.http_parser.HttpRequestParser is not aiohttp.http_parser.HttpRequestParserPy


async def test_cve_2026_69243_the_body_of_an_upgrade_is_no_request(running: Running, upstream: Upstream) -> None:
    upgrade = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")
    caller = await running.open()
    raw = get(b"/orders/1", *upgrade, b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED
    assert (await caller.ask(raw)).status == 200
    assert (await caller.ask(get(b"/orders/2"))).status == 200
    assert [request.line for request in upstream.requests] == [b"GET /1 HTTP/1.1", b"GET /2 HTTP/1.1"]
    assert upstream.requests[0].body == SMUGGLED


@requests(
    {
        "2025-69224 coding": bodied(b"Transfer-Encoding: " + b"chun" + KELVIN + b"ed"),
        "2025-69224 length": bodied(b"Content-Length: " + "٣".encode()),
    }
)
async def test_cve_2025_69224_case_folding_makes_no_framing(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 400)


@pytest.mark.parametrize("name", [b"Ho" + HIGH_S + b"t", b"Tran" + HIGH_S + b"fer-Encoding"])
async def test_cve_2025_69224_no_name_is_folded_into_another(refuses: Refuses, name: bytes) -> None:
    await refuses(bodied(name + b": chunked"), 400)


async def test_cve_2025_69223_nothing_is_decompressed(running: Running, upstream: Upstream) -> None:
    bomb = b"\x1f\x8b\x08\x00" + bytes(1000)
    upstream.serve = lambda peer: answering(peer, response(bomb, b"Content-Encoding: gzip"))
    assert (await running.ask(post(b"/orders/", bomb, b"Content-Encoding: gzip"))).body == bomb
    assert upstream.requests[0].body == bomb


CHUNK_ENDS = {
    "2025-43859 any two bytes": b"2\r\nokXX0\r\n\r\n",
    "one byte": b"2\r\nokX\r\n0\r\n\r\n",
    "line feed": b"2\r\nok\n0\r\n\r\n",
    "none": b"2\r\nok0\r\n\r\n",
    "longer than announced": b"2\r\nokay\r\n0\r\n\r\n",
}
CHUNK_LINES = {
    "2025-22871 bare LF in the size line": b"2\nok\r\n0\r\n\r\n",
    "2025-22871 bare LF in an extension": b"2;a=b\nok\r\n0\r\n\r\n",
    "2025-58056 LF ends an extension": b"2;\n\r\nok\r\n0\r\n\r\n",
    "2025-55315 CR in an extension": b"2;a=\rb\r\nok\r\n0\r\n\r\n",
    "2025-55315 LF in an extension": b"2;\nxx\r\n4c\r\n0\r\n\r\n",
    "2026-2332 line end in a quoted string": b'2;a="\r\nok\r\n0\r\n\r\n',
    "2026-2332 bare LF in a quoted string": b'2;a="\n"\r\nok\r\n0\r\n\r\n',
    "NUL in an extension": b"2;a=\x00\r\nok\r\n0\r\n\r\n",
    "0x": b"0x2\r\nok\r\n0\r\n\r\n",
    "sign": b"+2\r\nok\r\n0\r\n\r\n",
    "underscore": b"0_2\r\nok\r\n0\r\n\r\n",
    "overflow": b"10000000000000002\r\nok\r\n0\r\n\r\n",
    "space before": b" 2\r\nok\r\n0\r\n\r\n",
    "space behind": b"2 \r\nok\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("chunks", [*CHUNK_ENDS.values(), *CHUNK_LINES.values()], ids=[*CHUNK_ENDS, *CHUNK_LINES])
@pytest.mark.parametrize("step", [2**20, 1], ids=["at once", "byte by byte"])
async def test_cve_2025_43859_and_the_chunk_table_of_requests(
    running: Running, upstream: Upstream, chunks: bytes, step: int
) -> None:
    """No request ends there, and nothing behind it is one."""
    caller = await running.open()
    raw = get(b"/orders/", CHUNKED, method=b"POST") + chunks + SMUGGLED
    for at in range(0, len(raw), step):
        caller.writer.write(raw[at : at + step])
        await asyncio.sleep(0)
    assert (await caller.answer()).problem == (400, "http_request_error")
    await caller.ended()
    await until(lambda: running.idle)
    assert not [request for request in upstream.requests if request.whole or b"smuggled" in request.line]


@pytest.mark.parametrize("chunks", [*CHUNK_ENDS.values(), *CHUNK_LINES.values()], ids=[*CHUNK_ENDS, *CHUNK_LINES])
async def test_cve_2025_43859_and_the_chunk_table_of_answers(
    running: Running, upstream: Upstream, chunks: bytes
) -> None:
    """No answer is complete there, and the next caller's is the instance's next."""

    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(chunked_answer(chunks) + response(b"poison"))
        await peer.rest_or_nothing()

    upstream.serve = serve
    caller = await running.open()
    await caller.send(get(b"/orders/"))
    received = await caller.rest_or_nothing()
    assert b"poison" not in received
    assert b"\r\n0\r\n\r\n" not in received, "a complete answer"
    upstream.serve = answering
    assert (await running.ask(get(b"/orders/"))).body == b"ok"


@requests(
    {
        "coding": b"POST /orders/ HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        "coding and length": b"POST /orders/ HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
        "two codings": b"POST /orders/ HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    }
)
async def test_cve_2026_2835_a_coding_in_http_1_0_is_faulty(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 400)


async def test_cve_2026_2835_no_request_body_is_delimited_by_the_close(running: Running, upstream: Upstream) -> None:
    caller = await running.open()
    await caller.send(b"POST /orders/ HTTP/1.0\r\nHost: a\r\n\r\n" + SMUGGLED)
    assert (await caller.answer()).status == 200
    await caller.ended()
    assert [(request.line, request.body) for request in upstream.requests] == [(b"POST / HTTP/1.1", b"")]


@pytest.mark.parametrize("name", [b"Transfer-Encoding", b"close, transfer-encoding", b"Content-Length", b"Host"])
async def test_cve_2026_26365_framing_is_not_nominated(refuses: Refuses, name: bytes) -> None:
    await refuses(bodied(b"Connection: " + name, CHUNKED), 400)


EXPECT = b"Expect: 100-continue"


@requests(
    {
        "folded": get(b"/orders/", b"Expect: 100-continue\r\n ", b"Content-Length: 38", method=b"OPTIONS") + SMUGGLED,
        "folded name": get(b"/orders/", b"Expect:\r\n 100-continue", b"Content-Length: 38", method=b"OPTIONS"),
        "space before colon": get(b"/orders/", b"Expect : 100-continue", method=b"OPTIONS"),
    }
)
async def test_cve_2025_32094_a_folded_expectation_is_refused(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 400)


async def test_cve_2025_32094_an_expectation_never_shifts_the_messages(running: Running, upstream: Upstream) -> None:
    """The body is read by its framing, whoever said 100 when, or never."""
    caller = await running.open()
    body = b"Content-Length: %d" % len(SMUGGLED)
    for method in (b"OPTIONS", b"GET", b"POST"):
        assert (await caller.ask(get(b"/orders/1", EXPECT, body, method=method) + SMUGGLED)).status == 200
        assert (await caller.ask(get(b"/orders/2", EXPECT))).status == 200
    assert {request.line.split()[1] for request in upstream.requests} == {b"/1", b"/2"}
    assert [request.body for request in upstream.requests] == [SMUGGLED, b""] * 3


async def test_cve_2024_23326_an_answer_to_an_upgrade_that_is_no_101_keeps_to_http(
    running: Running, upstream: Upstream
) -> None:
    """Envoy took 200 for an accepted upgrade, and what followed for a tunnel."""
    offer = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")

    async def serve(peer: Peer) -> None:
        await answering(peer, response(b"ok", b"Connection: Upgrade", b"Upgrade: websocket"))

    upstream.serve = serve
    caller = await running.open()
    await caller.send(get(b"/orders/1", *offer, b"Sec-WebSocket-Version: 13") + SMUGGLED)
    answer = await caller.answer()
    assert (answer.status, answer.body, answer.values(b"Upgrade")) == (200, b"ok", [])
    assert answer.value(b"Connection") == b"close", "whatever the caller takes the next bytes for, nobody reads them"
    await caller.ended()
    assert [request.line for request in upstream.requests] == [b"GET /1 HTTP/1.1"]


async def test_cve_2026_71324_connect_leaves_nothing_in_the_pool(running: Running, upstream: Upstream) -> None:
    assert (await running.ask(get(b"/orders/"))).status == 200
    poisoner = await running.open()
    await poisoner.send(b"CONNECT orders:80 HTTP/1.1\r\nHost: orders:80\r\n\r\n" + SMUGGLED)
    assert (await poisoner.answer()).problem == (405, "http_request_error")
    await poisoner.ended()
    assert (await running.ask(get(b"/orders/next"))).status == 200
    assert [request.line for request in upstream.requests] == [b"GET / HTTP/1.1", b"GET /next HTTP/1.1"]


@requests(
    {
        "2023-25725 empty header name": bodied(b": x", CHUNKED),
        "2023-40225 empty length": bodied(b"Content-Length:"),
        "2023-40225 blank length": bodied(b"Content-Length: \t"),
        "2023-45539 # in the target": get(b"/orders/a#b.png"),
        "2021-40346 length that overflows": bodied(b"Content-Length: 18446744073709551617"),
        "2021-39241 space in the method": b"GET / HTTP/1.1 /orders/ HTTP/1.1\r\nHost: a\r\n\r\n",
    }
)
async def test_cves_of_haproxy(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 400)


async def test_cve_2021_40346_a_name_that_overflows_its_length_hides_nothing(
    running: Running, upstream: Upstream
) -> None:
    """HAProxy kept a name's length in a byte: 256 + len("content-length") letters were a Content-Length."""
    overlong = b"Content-Length0" + b"a" * 255 + b":"
    caller = await running.open()
    assert (await caller.ask(post(b"/orders/1", b"abc", overlong))).status == 200
    assert (await caller.ask(get(b"/orders/2"))).status == 200
    assert [request.body for request in upstream.requests] == [b"abc", b""]


async def test_cve_2026_1642_what_an_instance_said_before_it_was_asked_is_discarded(
    running: Running, upstream: Upstream
) -> None:
    async def serve(peer: Peer) -> None:
        if upstream.connections == 1:
            await peer.request()
            await peer.send(response(b"first"))
            await peer.send(response(b"injected"))
        else:
            await answering(peer)

    upstream.serve = serve
    assert (await running.ask(get(b"/orders/"))).body == b"first"
    await until(lambda: running.upstream_connections == 0, "the connection to be discarded")
    assert (await running.ask(get(b"/orders/"))).body == b"ok"


async def test_cve_2024_12254_an_answer_waits_for_its_reader(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    """asyncio's writelines knew no backpressure: all that an instance sent piled up."""
    sent = 0

    async def serve(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(FINE + b"Content-Length: 1073741824\r\n\r\n")
        while sent < 1073741824:
            await peer.send(bytes(65536))
            sent += 65536

    upstream.serve = serve
    running = await start_sidecar(upstream.port, idle_timeout=0.5)
    caller = await running.open()
    await caller.send(get(b"/orders/"))
    async with asyncio.timeout(PATIENCE_S):
        await caller.reader.readuntil(b"\r\n\r\n")
    caller.writer.transport.pause_reading()  # type: ignore[attr-defined] # a stream transport
    await until(lambda: running.idle, "the reader to be given up")
    assert sent < 64 * 1024 * 1024, "what kernels buffer, and no more"


@answers(
    {
        "line": b"HTTP/1.1 200 " + b"a" * 100_000 + b"\r\n\r\n",
        "name": FINE + b"a" * 100_000 + b": b\r\n\r\n",
        "value": FINE + b"X-A: " + b"a" * 100_000 + b"\r\n\r\n",
    }
)
async def test_pysec_2026_2110_no_line_of_an_answer_is_beyond_the_limit(rejects: Rejects, nonsense: bytes) -> None:
    await rejects(nonsense)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /orders/" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (get(b"/orders/", b"a" * 100_000 + b": b"), 431),
        (get(b"/orders/", b"X-A: " + b"a" * 100_000), 431),
    ],
    ids=["target", "name", "value"],
)
async def test_pysec_2026_2110_no_line_of_a_request_is_beyond_the_limit(
    refuses: Refuses, raw: bytes, status: int
) -> None:
    await refuses(raw, status)
