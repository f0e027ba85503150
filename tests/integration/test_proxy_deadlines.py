"""A caller's own deadline: obeyed, handed on, and held against nobody else."""

import asyncio
import time

import pytest

from prana.config.settings import Breaker, Eject, Eureka, Retry

from .conftest import Peer, StartSidecar, StartUpstream, Upstream, answering, breaking_off, get, post, response, silent


@pytest.mark.parametrize(
    "header",
    [
        b"X-Request-Timeout: 0.2",
        b"X-Request-Timeout: 200ms",
        b"grpc-timeout: 200m",
        b"X-Envoy-Upstream-Rq-Timeout-Ms: 200",
    ],
)
async def test_a_caller_waits_no_longer_than_it_allows(
    start_sidecar: StartSidecar, upstream: Upstream, header: bytes
) -> None:
    upstream.serve = silent
    running = await start_sidecar(upstream.port)
    started_s = time.monotonic()
    answer = await running.ask(get(b"/orders/", header, b"X-Request-Timeout: 1h", b"grpc-timeout: soon"))
    assert answer.problem == (504, "http_response_timeout")
    assert 0.2 <= time.monotonic() - started_s < 2.0


async def test_it_cannot_make_us_wait_longer(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    upstream.serve = silent
    running = await start_sidecar(upstream.port, timeout=0.2)
    started_s = time.monotonic()
    assert (await running.ask(get(b"/orders/", b"X-Request-Timeout: 60"))).status == 504
    assert time.monotonic() - started_s < 5.0


async def test_every_attempt_is_told_what_is_left(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await asyncio.sleep(0.1)

    upstream.serve = serve
    running = await start_sidecar(upstream.port, attempt_timeout=3.0, retry=Retry(max_retries=1))
    await running.ask(get(b"/orders/", b"Grpc-Timeout: 2S", b"Accept: a/b"))
    first, second = upstream.requests
    left_ms = []
    for seen in (first, second):
        (grpc,), (expected,) = seen.values(b"Grpc-Timeout"), seen.values(b"X-Envoy-Expected-Rq-Timeout-Ms")
        assert grpc == expected + b"m"
        left_ms.append(int(expected))
    assert 1000 < left_ms[1] <= left_ms[0] - 100 <= 1900
    assert first.values(b"Accept") == [b"a/b"]


async def test_without_a_deadline_of_the_callers_an_instance_is_told_the_attempts(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    running = await start_sidecar(upstream.port, attempt_timeout=3.0)
    await running.ask(get(b"/orders/", b"X-Envoy-Expected-Rq-Timeout-Ms: 99999", b"grpc-timeout: 0S"))
    (seen,) = upstream.requests
    assert seen.values(b"X-Envoy-Expected-Rq-Timeout-Ms") == [b"3000"]
    assert seen.values(b"grpc-timeout") == [b"0S"], "not ours to judge"


async def test_an_impatient_caller_opens_no_circuit_and_ejects_nobody(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    async def serve(peer: Peer) -> None:
        while True:
            await peer.request()
            await asyncio.sleep(0.05)
            await peer.send(response())

    ports = [(await start_upstream(serve)).port for _ in range(2)]
    breaker, eject = Breaker(request_volume=5), Eject(consecutive_failures=3, min_requests=3)
    running = await start_sidecar(*ports, breaker=breaker, eject=eject)
    patient = [running.ask(get(b"/orders/")) for _ in range(20)]
    assert {(await each).status for each in patient} == {200}
    hurried = [await running.ask(get(b"/orders/", b"grpc-timeout: 10m")) for _ in range(30)]
    assert {each.problem for each in hurried} == {(504, "http_response_timeout")}
    assert (await running.ask(get(b"/orders/"))).status == 200
    assert not any(node.ejected or node.failures for node in running.service().balancer.nodes)
    assert running.service().metrics.deadlines_refused > 0, "some of them at once"


async def slowly(peer: Peer) -> None:
    await peer.request()
    await asyncio.sleep(0.1)
    await peer.send(response())


async def test_a_retry_that_cannot_finish_is_not_started(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    upstream.serve = slowly
    running = await start_sidecar(upstream.port)
    await asyncio.gather(*(running.ask(get(b"/orders/")) for _ in range(20)))
    upstream.requests.clear()

    async def breaking_off_late(peer: Peer) -> None:
        await peer.request()
        await asyncio.sleep(0.5)

    upstream.serve = breaking_off_late
    await running.ask(get(b"/orders/", b"X-Request-Timeout: 600ms"))
    assert len(upstream.requests) == 1
    upstream.serve = breaking_off
    await running.ask(get(b"/orders/"))
    assert len(upstream.requests) == 4


async def test_nor_is_a_first_attempt(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    upstream.serve = slowly
    running = await start_sidecar(upstream.port)
    await asyncio.gather(*(running.ask(get(b"/orders/")) for _ in range(20)))
    upstream.requests.clear()
    assert (await running.ask(get(b"/orders/", b"X-Request-Timeout: 50ms"))).problem == (504, "http_response_timeout")
    assert not upstream.requests


async def test_a_deadline_before_the_registry_is_read_ends_the_wait_for_it(start_sidecar: StartSidecar) -> None:
    running = await start_sidecar(settings={"eureka": Eureka(urls=("http://127.0.0.1:1/eureka/",), register=False)})
    started_s = time.monotonic()
    assert (await running.ask(get(b"/orders/", b"X-Request-Timeout: 0.1"))).status == 503
    assert time.monotonic() - started_s < 5.0


async def test_an_uploads_caller_is_answered_in_time_after_it(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    upstream.serve = answering
    running = await start_sidecar(upstream.port)
    assert (await running.ask(post(b"/orders/", b"x", b"X-Request-Timeout: 1s"))).status == 200
