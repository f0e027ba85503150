"""Breaker, bulkhead, fallback, ejection and balancing, seen from outside."""

import asyncio
from collections import Counter

import pytest

from loadbalancer.ejection import Reason
from prana.config.settings import Balancer, Breaker, Eject, Fallback

from .conftest import (
    NO_RETRY,
    Peer,
    Running,
    StartSidecar,
    StartUpstream,
    Upstream,
    answering,
    get,
    policy_of,
    post,
    response,
    until,
)

CLIENT_ERROR = response(b"no", status=b"404 Not Found")
SERVER_ERROR = response(b"oops", b"X-Own: 1", status=b"500 Oops")


def replying(upstream: Upstream, answer: bytes) -> None:
    async def serve(peer: Peer) -> None:
        await answering(peer, answer)

    upstream.serve = serve
    for peer in upstream.peers:
        peer.close()


async def statuses(running: Running, count: int, raw: bytes = get(b"/orders/")) -> Counter[int]:
    caller = await running.open()
    return Counter([(await caller.ask(raw)).status for _ in range(count)])


async def test_the_breaker_opens_at_twenty_requests_and_half_of_them_failed(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    running = await start_sidecar(upstream.port, retry=NO_RETRY, breaker=Breaker(sleep_window=60.0))
    assert await statuses(running, 10) == {200: 10}
    replying(upstream, SERVER_ERROR)
    await until(lambda: running.upstream_connections == 0)
    assert await statuses(running, 9) == {500: 9}
    assert running.service().commands[0].breaker.state == "closed"
    assert await statuses(running, 1) == {500: 1}
    assert running.service().commands[0].breaker.state == "open"
    answer = await running.ask(get(b"/orders/"))
    assert answer.problem == (503, "destination_unavailable; details=circuit_open")
    assert 1 <= int(answer.value(b"Retry-After")) <= 60
    assert answer.json["attempts"] == 0
    assert len(upstream.requests) == 20, "an open circuit asks nobody"


async def test_one_trial_after_the_sleep_window_closes_the_circuit(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    breaker = Breaker(request_volume=5, sleep_window=0.5)
    running = await start_sidecar(upstream.port, retry=NO_RETRY, breaker=breaker)
    replying(upstream, SERVER_ERROR)
    assert await statuses(running, 8) == {500: 5, 503: 3}
    go_on = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.request()
        await go_on.wait()
        await peer.send(response())
        await answering(peer)

    upstream.serve = serve
    for peer in upstream.peers:
        peer.close()
    await until(lambda: running.service().commands[0].breaker.retry_after_s == 0)
    await asyncio.sleep(0.01)
    trial = asyncio.create_task(running.ask(get(b"/orders/")))
    await until(lambda: running.service().commands[0].breaker.state == "half-open")
    assert await statuses(running, 5) == {503: 5}, "only one may try"
    go_on.set()
    assert (await trial).status == 200
    assert running.service().commands[0].breaker.state == "closed"
    assert await statuses(running, 5) == {200: 5}


async def test_client_errors_and_callers_mistakes_do_not_open_the_circuit(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    running = await start_sidecar(upstream.port, breaker=Breaker(request_volume=5))
    replying(upstream, CLIENT_ERROR)
    assert await statuses(running, 10) == {404: 10}
    for _ in range(10):
        caller = await running.open()
        raw = get(b"/orders/", b"Transfer-Encoding: chunked", method=b"POST") + b"x"
        assert (await caller.ask(raw)).status == 400
    assert running.service().commands[0].breaker.state == "closed"


@pytest.mark.parametrize("status", [502, 503, 504, 500])
async def test_a_5xx_with_a_fallback_is_answered_by_it(
    start_sidecar: StartSidecar, upstream: Upstream, status: int
) -> None:
    replying(upstream, response(b"oops", status=b"%d No" % status))
    fallback = Fallback(status=200, body="instead", content_type="text/html")
    running = await start_sidecar(upstream.port, fallback=(fallback,))
    answer = await running.ask(post(b"/orders/", b"x"))
    assert (answer.status, answer.body, answer.value(b"Content-Type")) == (200, b"instead", b"text/html")
    assert answer.value(b"X-Prana-Fallback") == b"static; reason=http_%d" % status
    assert answer.value(b"Proxy-Status") == b"prana"
    assert running.service().metrics.fallbacks_by_kind == {"static": 1}


async def test_an_open_circuit_falls_back_too(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    replying(upstream, SERVER_ERROR)
    running = await start_sidecar(
        upstream.port, retry=NO_RETRY, breaker=Breaker(request_volume=2), fallback=(Fallback(status=503, json=None),)
    )
    reasons = [(await running.ask(get(b"/orders/"))).value(b"X-Prana-Fallback") for _ in range(3)]
    assert reasons == [b"static; reason=http_500"] * 2 + [b"static; reason=circuit_open"]
    assert len(upstream.requests) == 2


async def test_the_fallback_of_a_service_that_nobody_registered_answers(start_sidecar: StartSidecar) -> None:
    running = await start_sidecar(more={"gone": policy_of(fallback=(Fallback(json={"a": 1}),))})
    answer = await running.ask(get(b"/gone/x"))
    assert (answer.status, answer.json) == (200, {"a": 1})
    assert answer.value(b"X-Prana-Fallback") == b"static; reason=no_instance"


async def test_the_callers_own_mistake_is_not_hidden_by_a_fallback(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    running = await start_sidecar(upstream.port, fallback=(Fallback(body="instead"),), idle_timeout=0.05)
    assert (await running.ask(get(b"/orders/../x"))).problem[0] == 400
    assert (await (await running.open()).ask(post(b"/orders/", b"abc")[:-1])).problem[0] == 408


async def test_without_a_fallback_an_instances_error_is_delivered_unchanged(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    replying(upstream, SERVER_ERROR)
    running = await start_sidecar(upstream.port)
    answer = await running.ask(get(b"/orders/"))
    assert (answer.line, answer.body, answer.value(b"X-Own")) == (b"HTTP/1.1 500 Oops", b"oops", b"1")
    assert answer.values(b"Proxy-Status") == answer.values(b"X-Prana-Fallback") == []


async def test_the_bulkhead_refuses_what_is_over_its_limit(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    go_on = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        await go_on.wait()
        await peer.send(b"ok")

    upstream.serve = serve
    running = await start_sidecar(upstream.port, max_concurrent=2)
    callers = [await running.open() for _ in range(2)]
    for caller in callers:
        await caller.send(get(b"/orders/"))
    for caller in callers:
        await caller._until(b"\r\n\r\n")
    answer = await running.ask(get(b"/orders/"))
    assert answer.problem == (503, "connection_limit_reached"), "a body under way holds its place"
    assert answer.value(b"Retry-After") == b"1"
    go_on.set()
    for caller in callers:
        assert await caller._exactly(2) == b"ok"
    await until(lambda: running.idle)
    assert (await running.ask(get(b"/orders/"))).status == 200


async def test_a_full_bulkhead_of_one_service_does_not_concern_another(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.ended()

    stuck, fine = await start_upstream(silent), await start_upstream()
    running = await start_sidecar(
        more={"stuck": policy_of(stuck.port, max_concurrent=1), "fine": policy_of(fine.port, max_concurrent=1)}
    )
    caller = await running.open()
    await caller.send(get(b"/stuck/"))
    await until(lambda: stuck.requests)
    assert (await running.ask(get(b"/stuck/"))).status == 503
    assert (await running.ask(get(b"/fine/"))).status == 200
    caller.close()


async def test_round_robin_takes_turns(start_sidecar: StartSidecar, start_upstream: StartUpstream) -> None:
    upstreams = [await start_upstream() for _ in range(3)]
    ports = [upstream.port for upstream in upstreams]
    running = await start_sidecar(*ports, balancer=Balancer(rule="RoundRobinRule"))
    assert await statuses(running, 30) == {200: 30}
    assert [len(upstream.requests) for upstream in upstreams] == [10, 10, 10]


async def test_p2c_avoids_the_slow_instance_and_reaches_all_fast_ones(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    async def slow(peer: Peer) -> None:
        while True:
            await peer.request()
            await asyncio.sleep(0.2)
            await peer.send(response())

    upstreams = [await start_upstream(serve) for serve in (slow, answering, answering)]
    running = await start_sidecar(*(upstream.port for upstream in upstreams))
    results = await asyncio.gather(*(statuses(running, 50) for _ in range(4)))
    assert sum(results, Counter()) == {200: 200}
    counts = [len(upstream.requests) for upstream in upstreams]
    assert counts[0] < 20, counts
    assert min(counts[1:]) > 40, counts


async def test_a_failing_instance_is_ejected_and_the_others_serve(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    async def failing(peer: Peer) -> None:
        await answering(peer, SERVER_ERROR)

    bad, good = await start_upstream(failing), await start_upstream()
    eject = Eject(consecutive_failures=2, base_s=60.0)
    running = await start_sidecar(
        bad.port,
        good.port,
        eject=eject,
        retry=NO_RETRY,
        breaker=Breaker(enabled=False),
        balancer=Balancer(rule="RoundRobinRule"),
    )
    result = await statuses(running, 40)
    assert result == {500: 2, 200: 38}
    assert len(bad.requests) == 2
    assert running.service().metrics.ejections[Reason.CONSECUTIVE_FAILURES] == 1
