"""Parsing (RFC 9112 sections 2, 3 and 5): what is no request, or could be read in two ways, reaches no instance."""

import asyncio

import pytest

from prana.wire.limits import MAX_HEAD_BYTES, MAX_HEADERS, MAX_LINE_BYTES
from tests.integration.conftest import NO_RETRY, Peer, Running, StartSidecar, Upstream, get, post, response, until

from .conftest import Refuses, Rejects
from .messages import CHUNKED, FINE, answers, bodied, replying, requests

LENGTH = b"Content-Length: 2\r\n\r\nok"


def line(request_line: bytes) -> bytes:
    return request_line + b"\r\nHost: a\r\n\r\n"


def host(value: bytes, version: bytes = b"1.1") -> bytes:
    return b"GET /orders/ HTTP/" + version + b"\r\nHost: " + value + b"\r\n\r\n"


@requests(
    {
        "bare CR in a value": bodied(b"X: a\rContent-Length: 5"),
        "bare CR as a line end": b"GET /orders/ HTTP/1.1\rHost: a\r\r",
        "bare CR in the target": line(b"GET /orders/\r HTTP/1.1"),
        "name that is one letter only to Unicode": bodied("Tran\u017ffer-Encoding: chunked".encode()),
        "name that is one letter only to Latin-1": bodied(b"Transfer-Encod\xedng: chunked"),
    }
)
async def test_c01_octets_are_parsed_and_a_bare_cr_is_refused(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 400)


@answers({"bare CR": FINE + b"X: a\rb\r\n" + LENGTH, "bare CR as a line end": b"HTTP/1.1 200 OK\rX: y\r\r"})
async def test_c01_a_bare_cr_in_an_answer_is_502(rejects: Rejects, nonsense: bytes) -> None:
    await rejects(nonsense)


@pytest.mark.parametrize("coding", [b"Chun\xc5\xb7ed", b"chun\xe2\x84\xaaed", b"chunKed\xc2\xa0"])
async def test_c01_a_coding_that_is_chunked_only_to_unicode_is_refused(refuses: Refuses, coding: bytes) -> None:
    await refuses(bodied(b"Transfer-Encoding: " + coding), 400)


@requests(
    {
        "bare LF": b"GET /orders/ HTTP/1.1\nHost: a\n\n",
        "bare LF between headers": bodied(b"X: a\nContent-Length: 5"),
        "bare LF at the end of the head": b"GET /orders/ HTTP/1.1\r\nHost: a\r\n\n",
    }
)
async def test_c02_a_bare_lf_is_refused(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 400)


@answers({"bare LF": b"HTTP/1.1 200 OK\nX: y\n\n", "bare LF between headers": FINE + b"X: y\n" + LENGTH})
async def test_c02_a_bare_lf_in_an_answer_is_502(rejects: Rejects, nonsense: bytes) -> None:
    await rejects(nonsense)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"SSH-2.0-OpenSSH_9.2\r\n", 400),
    ],
    ids=["TLS", "HTTP/2", "SSH"],
)
async def test_c02_what_is_not_http_gets_an_answer_and_the_close(refuses: Refuses, raw: bytes, status: int) -> None:
    await refuses(raw, status)


@answers(
    {
        "no http": b"SSH-2.0-OpenSSH_9.2\r\n",
        "RTSP": response().replace(b"HTTP", b"RTSP"),
        "empty line": b"\r\n" + response(),
        "bad status line": b"HTTP/1.1 2x0 OK\r\n\r\n",
    }
)
async def test_c02_an_instance_that_does_not_speak_http_is_502(rejects: Rejects, nonsense: bytes) -> None:
    await rejects(nonsense)


@requests(
    {
        "space before the first header": b"GET /orders/ HTTP/1.1\r\n Host: a\r\n\r\n",
        "tab before the first header": b"GET /orders/ HTTP/1.1\r\n\tX: y\r\nHost: a\r\n\r\n",
    }
)
async def test_c03_whitespace_before_the_first_header_is_refused(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 400)


@answers({"space before the first header": FINE + b" X: y\r\n" + LENGTH})
async def test_c03_whitespace_before_an_answers_first_header_is_502(rejects: Rejects, nonsense: bytes) -> None:
    await rejects(nonsense)


async def test_c04_a_higher_minor_version_is_served_as_1_1(running: Running, upstream: Upstream) -> None:
    replying(upstream, response().replace(b"HTTP/1.1", b"HTTP/1.3"))
    caller = await running.open()
    for _ in range(2):
        answer = await caller.ask(get(b"/orders/").replace(b"HTTP/1.1", b"HTTP/1.2"))
        assert answer.line == b"HTTP/1.1 200 OK"
    assert [request.line for request in upstream.requests] == [b"GET / HTTP/1.1"] * 2
    assert upstream.connections == 1


async def test_c04_an_http_1_0_instances_answer_has_our_own_version(running: Running, upstream: Upstream) -> None:
    replying(upstream, response().replace(b"HTTP/1.1", b"HTTP/1.0"))
    for _ in range(2):
        assert (await running.ask(get(b"/orders/"))).line == b"HTTP/1.1 200 OK"
    assert upstream.connections == 2, "it closes, as it did not say that it keeps the connection"


@requests(
    {
        "HTTP/2": line(b"GET /orders/ HTTP/2.0"),
        "HTTP/3": line(b"GET /orders/ HTTP/3.0"),
        "HTTP/0.9": line(b"GET /orders/ HTTP/0.9"),
        "HTTP/9": line(b"GET /orders/ HTTP/9.9"),
    }
)
async def test_c04_another_major_version_is_505(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 505)


@answers(
    {
        "HTTP/2": b"HTTP/2.0 200 OK\r\n" + LENGTH,
        "HTTP/0.9": b"HTTP/0.9 200 OK\r\n" + LENGTH,
        "HTTP/2 behind an interim answer": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/2.0 200 OK\r\n" + LENGTH,
    }
)
async def test_c04_an_answer_in_another_major_version_is_502(rejects: Rejects, nonsense: bytes) -> None:
    await rejects(nonsense)


@requests(
    {
        "no version": b"GET /orders/\r\n\r\n",
        "empty lines without end before it": b"\r\n" * 5 + line(b"GET /orders/ HTTP/1.1"),
        "no version but headers": line(b"GET /orders/"),
        "lower-case version": line(b"GET /orders/ http/1.1"),
        "version of two digits": line(b"GET /orders/ HTTP/1.10"),
        "version without a dot": line(b"GET /orders/ HTTP/11"),
        "space in the target": line(b"GET /orders/a b HTTP/1.1"),
        "tab in the target": line(b"GET /orders/a\tb HTTP/1.1"),
        "space after the version": line(b"GET /orders/ HTTP/1.1 "),
        "tab behind the method": line(b"GET\t/orders/ HTTP/1.1"),
        "RTSP": line(b"DESCRIBE /orders/ RTSP/1.0"),
        "no target": line(b"GET  HTTP/1.1"),
        "hash in the target": line(b"GET /orders/#a HTTP/1.1"),
    }
)
async def test_c05_an_invalid_request_line_is_not_corrected(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 400)


@requests(
    {
        "unknown method": line(b"brew /orders/ HTTP/1.1"),
        "lower-case method": line(b"get /orders/ HTTP/1.1"),
        "endless method": b"G" * 100_000,
        "something before the method": line(b"xGET /orders/ HTTP/1.1"),
    }
)
async def test_c05_an_unknown_method_is_501(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 501)


@requests({"long target": get(b"/orders/" + b"a" * MAX_LINE_BYTES), "endless target": b"GET /" + b"a" * 100_000})
async def test_c05_a_target_that_is_too_long_is_414(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 414)


@requests(
    {
        "no host": b"GET /orders/ HTTP/1.1\r\n\r\n",
        "two hosts": host(b"a\r\nHost: a"),
        "two hosts in HTTP/1.0": host(b"a\r\nHost: b", b"1.0"),
        "invalid host in HTTP/1.0": host(b"a b", b"1.0"),
        "empty host": host(b""),
        "port alone": host(b":80"),
        "userinfo": host(b"a@b"),
        "path": host(b"a/b"),
        "list": host(b"a, b"),
        "space": host(b"a b"),
        "port that is none": host(b"a:b"),
        "port that is too high": host(b"a:65536"),
        "two ports": host(b"a:1:2"),
        "half a percent-encoding": host(b"a%2"),
        "IPv6 without brackets": host(b"::1"),
        "IPv6 that is none": host(b"[::1::]"),
        "open bracket": host(b"[::1"),
        "non-ASCII": host(b"\xe9"),
        "NUL": host(b"a\x00b"),
        "host with underscore for its dash": b"GET /orders/ HTTP/1.1\r\nHo_st: a\r\n\r\n",
    }
)
async def test_c06_exactly_one_valid_host(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 400)


@pytest.mark.parametrize("value", [b"a", b"a:", b"A-b_c.d:65535", b"[::1]:80", b"127.0.0.1", b"%41", b"a."])
async def test_c06_a_valid_host_passes(running: Running, value: bytes) -> None:
    assert (await running.ask(host(value))).status == 200


async def test_c06_an_http_1_0_caller_may_leave_the_host_out(running: Running, upstream: Upstream) -> None:
    assert (await running.ask(b"GET /orders/ HTTP/1.0\r\n\r\n")).status == 200
    assert upstream.requests[0].values(b"Host") == [b"127.0.0.1:%d" % upstream.port]


@pytest.mark.parametrize("authority", [b"localhost:1234", b"LOCALHOST", b"localhost.", b"127.0.0.1", b"[::1]:8078"])
async def test_c07_an_absolute_target_overrides_the_host(
    running: Running, upstream: Upstream, authority: bytes
) -> None:
    raw = get(b"HTTP://" + authority + b"/orders/a?b").replace(b"localhost:8078", b"shop.example")
    assert (await running.ask(raw)).status == 200
    (request,) = upstream.requests
    assert request.line == b"GET /a?b HTTP/1.1"
    assert request.values(b"Host") == [b"127.0.0.1:%d" % upstream.port]
    assert request.values(b"X-Forwarded-Host") == [authority]


@pytest.mark.parametrize(
    "target",
    [
        b"http://shop.example/orders/",
        b"http://10.1.2.3/orders/",
        b"http://169.254.169.254/latest/meta-data",
        b"http://localhost.example/orders/",
        b"http://localhost@shop.example/orders/",
        b"http://user:pass@localhost/orders/",
        b"http://:80/orders/",
        b"http:///orders/",
        b"http:/orders/",
        b"https://localhost/orders/",
        b"ftp://localhost/orders/",
        b"localhost:8078",
        b"//localhost/orders/".removeprefix(b"//"),
    ],
)
async def test_c07_an_absolute_target_that_is_not_ours_is_refused(refuses: Refuses, target: bytes) -> None:
    await refuses(get(target), 400)


async def test_c08_the_default_service_is_asked_for_all_with_an_asterisk(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    running = await start_sidecar(upstream.port, proxy={"default_service": "orders"})
    for target in (b"*", b"http://localhost:8078"):
        assert (await running.ask(get(target, method=b"OPTIONS"))).status == 200
    assert [request.line for request in upstream.requests] == [b"OPTIONS * HTTP/1.1"] * 2


async def test_c08_without_a_default_service_we_answer_for_ourselves(running: Running, upstream: Upstream) -> None:
    caller = await running.open()
    for target in (b"*", b"http://localhost"):
        answer = await caller.ask(get(target, method=b"OPTIONS"))
        assert (answer.status, answer.body, answer.value(b"Content-Length")) == (200, b"", b"0")
        assert answer.value(b"Allow") == b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
        assert answer.value(b"Proxy-Status") == b"prana"
    assert upstream.connections == 0


@requests({"space before the colon": bodied(b"Transfer-Encoding : chunked"), "tab before it": bodied(b"X\t: y")})
async def test_c09_whitespace_before_the_colon_is_refused(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 400)


@answers({"space before the colon": FINE + b"X : y\r\n" + LENGTH})
async def test_c09_whitespace_before_an_answers_colon_is_502(rejects: Rejects, nonsense: bytes) -> None:
    await rejects(nonsense)


@requests(
    {
        "folded with a space": bodied(b"X: a", b" Content-Length: 5"),
        "folded with a tab": bodied(b"X: a", b"\tb"),
        "folded before its value": bodied(b"X:", b" a"),
        "folded expectation": bodied(b"Expect: 100-", b" continue", b"Content-Length: 5"),
    }
)
async def test_c10_a_folded_header_is_refused(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 400)


@answers({"folded": FINE + b"X: a\r\n b\r\n" + LENGTH, "folded before its value": FINE + b"X:\r\n b\r\n" + LENGTH})
async def test_c10_an_answers_folded_header_is_502(rejects: Rejects, nonsense: bytes) -> None:
    await rejects(nonsense)


@pytest.mark.parametrize("control", [bytes([code]) for code in (*range(9), *range(11, 32), 127)], ids=repr)
async def test_c11_a_control_character_in_a_value_is_refused(refuses: Refuses, control: bytes) -> None:
    await refuses(bodied(b"X: a" + control + b"b"), 400)


@requests(
    {
        "empty name": bodied(b": a"),
        "space in a name": bodied(b"X Y: a"),
        "brackets in a name": bodied(b"X[]: a"),
        "non-ASCII name": bodied(b"X\xe9: a"),
        "no colon": bodied(b"Xa"),
        "coding behind a vertical tab": bodied(b"Transfer-Encoding:\x0bchunked"),
    }
)
async def test_c11_a_name_that_is_no_token_is_refused(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 400)


@answers(
    {
        "NUL": FINE + b"X: a\x00b\r\n" + LENGTH,
        "escape": FINE + b"X: a\x1b[2Jb\r\n" + LENGTH,
        "escape in the reason": b"HTTP/1.1 200 O\x1b[2JK\r\n" + LENGTH,
        "empty name": FINE + b": a\r\n" + LENGTH,
        "status below 100": b"HTTP/1.1 099 Low\r\n\r\n",
        "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    }
)
async def test_c11_a_control_character_in_an_answer_is_502(rejects: Rejects, nonsense: bytes) -> None:
    await rejects(nonsense)


async def test_c11_whitespace_around_a_value_is_no_part_of_it(running: Running, upstream: Upstream) -> None:
    padded = [b"Content-Length:\t 3 \t", b"Expect: 100-continue  ", b"Max-Forwards: 5 ", b"X-Request-Id: mine "]
    raw = get(b"/orders/", *padded, method=b"OPTIONS").replace(b"Host: localhost:8078", b"Host:localhost:8078 \t")
    answer = await running.ask(raw + b"abc")
    assert (answer.status, answer.value(b"X-Request-Id")) == (200, b"mine")
    (request,) = upstream.requests
    assert (request.values(b"Max-Forwards"), request.values(b"X-Forwarded-Host")) == ([b"4"], [b"localhost:8078"])
    assert (await running.ask(get(b"/orders/", b"Connection: close "))).value(b"Connection") == b"close"
    assert (await running.ask(bodied(CHUNKED + b"  ", body=b"0\r\n\r\n"))).status == 200


@requests(
    {
        "long header": get(b"/orders/", b"X: " + b"a" * MAX_LINE_BYTES),
        "many headers": get(b"/orders/", *[b"X: a"] * MAX_HEADERS),
        "large head": get(b"/orders/", *[b"X: " + b"a" * 8000] * (MAX_HEAD_BYTES // 8000 + 1)),
        "large name": get(b"/orders/", b"X" * (MAX_HEAD_BYTES + 65536)),
    }
)
async def test_c12_oversize_fields_are_431(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 431)


@answers(
    {
        "too many headers": FINE + b"X: y\r\n" * MAX_HEADERS + LENGTH,
        "too long a header": FINE + b"X: " + b"b" * MAX_LINE_BYTES + b"\r\n" + LENGTH,
        "too large a head": FINE + (b"X: " + b"b" * 8000 + b"\r\n") * 5 + LENGTH,
        "too long a reason": b"HTTP/1.1 200 " + b"b" * (MAX_HEAD_BYTES + 100) + b"\r\n" + LENGTH,
    }
)
async def test_c12_an_instances_oversize_fields_are_502(rejects: Rejects, nonsense: bytes) -> None:
    await rejects(nonsense)


async def test_c02_a_line_end_before_a_request_is_passed_over(running: Running) -> None:
    caller = await running.open()
    for _ in range(2):
        assert (await caller.ask(b"\r\n" + get(b"/orders/"))).status == 200


async def test_c04_an_http_1_0_caller_is_answered_in_our_own_version(running: Running, upstream: Upstream) -> None:
    caller = await running.open()
    answer = await caller.ask(b"GET /orders/a HTTP/1.0\r\n\r\n")
    assert answer.line == b"HTTP/1.1 200 OK"
    assert (answer.value(b"Connection"), answer.body) == (b"close", b"ok")
    assert await caller.rest() == b""
    assert upstream.requests[0].line == b"GET /a HTTP/1.1"
    assert upstream.requests[0].values(b"Via") == [b"1.0 prana"]


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"PROPFIND", b"REPORT"])
async def test_c05_any_known_method_reaches_the_instance(running: Running, upstream: Upstream, method: bytes) -> None:
    assert (await running.ask(get(b"/orders/a", method=method))).status == 200
    assert upstream.requests[0].line == method + b" /a HTTP/1.1"


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/", 404),
        (b"//orders/", 404),
        (b"/ord%65rs/", 404),
        (b"/nobody/x", 404),
        (b"/./orders", 404),
        (b"/../orders", 404),
        (b"/" + b"a" * 129, 404),
        (b"/orders/../secret", 400),
        (b"/orders/%2e%2E/secret", 400),
        (b"/orders/a/..//../b", 400),
        (b"/orders/a\\b", 400),
        (b"/orders/#x", 400),
        (b"/orders/\xc3\xa9", 400),
        (b"/orders/\x7f", 400),
        (b"orders/", 400),
        (b"https://localhost/orders/", 400),
        (b"http://user@localhost/orders/", 400),
        (b"http:///orders/", 400),
        (b"*", 400),
    ],
)
async def test_c05_other_targets_reach_nobody(running: Running, upstream: Upstream, target: bytes, status: int) -> None:
    answer = await running.ask(get(target))
    assert answer.problem == (status, "destination_not_found" if status == 404 else "http_request_error")
    assert upstream.connections == 0


async def test_c08_an_asterisk_is_only_for_options(running: Running, upstream: Upstream) -> None:
    assert (await running.ask(get(b"*", method=b"OPTIONS"))).status == 200
    assert (await running.ask(get(b"*"))).problem[0] == 400
    assert upstream.connections == 0
    assert (await running.ask(get(b"/orders/", method=b"OPTIONS"))).status == 200


@pytest.mark.parametrize(
    "headers", [[b"X: " + b"a" * (MAX_LINE_BYTES - 3)], [b"X: a"] * (MAX_HEADERS - 1), [b"X: " + b"a" * 7900] * 4]
)
async def test_c12_what_is_just_within_the_limits_passes(
    running: Running, upstream: Upstream, headers: list[bytes]
) -> None:
    target = b"/orders/" + b"a" * (MAX_LINE_BYTES - len(b"GET /orders/ HTTP/1.1"))
    assert (await running.ask(get(target, *headers))).status == 200
    assert len(upstream.requests[0].values(b"X")) == len(headers)


@pytest.mark.parametrize("start", [FINE + b"X-A: ", FINE + b"Content-Length: 2\r\n", b"HTTP/1.1 200 "])
async def test_c12_endless_headers_are_cut_off(start_sidecar: StartSidecar, upstream: Upstream, start: bytes) -> None:
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


async def test_c33_a_request_arriving_byte_by_byte_is_the_same_request(running: Running, upstream: Upstream) -> None:
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


async def test_c33_a_response_arriving_byte_by_byte_is_the_same_response(running: Running, upstream: Upstream) -> None:
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
