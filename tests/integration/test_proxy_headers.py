"""Header rules, path and query: what reaches the instance and what comes back, byte for byte."""

import pytest

from prana.config.settings import Fallback

from .conftest import Peer, Running, StartSidecar, Upstream, answering, get, policy_of, post, response


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


async def test_a_fallbacks_answer_says_so(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    fallback = Fallback(status=203, json={"a": [1]})
    running = await start_sidecar(more={"orders": policy_of(upstream.port, fallback=(fallback,))})
    await upstream.stop()
    answer = await running.ask(post(b"/orders/", b"x"))
    assert (answer.status, answer.json) == (203, {"a": [1]})
    assert answer.value(b"X-Prana-Fallback") == b"static; reason=connect_failed"
    assert answer.value(b"Content-Type") == b"application/json"
    assert answer.value(b"Proxy-Status") == b"prana; error=connection_refused"
