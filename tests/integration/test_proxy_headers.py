"""Header rules, path and query: what reaches the instance and what comes back, byte for byte."""

import pytest

from prana.config.settings import Fallback

from .conftest import Peer, Running, StartSidecar, Upstream, answering, get, policy_of, post, response

ADDED = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "Via", "X-Request-Id"]


async def test_end_to_end_headers_pass_unchanged_and_in_order(running: Running, upstream: Upstream) -> None:
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


async def test_an_instances_headers_come_back_unchanged_and_in_order(running: Running, upstream: Upstream) -> None:
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


async def test_a_response_without_a_date_gets_one(running: Running) -> None:
    assert (await running.ask(get(b"/orders/"))).value(b"Date").endswith(b" GMT")


async def test_hop_by_hop_headers_stop_on_the_way_in(running: Running, upstream: Upstream) -> None:
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


async def test_hop_by_hop_headers_stop_on_the_way_out(running: Running, upstream: Upstream) -> None:
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
async def test_connection_must_not_nominate_what_the_instance_relies_on(
    running: Running, upstream: Upstream, name: str
) -> None:
    answer = await running.ask(get(b"/orders/", b"Connection: " + name.encode()))
    assert answer.problem == (400, "http_request_error")
    assert upstream.connections == 0


async def test_forwarded_headers_of_a_loopback_caller_are_appended_to(running: Running, upstream: Upstream) -> None:
    await running.ask(
        get(
            b"/orders/",
            b"X-Forwarded-For: 203.0.113.7, 198.51.100.1",
            b"X-Forwarded-Proto: https",
            b"X-Forwarded-Host: shop.example",
            b"X-Forwarded-Port: 443",
            b"Via: 1.1 edge",
        )
    )
    recorded = upstream.requests[0]
    assert recorded.values(b"X-Forwarded-For") == [b"203.0.113.7, 198.51.100.1, 127.0.0.1"]
    assert recorded.values(b"X-Forwarded-Proto") == [b"https"]
    assert recorded.values(b"X-Forwarded-Host") == [b"shop.example"]
    assert recorded.values(b"X-Forwarded-Port") == [b"443"]
    assert recorded.values(b"Via") == [b"1.1 edge, 1.1 prana"]


async def test_forwarded_headers_are_added_where_there_are_none(running: Running, upstream: Upstream) -> None:
    await running.ask(get(b"/orders/"))
    recorded = upstream.requests[0]
    assert recorded.values(b"X-Forwarded-For") == [b"127.0.0.1"]
    assert recorded.values(b"X-Forwarded-Proto") == [b"http"]
    assert recorded.values(b"X-Forwarded-Host") == [b"localhost:8078"]
    assert recorded.values(b"X-Forwarded-Port") == [b"%d" % running.port]
    assert recorded.values(b"Via") == [b"1.1 prana"]


async def test_a_request_id_is_kept_and_echoed(running: Running, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        await answering(peer, response(b"ok", b"X-Request-Id: the-instances-own"))

    upstream.serve = serve
    answer = await running.ask(get(b"/orders/", b"x-request-id: mine-1"))
    assert upstream.requests[0].values(b"X-Request-Id") == [b"mine-1"]
    assert answer.value(b"X-Request-Id") == b"mine-1"


@pytest.mark.parametrize("given", [[], [b"X-Request-Id: "], [b"X-Request-Id: a b"], [b"X-Request-Id: " + b"a" * 129]])
async def test_a_request_id_is_made_where_there_is_no_usable_one(
    running: Running, upstream: Upstream, given: list[bytes]
) -> None:
    first = await running.ask(get(b"/orders/", *given))
    second = await running.ask(get(b"/orders/", *given))
    ids = [answer.value(b"X-Request-Id") for answer in (first, second)]
    assert ids[0] != ids[1]
    assert [request.values(b"X-Request-Id") for request in upstream.requests] == [[ids[0]], [ids[1]]]


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
async def test_everything_after_the_service_reaches_the_instance_as_it_is(
    running: Running, upstream: Upstream, target: bytes, reaches: bytes
) -> None:
    assert (await running.ask(get(target))).status == 200
    assert upstream.requests[0].line == b"GET " + reaches + b" HTTP/1.1"


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
async def test_other_targets_reach_nobody(running: Running, upstream: Upstream, target: bytes, status: int) -> None:
    answer = await running.ask(get(target))
    assert answer.problem == (status, "destination_not_found" if status == 404 else "http_request_error")
    assert upstream.connections == 0


async def test_the_default_service_serves_paths_of_no_known_service(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    running = await start_sidecar(upstream.port, proxy={"default_service": "orders"})
    for target in (b"/", b"/nobody/x?y", b"//a", b"/orders/b"):
        assert (await running.ask(get(target))).status == 200
    paths = [request.line.split(b" ")[1] for request in upstream.requests]
    assert paths == [b"/", b"/nobody/x?y", b"//a", b"/b"]
    assert (await running.ask(get(b"/../x"))).status == 400


async def test_explain_tells_the_instance_the_attempts_and_the_times(running: Running, upstream: Upstream) -> None:
    answer = await running.ask(get(b"/orders/", b"X-Prana-Explain: 1"))
    assert answer.value(b"X-Prana-Instance") == b"127.0.0.1:%d" % upstream.port
    assert answer.value(b"X-Prana-Attempts") == b"1"
    timing = answer.value(b"Server-Timing").decode()
    assert timing.startswith("prana;dur=")
    assert 'desc="200"' in timing
    assert upstream.requests[0].values(b"X-Prana-Explain") == []
    silent = await running.ask(get(b"/orders/", b"X-Prana-Explain: 0"))
    assert not {name for name, _ in silent.headers if name.startswith(b"X-Prana") or name == b"Server-Timing"}


async def test_explain_also_tells_why_no_instance_answered(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    running = await start_sidecar(upstream.port)
    await upstream.stop()
    answer = await running.ask(get(b"/orders/", b"X-Prana-Explain: 1"))
    assert answer.problem == (502, "connection_refused")
    attempts = int(answer.value(b"X-Prana-Attempts"))
    assert attempts == answer.json["attempts"] == 3
    assert answer.value(b"Server-Timing").decode().count('desc="connect_failed"') == attempts


async def test_a_request_that_came_through_too_many_sidecars_is_a_loop(running: Running, upstream: Upstream) -> None:
    passed = await running.ask(get(b"/orders/", b"Via: " + b", ".join([b"1.1 prana"] * 20)))
    assert passed.status == 200
    stopped = await running.ask(get(b"/orders/", b"Via: " + b", ".join([b"1.1 prana"] * 21)))
    assert stopped.problem == (508, "proxy_loop_detected")
    assert len(upstream.requests) == 1


async def test_a_fallbacks_answer_says_so(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    fallback = Fallback(status=203, json={"a": [1]})
    running = await start_sidecar(more={"orders": policy_of(upstream.port, fallback=fallback)})
    await upstream.stop()
    answer = await running.ask(post(b"/orders/", b"x"))
    assert (answer.status, answer.json) == (203, {"a": [1]})
    assert answer.value(b"X-Prana-Fallback") == b"static; reason=connect_failed"
    assert answer.value(b"Content-Type") == b"application/json"
    assert answer.value(b"Proxy-Status") == b"prana; error=connection_refused"
