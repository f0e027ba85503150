"""Forwarding (RFC 9110): what a gateway changes in a message, adds to it, answers itself, and leaves alone."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from tests.integration.conftest import (
    NO_RETRY,
    OK,
    PATIENCE_S,
    Peer,
    Running,
    StartSidecar,
    StartUpstream,
    Upstream,
    answering,
    breaking_off,
    get,
    post,
    response,
    silent,
    unavailable,
    until,
)

from .conftest import Refuses, Rejects
from .messages import CHUNKED, answers, bodied, replying, requests

ADDED = [
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "Via",
    "X-Envoy-Expected-Rq-Timeout-Ms",
    "X-Request-Id",
]
OTHER = [post(b"/orders/", b"abc"), post(b"/orders/", b"abc", method=b"PATCH")]


async def test_c28_what_an_interim_answer_nominates_is_dropped_too(running: Running, upstream: Upstream) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nConnection: X-Hop\r\nX-Hop: 1\r\nLink: </a>\r\nKeep-Alive: timeout=1\r\n\r\n"
    replying(upstream, early + OK)
    answer = await running.ask(get(b"/orders/"))
    assert answer.interims == [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"]


@pytest.mark.parametrize(
    ("hops", "sent_on"), [(b"1", b"0"), (b"7", b"6"), (b"007", b"6"), (b"999999999", b"999999998")]
)
async def test_c29_max_forwards_of_options_counts_down(
    running: Running, upstream: Upstream, hops: bytes, sent_on: bytes
) -> None:
    assert (await running.ask(get(b"/orders/", b"Max-Forwards: " + hops, method=b"OPTIONS"))).status == 200
    assert upstream.requests[0].values(b"Max-Forwards") == [sent_on]


@pytest.mark.parametrize("target", [b"/orders/", b"*", b"/nobody/"])
async def test_c29_options_that_may_go_no_further_is_answered_here(
    running: Running, upstream: Upstream, target: bytes
) -> None:
    answer = await running.ask(get(target, b"Max-Forwards: 0", method=b"OPTIONS"))
    assert (answer.status, answer.body) == (200, b"")
    assert b"OPTIONS" in answer.value(b"Allow")
    assert upstream.connections == 0


async def test_c29_max_forwards_counts_once_however_many_attempts(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    upstream.serve = breaking_off
    running = await start_sidecar(upstream.port)
    await running.ask(get(b"/orders/", b"Max-Forwards: 5", method=b"OPTIONS"))
    assert [request.values(b"Max-Forwards") for request in upstream.requests] == [[b"4"]] * 3


@requests(
    {
        repr(value): get(b"/orders/", b"Max-Forwards: " + value, method=b"OPTIONS")
        for value in (b"", b"x", b"-1", b"1.0", b"1, 2", b"1\r\nMax-Forwards: 1", b"9" * 5000)
    }
)
async def test_c29_max_forwards_that_is_no_number_is_refused(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 400)


@pytest.mark.parametrize("value", [b"0", b"x"])
async def test_c29_max_forwards_of_other_methods_is_none_of_our_business(
    running: Running, upstream: Upstream, value: bytes
) -> None:
    assert (await running.ask(get(b"/orders/", b"Max-Forwards: " + value))).status == 200
    assert upstream.requests[0].values(b"Max-Forwards") == [value]


@pytest.mark.parametrize(
    ("version", "earlier", "via"),
    [
        (b"1.1", [], b"1.1 prana"),
        (b"1.0", [], b"1.0 prana"),
        (b"1.1", [b"Via: 1.0 fred, 1.1 p.example"], b"1.0 fred, 1.1 p.example, 1.1 prana"),
        (b"1.1", [b"Via: 1.0 fred", b"via: 2 p"], b"1.0 fred, 2 p, 1.1 prana"),
    ],
)
async def test_c30_via_names_us_by_a_pseudonym_and_the_version_received(
    running: Running, upstream: Upstream, version: bytes, earlier: list[bytes], via: bytes
) -> None:
    await running.ask(get(b"/orders/", *earlier).replace(b"HTTP/1.1", b"HTTP/" + version))
    assert upstream.requests[0].values(b"Via") == [via]


async def test_c31_nothing_is_transformed(running: Running, upstream: Upstream) -> None:
    coded = bytes(range(256))
    fields = [
        b"Content-Encoding: gzip",
        b"Cache-Control: no-transform",
        b"Content-Type: text/html",
        b"Accept-Ranges: x",
    ]
    replying(upstream, response(coded, *fields))
    accepting = [b"Accept-Encoding: br;q=1.0, gzip;q=0.8, *;q=0.1", b"Cache-Control: no-transform, max-age=0"]
    answer = await running.ask(post(b"/orders/", coded, *accepting, b"Content-Encoding: br"))
    assert (answer.body, upstream.requests[0].body) == (coded, coded)
    assert [b": ".join(line) for line in answer.headers][:4] == fields
    assert [b": ".join(line) for line in upstream.requests[0].headers][1:4] == [*accepting, b"Content-Encoding: br"]


async def test_c32_unknown_fields_pass_and_orders_to_us_do_not(running: Running, upstream: Upstream) -> None:
    ours = [b"X-Prana-Explain: 1", b"X-Prana-Instance: x", b"X-Prana-Attempts: 9", b"x-prana-fallback: static"]
    await running.ask(get(b"/orders/", b"X-Unknown: 1", b"!#$%&'*+-.^_`|~9: odd", *ours))
    names = [name for name, _ in upstream.requests[0].headers]
    assert names[1:3] == [b"X-Unknown", b"!#$%&'*+-.^_`|~9"]
    assert not [name for name in names if name.lower().startswith(b"x-prana")]


async def test_c32_cookies_are_never_joined(running: Running, upstream: Upstream) -> None:
    cookies = [b"Set-Cookie: a=1, b; Expires=Wed, 09 Jun 2027 10:18:14 GMT", b"Set-Cookie: c=2", b"Set-Cookie: a=1"]
    replying(upstream, response(b"", *cookies))
    answer = await running.ask(get(b"/orders/"))
    assert [b"Set-Cookie: " + value for value in answer.values(b"Set-Cookie")] == cookies


async def test_c33_nothing_is_sent_before_the_whole_header_section_is_here(
    running: Running, upstream: Upstream
) -> None:
    caller = await running.open()
    await caller.send(get(b"/orders/", b"X-A: b")[:-1])
    await asyncio.sleep(0.05)
    assert upstream.connections == 0
    await caller.send(b"\n")
    assert (await caller.answer()).status == 200


@answers(
    {
        "101 unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nxyz",
        "101 without Upgrade": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    }
)
async def test_c35_a_switch_of_protocols_that_nobody_asked_for_is_502(rejects: Rejects, nonsense: bytes) -> None:
    await rejects(nonsense)


async def test_c35_an_answer_that_offers_an_upgrade_is_an_ordinary_one(running: Running, upstream: Upstream) -> None:
    replying(upstream, response(b"ok", b"Upgrade: h2c", b"Connection: Upgrade"))
    caller = await running.open()
    for _ in range(2):
        answer = await caller.ask(get(b"/orders/"))
        assert (answer.body, answer.values(b"Upgrade"), answer.values(b"Connection")) == (b"ok", [], [])


EXPECTING = get(b"/orders/", b"Expect: 100-continue", b"Content-Length: 3", method=b"POST")


@pytest.mark.parametrize(
    "status", [b"401 Unauthorized", b"413 Content Too Large", b"417 Expectation Failed", b"200 OK"]
)
async def test_c38_a_final_answer_instead_of_100_reaches_the_caller_without_its_body(
    running: Running, upstream: Upstream, status: bytes
) -> None:
    async def serve(peer: Peer) -> None:
        if upstream.connections > 1:
            await answering(peer)
            return
        await peer.head()
        await peer.send(response(b"no", status=status))
        after.append(await peer.rest_or_nothing())

    after: list[bytes] = []
    upstream.serve = serve
    caller = await running.open()
    answer = await caller.ask(EXPECTING)
    assert (answer.line, answer.body, answer.interims) == (b"HTTP/1.1 " + status, b"no", [])
    assert answer.value(b"Connection") == b"close", "the caller may send the body all the same"
    await caller.send(b"abc" + get(b"/orders/evil"))
    assert await caller.rest_or_nothing() == b""
    await until(lambda: after)
    assert after == [b""], "neither the body nor anything else"
    assert (await running.ask(get(b"/orders/2"))).status == 200
    assert [request.line for request in upstream.requests] == [b"POST / HTTP/1.1", b"GET /2 HTTP/1.1"]


@pytest.mark.parametrize("coding", [b"Content-Length: 3", CHUNKED])
async def test_c38_an_instances_100_is_passed_on_and_brings_the_body(
    running: Running, upstream: Upstream, coding: bytes
) -> None:
    async def serve(peer: Peer) -> None:
        recorded = await peer.head()
        assert recorded.values(b"Expect") == [b"100-continue"]
        await peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Go On\r\nX-A: b\r\n\r\n")
        recorded.body = await peer._body(recorded.headers)
        recorded.whole = True
        await peer.send(b"HTTP/1.1 100 Late\r\n\r\n" + OK)

    upstream.serve = serve
    caller = await running.open()
    await caller.send(bodied(b"Expect: 100-Continue", coding, body=b""))
    async with asyncio.timeout(0.8):  # the moment we would wait for an instance that says nothing
        assert await caller._until(b"\r\n\r\n") == b"HTTP/1.1 103 Early Hints\r\n\r\n"
        assert await caller._until(b"\r\n\r\n") == b"HTTP/1.1 100 Go On\r\nX-A: b\r\n\r\n"
    answer = await caller.ask(b"abc" if b"3" in coding else b"3\r\nabc\r\n0\r\n\r\n")
    assert (answer.status, answer.interims) == (200, []), "100 once is enough"
    assert upstream.requests[0].body == b"abc"


async def test_c38_a_body_that_comes_after_the_final_answer_began_goes_nowhere(
    running: Running, upstream: Upstream
) -> None:
    rest = asyncio.get_running_loop().create_future()

    async def serve(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n")
        await until(body_sent.is_set)
        await peer.send(b"no")
        rest.set_result(await peer.rest_or_nothing())

    body_sent = asyncio.Event()
    upstream.serve = serve
    caller = await running.open()
    await caller.send(EXPECTING)
    await caller._until(b"\r\n\r\n")
    await caller.send(b"abc")
    await asyncio.sleep(0.05)
    body_sent.set()
    assert (await rest, await caller.rest()) == (b"", b"no")


async def test_c38_a_caller_that_was_told_to_go_on_is_not_told_again(running: Running, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        for _ in range(3):
            first.set()
            await peer._exactly(1)
        await peer.send(OK)

    first = asyncio.Event()
    upstream.serve = serve
    caller = await running.open()
    await caller.send(EXPECTING)
    await caller._until(b"\r\n\r\n")
    for byte in (b"a", b"b", b"c"):
        await until(first.is_set)
        first.clear()
        await asyncio.sleep(0.01)
        await caller.send(byte)
    assert (await caller.answer()).interims == []


async def test_c38_a_caller_that_does_not_wait_is_not_waited_for(running: Running, upstream: Upstream) -> None:
    caller = await running.open()
    await caller.send(EXPECTING)
    await until(lambda: upstream.requests)
    async with asyncio.timeout(0.8):
        answer = await caller.ask(b"abc")
    assert (answer.status, answer.interims, upstream.requests[0].body) == (200, [], b"abc")


async def test_c38_a_retry_expects_again_as_long_as_the_caller_waits(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    async def refusing(peer: Peer) -> None:
        await peer.head()
        await peer.send(response(b"", status=b"503 Service Unavailable"))
        await peer.ended()

    async def willing(peer: Peer) -> None:
        assert (await peer.head()).values(b"Expect") == [b"100-continue"]
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await peer._exactly(3) == b"abc"
        await peer.send(OK)

    bad, good = await start_upstream(refusing), await start_upstream(willing)
    running = await start_sidecar(bad.port, good.port)
    while not bad.requests:
        caller = await running.open()
        await caller.send(EXPECTING.replace(b"POST", b"PUT"))
        assert await caller._until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await caller.ask(b"abc")).status == 200


@pytest.mark.parametrize(
    "expect",
    [
        b"200-maybe",
        b"",
        b"100-continue, 200-maybe",
        b"100-continue\r\nExpect: x",
        b"x\r\nExpect: 100-continue",
        b"100-continue;a=b",
    ],
)
async def test_c38_another_expectation_is_417(refuses: Refuses, expect: bytes) -> None:
    await refuses(bodied(b"Content-Length: 5", b"Expect: " + expect), 417)


async def test_c39_several_interim_answers_pass_in_order_but_no_flood(running: Running, upstream: Upstream) -> None:
    early = [b"HTTP/1.1 %d x\r\nX-N: %d\r\n\r\n" % (status, n) for n, status in enumerate([102, 103, 103, 199] * 4)]
    replying(upstream, b"".join(early) + OK)
    answer = await running.ask(get(b"/orders/"))
    assert (answer.interims, answer.body) == (early, b"ok")
    caller = await running.open()
    assert (await caller.ask(b"GET /orders/ HTTP/1.0\r\n\r\n")).interims == []


@answers({"1xx flood": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 17 + OK})
async def test_c39_a_flood_of_interim_answers_is_502(
    start_sidecar: StartSidecar, upstream: Upstream, nonsense: bytes
) -> None:
    replying(upstream, nonsense)
    running = await start_sidecar(upstream.port, retry=NO_RETRY)
    answer = await running.ask(get(b"/orders/"))
    assert answer.problem == (502, "http_protocol_error")
    assert len(answer.interims) == 16


async def test_c40_421_is_an_instances_to_say_and_never_ours(running: Running, upstream: Upstream) -> None:
    for host in (b"shop.example", b"orders.internal:1", b"[::1]"):
        assert (await running.ask(b"GET /orders/ HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")).status == 200
    replying(upstream, response(b"x", status=b"421 Misdirected Request"))
    await upstream.stop()
    await upstream.start(upstream.port)
    assert (await running.ask(get(b"/orders/"))).line == b"HTTP/1.1 421 Misdirected Request"


@pytest.mark.parametrize(
    ("serve", "problem"),
    [(breaking_off, (502, "connection_terminated")), (silent, (504, "http_response_timeout"))],
)
async def test_c40_an_instance_that_fails_is_a_bad_gateway_and_a_silent_one_a_timeout(
    start_sidecar: StartSidecar, upstream: Upstream, serve: object, problem: tuple[int, str]
) -> None:
    upstream.serve = serve  # type: ignore[assignment] # parametrised
    running = await start_sidecar(upstream.port, attempt_timeout=0.1, retry=NO_RETRY)
    answer = await running.ask(get(b"/orders/"))
    assert answer.problem == problem
    assert answer.values(b"Retry-After") == []


async def test_c40_503_says_when_to_come_again(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    upstream.serve = silent
    running = await start_sidecar(upstream.port, max_concurrent=1)
    busy = await running.open()
    await busy.send(get(b"/orders/"))
    await until(lambda: upstream.requests)
    answer = await running.ask(get(b"/orders/"))
    assert answer.problem == (503, "connection_limit_reached")
    assert int(answer.value(b"Retry-After")) >= 1


async def test_c41_empty_list_elements_are_passed_over(running: Running, upstream: Upstream) -> None:
    lists = [b"Connection: ,, ,X-Hop,\t,keep-alive,", b"TE: ,, trailers ,", b"X-Hop: 1"]
    caller = await running.open()
    for _ in range(2):
        assert (await caller.ask(get(b"/orders/", *lists))).values(b"Connection") == []
    assert upstream.requests[0].values(b"X-Hop") == []
    assert upstream.requests[0].values(b"TE") == [b"trailers"]


async def test_c41_but_not_any_number_of_them(refuses: Refuses) -> None:
    await refuses(get(b"/orders/", b"Connection: " + b"," * 10_000), 431)


@requests(
    {"Host": get(b"/orders/").replace(b"localhost", b"u:p@localhost"), "target": get(b"http://u@localhost/orders/")}
)
async def test_c41_userinfo_is_an_error(refuses: Refuses, raw: bytes) -> None:
    await refuses(raw, 400)


IMF_FIXDATE = re.compile(
    rb"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT"
)


@pytest.mark.parametrize("target", [b"/orders/", b"/nobody/", b"/orders/#"])
async def test_c42_dates_are_in_the_one_format_and_of_now(running: Running, target: bytes) -> None:
    date = (await running.ask(get(target))).value(b"Date")
    assert IMF_FIXDATE.fullmatch(date)
    assert abs(parsedate_to_datetime(date.decode()) - datetime.now(UTC)) < timedelta(seconds=PATIENCE_S)


async def test_c28_hop_by_hop_headers_stop_on_the_way_in(running: Running, upstream: Upstream) -> None:
    await running.ask(
        get(
            b"/orders/",
            b"Connection: keep-alive, X-Mine ,,x-other",
            b"X-Mine: 1",
            b"X-OTHER: 2",
            b"Keep-Alive: timeout=5",
            b"Proxy-Connection: keep-alive",
            b"Proxy-Authorization: Basic eDp5",
            b"TE: deflate",
            b"X-Kept: 3",
        )
    )
    names = {name.lower() for name, _ in upstream.requests[0].headers}
    assert names == {b"host", b"x-kept"} | {name.lower().encode() for name in ADDED}


async def test_c28_hop_by_hop_headers_stop_on_the_way_out(running: Running, upstream: Upstream) -> None:
    hop = [
        b"Connection: X-Mine, Content-Type",
        b"X-Mine: 1",
        b"Keep-Alive: timeout=5",
        b"Proxy-Authenticate: Basic",
        b"Upgrade: h2c",
        b"Content-Type: text/plain",
    ]

    async def serve(peer: Peer) -> None:
        await answering(peer, response(b"ok", *hop))

    upstream.serve = serve
    answer = await running.ask(get(b"/orders/"))
    assert {name for name, _ in answer.headers} == {b"Content-Type", b"Date", b"X-Request-Id", b"Content-Length"}


@pytest.mark.parametrize(
    "name", ["Host", "Content-Length", "transfer-encoding", "Authorization", "X-Forwarded-For", "X-Forwarded-Host"]
)
async def test_c28_connection_must_not_nominate_what_the_instance_relies_on(
    running: Running, upstream: Upstream, name: str
) -> None:
    answer = await running.ask(get(b"/orders/", b"Connection: " + name.encode()))
    assert answer.problem == (400, "http_request_error")
    assert upstream.connections == 0


async def test_c29_a_request_that_came_through_too_many_sidecars_is_a_loop(
    running: Running, upstream: Upstream
) -> None:
    passed = await running.ask(get(b"/orders/", b"Via: " + b", ".join([b"1.1 prana"] * 20)))
    assert passed.status == 200
    stopped = await running.ask(get(b"/orders/", b"Via: " + b", ".join([b"1.1 prana"] * 21)))
    assert stopped.problem == (508, "proxy_loop_detected")
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("target", "reaches"),
    [
        (b"/orders", b"/"),
        (b"/orders?a=b", b"/?a=b"),
        (b"/orders/", b"/"),
        (b"/orders//", b"//"),
        (b"/orders//a//b/", b"//a//b/"),
        (b"/orders/a%2Fb%28c%29/%c3%A9", b"/a%2Fb%28c%29/%c3%A9"),
        (b'/orders/?q={"a":["<b>",`c|^`]}', b'/?q={"a":["<b>",`c|^`]}'),
        (b"/orders/a;v=1/b;c?a=b?c&d=%20+e", b"/a;v=1/b;c?a=b?c&d=%20+e"),
        (b"/orders/?", b"/?"),
        (b"/orders?", b"/?"),
        (b"/orders?/a/b", b"/?/a/b"),
        (b"/orders/a/./b/../c", b"/a/./b/../c"),
        (b"/orders/~!$&'()*+,;=:@-._", b"/~!$&'()*+,;=:@-._"),
        (b"/ORDERS/A", b"/A"),
        (b"/oRdErS/x?../..", b"/x?../.."),
        (b"http://localhost:8078/orders/a?b", b"/a?b"),
    ],
)
async def test_c31_everything_after_the_service_reaches_the_instance_as_it_is(
    running: Running, upstream: Upstream, target: bytes, reaches: bytes
) -> None:
    assert (await running.ask(get(target))).status == 200
    assert upstream.requests[0].line == b"GET " + reaches + b" HTTP/1.1"


async def test_c32_end_to_end_headers_pass_unchanged_and_in_order(running: Running, upstream: Upstream) -> None:
    sent = [
        b"Authorization: Bearer a.b.c",
        b"Cookie: a=1; b=2",
        b"X-Twice: 1",
        b"accept: */*",
        b"x-twice: 2",
        b"X-Latin: caf\xe9",
        b"X-Empty: ",
        b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"tracestate: a=b",
        b"baggage: k=v",
        b"X-B3-TraceId: 1",
        b"b3: 0",
        b"Cookie: c=3",
    ]
    await running.ask(get(b"/orders/", *sent))
    lines = upstream.requests[0].head.split(b"\r\n")
    assert lines[:2] == [b"GET / HTTP/1.1", b"Host: 127.0.0.1:%d" % upstream.port]
    assert lines[2 : 2 + len(sent)] == sent
    assert [line.partition(b":")[0].decode() for line in lines[2 + len(sent) : -2]] == ADDED


async def test_c32_an_instances_headers_come_back_unchanged_and_in_order(running: Running, upstream: Upstream) -> None:
    sent = [b"Set-Cookie: a=1; Path=/", b"X-A: 1", b"set-cookie: b=2", b"Date: then", b"Server: x", b'ETag: W/"1"']

    async def serve(peer: Peer) -> None:
        await answering(peer, response(b"ok", *sent, status=b"299 Very Fine"))

    upstream.serve = serve
    answer = await running.ask(get(b"/orders/"))
    assert answer.line == b"HTTP/1.1 299 Very Fine"
    lines = answer.head.split(b"\r\n")
    assert lines[1 : 1 + len(sent)] == sent
    rest = [line.partition(b":")[0] for line in lines[1 + len(sent) : -2]]
    assert rest == [b"X-Request-Id", b"Content-Length"]


async def test_c34_a_response_without_a_date_gets_one(running: Running) -> None:
    assert (await running.ask(get(b"/orders/"))).value(b"Date").endswith(b" GMT")


@pytest.mark.parametrize("offer", [b"h2c", b"websocket", b"TLS/1.0, foo"])
@pytest.mark.parametrize("body", [b"", b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_c35_an_upgrade_offer_is_passed_over_and_the_connection_stays_in_step(
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


@pytest.mark.parametrize("raw", OTHER)
@pytest.mark.parametrize("serve", [breaking_off, silent, unavailable])
async def test_c36_another_request_that_was_sent_is_never_sent_again(
    start_sidecar: StartSidecar, upstream: Upstream, raw: bytes, serve: object
) -> None:
    upstream.serve = serve  # type: ignore[assignment] # parametrised
    running = await start_sidecar(upstream.port, attempt_timeout=0.1 if serve is silent else 5.0)
    answer = await running.ask(raw)
    if serve is unavailable:
        assert (answer.status, answer.body, answer.values(b"Proxy-Status")) == (503, b"busy", [])
    else:
        terminated = serve is breaking_off
        assert answer.problem == ((502, "connection_terminated") if terminated else (504, "http_response_timeout"))
    assert len(upstream.requests) == 1


async def test_c38_an_instance_that_never_says_continue_gets_the_body_after_a_moment(
    running: Running, upstream: Upstream
) -> None:
    caller = await running.open()
    await caller.send(get(b"/orders/", b"Expect: 100-Continue", b"Content-Length: 3", method=b"POST"))
    async with asyncio.timeout(PATIENCE_S):
        assert await caller.reader.readexactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    answer = await caller.ask(b"abc")
    assert (answer.status, answer.interims) == (200, [])
    assert (upstream.requests[0].body, upstream.requests[0].values(b"Expect")) == (b"abc", [b"100-continue"])


async def test_c38_a_refused_expectation_gets_the_final_status_and_no_100(running: Running, upstream: Upstream) -> None:
    caller = await running.open()
    answer = await caller.ask(get(b"/nobody/", b"Expect: 100-continue", b"Content-Length: 3", method=b"POST"))
    assert (answer.status, answer.interims) == (404, [])
    assert answer.value(b"Connection") == b"close", "the body may still come"
    assert upstream.connections == 0


async def test_c38_no_100_for_a_body_that_is_already_there_or_never_was(running: Running, upstream: Upstream) -> None:
    expect = b"Expect: 100-continue"
    assert (await running.ask(post(b"/orders/", b"abc", expect))).interims == []
    assert upstream.requests[0].values(b"Expect") == [], "nobody waits for the instance's word"
    assert (await running.ask(get(b"/orders/", expect))).interims == []
    old = await running.open()
    raw = b"POST /orders/ HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    await old.send(raw)
    assert (await old.ask(b"abc")).interims == []


async def test_c39_103_passes_and_100_only_if_asked_for(running: Running, upstream: Upstream) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    replying(upstream, b"HTTP/1.1 100 Continue\r\n\r\n" + early + response())
    answer = await running.ask(get(b"/orders/"))
    assert answer.interims == [early]
    old = await running.open()
    assert (await old.ask(b"GET /orders/ HTTP/1.0\r\n\r\n")).interims == []
