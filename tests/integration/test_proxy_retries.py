"""Attempts: what is tried again, where, how often, and what never is. The ledger is what the instances recorded."""

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from prana.config.settings import Breaker, Retry

from .conftest import (
    NO_RETRY,
    Peer,
    Recorded,
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

IDEMPOTENT = [get(b"/orders/"), get(b"/orders/", method=b"DELETE"), post(b"/orders/", b"abc", method=b"PUT")]
OTHER = [post(b"/orders/", b"abc"), post(b"/orders/", b"abc", method=b"PATCH")]


@contextlib.contextmanager
def refusing_port() -> Iterator[int]:
    """A port that nobody listens on, and that nobody else gets meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port that neither accepts nor refuses: its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield listener.getsockname()[1]


def ledger(*upstreams: Upstream) -> Counter[bytes]:
    """How often each X-Id was seen."""
    return Counter(recorded.values(b"X-Id")[0] for upstream in upstreams for recorded in upstream.requests)


@pytest.mark.parametrize("raw", [*IDEMPOTENT, *OTHER])
async def test_a_refused_connection_sends_any_request_to_the_next_instance(
    start_sidecar: StartSidecar, upstream: Upstream, raw: bytes
) -> None:
    with refusing_port() as port:
        running = await start_sidecar(port, upstream.port)
        for _ in range(6):
            assert (await running.ask(raw)).status == 200
    assert len(upstream.requests) == 6


async def test_refused_everywhere_is_502(start_sidecar: StartSidecar) -> None:
    with refusing_port() as first, refusing_port() as second:
        running = await start_sidecar(first, second)
        answer = await running.ask(post(b"/orders/", b"abc"))
    assert answer.problem == (502, "connection_refused")
    assert answer.json["attempts"] == 3


async def test_a_connection_that_does_not_come_about_is_tried_elsewhere(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    with black_hole() as port:
        running = await start_sidecar(port, upstream.port, connect_timeout=0.2)
        assert [(await running.ask(post(b"/orders/", b"a"))).status for _ in range(4)] == [200] * 4


async def test_no_connection_in_time_is_504(start_sidecar: StartSidecar) -> None:
    with black_hole() as port:
        running = await start_sidecar(port, connect_timeout=0.05)
        answer = await running.ask(get(b"/orders/"))
    assert answer.problem == (504, "connection_timeout")


@pytest.mark.parametrize("raw", IDEMPOTENT)
async def test_an_idempotent_request_that_broke_off_is_tried_on_another_instance(
    start_sidecar: StartSidecar, start_upstream: StartUpstream, raw: bytes
) -> None:
    bad, good = await start_upstream(breaking_off), await start_upstream()
    running = await start_sidecar(bad.port, good.port)
    for _ in range(6):
        assert (await running.ask(raw)).status == 200
    assert bad.requests
    assert len(good.requests) == 6, "a retry goes to the node not tried yet"
    bodies = {request.body for request in bad.requests + good.requests}
    assert len(bodies) == 1, "each attempt sends the whole body"


async def test_an_attempt_that_takes_too_long_is_tried_elsewhere(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    slow, good = await start_upstream(silent), await start_upstream()
    running = await start_sidecar(slow.port, good.port, attempt_timeout=0.2)
    for _ in range(4):
        assert (await running.ask(get(b"/orders/"))).status == 200
    assert slow.requests
    await until(lambda: slow.ends == slow.connections, "abandoned attempts to be closed")


async def test_the_deadline_covers_all_attempts(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    upstream.serve = silent
    running = await start_sidecar(upstream.port, timeout=0.5, attempt_timeout=0.2, retry=Retry(max_retries=10))
    started_s = time.monotonic()
    answer = await running.ask(get(b"/orders/"))
    took_s = time.monotonic() - started_s
    assert answer.problem == (504, "http_response_timeout")
    assert 0.2 <= took_s < 2.0
    assert 2 <= len(upstream.requests) <= 3


async def test_a_configured_status_is_tried_again_and_the_last_answer_delivered(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    upstream.serve = unavailable
    running = await start_sidecar(upstream.port, retry=Retry(max_retries=2, statuses=frozenset({503})))
    answer = await running.ask(get(b"/orders/"))
    assert (answer.status, answer.body, answer.values(b"Proxy-Status")) == (503, b"busy", [])
    assert len(upstream.requests) == 3
    assert upstream.connections == 1, "an answer that arrived whole costs no connection"


async def test_other_statuses_are_delivered_at_once(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        await answering(peer, response(b"oops", status=b"500 Oops"))

    upstream.serve = serve
    running = await start_sidecar(upstream.port)
    assert (await running.ask(get(b"/orders/"))).body == b"oops"
    assert len(upstream.requests) == 1


async def test_a_large_answer_dropped_for_a_retry_does_not_block_its_connection(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    """More than the high-water mark may arrive in one read; the connection is paused then."""

    async def serve(peer: Peer) -> None:
        def answer(_: Recorded) -> bytes:
            failing = len(upstream.requests) % 2 == 1
            return response(bytes(120_000), status=b"503 No") if failing else response()

        await answering(peer, answer)

    upstream.serve = serve
    running = await start_sidecar(upstream.port, attempt_timeout=2.0)
    for _ in range(10):
        assert (await running.ask(get(b"/orders/"))).body == b"ok"


async def test_retries_stay_within_their_budget(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    upstream.serve = breaking_off
    retry = Retry(max_retries=2, budget_ratio=0.2, budget_floor_per_s=0.0)
    running = await start_sidecar(upstream.port, retry=retry, breaker=Breaker(enabled=False))
    for _ in range(20):
        assert (await running.ask(get(b"/orders/"))).problem == (502, "connection_terminated")
    assert len(upstream.requests) == 24, "a fifth more than the requests"
    assert running.service().metrics.retries == 4
    assert running.service().metrics.retries_refused > 0


async def test_a_body_too_large_to_keep_is_not_replayed(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    upstream.serve = breaking_off
    running = await start_sidecar(upstream.port, retry=Retry(replay_bytes=1000))
    assert (await running.ask(post(b"/orders/", bytes(1001), method=b"PUT"))).status == 502
    assert len(upstream.requests) == 1
    assert (await running.ask(post(b"/orders/", bytes(1000), method=b"PUT"))).status == 502
    assert len(upstream.requests) == 4


async def test_a_body_too_large_to_keep_still_goes_elsewhere_while_nothing_was_taken(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    with refusing_port() as port:
        running = await start_sidecar(port, upstream.port, retry=Retry(replay_bytes=0))
        for _ in range(4):
            assert (await running.ask(post(b"/orders/", bytes(100_000)))).status == 200


@pytest.mark.parametrize("raw", IDEMPOTENT)
async def test_a_get_into_a_connection_that_is_closing_is_replayed(
    start_sidecar: StartSidecar, upstream: Upstream, raw: bytes
) -> None:
    """The instance takes a second request and closes instead of answering, as servers do whose keep-alive ended."""

    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(response())
        await peer.request()

    upstream.serve = serve
    running = await start_sidecar(upstream.port, retry=NO_RETRY)
    for _ in range(6):
        assert (await running.ask(raw)).body == (b"ok")
    assert running.service().balancer.nodes[0].failures == 0, "the instance is fine"


async def test_a_post_into_a_connection_that_is_closing_is_never_sent_twice(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(response())
        await peer.request()

    upstream.serve = serve
    running = await start_sidecar(upstream.port)
    statuses = [(await running.ask(post(b"/orders/", b"x", b"X-Id: %d" % n))).status for n in range(6)]
    assert set(statuses) <= {200, 502}
    assert set(ledger(upstream).values()) == {1}


async def test_a_reused_connection_that_answered_in_part_is_not_replayed_by_itself(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(response())
        await peer.request()
        await peer.send(b"HTTP/1.1 2")

    upstream.serve = serve
    running = await start_sidecar(upstream.port, retry=NO_RETRY)
    assert (await running.ask(get(b"/orders/"))).status == 200
    assert (await running.ask(get(b"/orders/"))).problem == (502, "connection_terminated")
    assert len(upstream.requests) == 2


async def test_an_instance_that_closes_after_each_answer_costs_no_request(running: Running, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(response())

    upstream.serve = serve
    caller = await running.open()
    raws = [get(b"/orders/", b"X-Id: %d" % n) if n % 2 else post(b"/orders/", b"x", b"X-Id: %d" % n) for n in range(40)]
    statuses = Counter([(await caller.ask(raw)).status for raw in raws])
    await until(lambda: running.idle)
    assert statuses[200] + statuses[502] == 40
    assert statuses[200] >= 20, "every GET at least"
    seen = ledger(upstream)
    assert max(seen[b"%d" % n] for n in range(0, 40, 2)) == 1


async def test_a_post_takes_no_connection_whose_end_has_arrived_unseen(running: Running, upstream: Upstream) -> None:
    """As when the loop was busy: the kernel knows it, the loop does not yet."""

    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(response())
        await gate.wait()

    gate = asyncio.Event()
    upstream.serve = serve
    await running.ask(post(b"/orders/", b"x"))
    await until(lambda: running.idle)
    (idle,) = running.sidecar._pool._open
    assert not idle.has_unread()
    idle.transport.pause_reading()
    gate.set()
    await until(idle.has_unread)
    assert (await running.ask(post(b"/orders/", b"x"))).status == 200
    assert upstream.connections == 2


async def test_a_post_takes_no_connection_that_has_idled_for_long(running: Running, upstream: Upstream) -> None:
    await running.ask(get(b"/orders/"))
    await until(lambda: running.idle)
    (idle,) = running.sidecar._pool._open
    idle.idle_since_s -= 1.5
    await running.ask(post(b"/orders/", b"x"))
    assert upstream.connections == 2


async def test_no_post_is_seen_twice_while_instances_misbehave(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    """A ledger over three instances: one breaks off, one closes after each answer, one is fine."""

    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.send(response())

    upstreams = [await start_upstream(serve) for serve in (breaking_off, once, answering)]
    running = await start_sidecar(*(upstream.port for upstream in upstreams), breaker=Breaker(enabled=False))

    async def client(number: int) -> list[tuple[bytes, int]]:
        caller = await running.open()
        results = []
        for n in range(20):
            name = b"%d-%d" % (number, n)
            raw = post(b"/orders/", b"x", b"X-Id: " + name) if n % 2 else get(b"/orders/", b"X-Id: " + name)
            results.append((name, (await caller.ask(raw)).status))
        return results

    results = dict(result for each in await asyncio.gather(*(client(n) for n in range(8))) for result in each)
    seen = ledger(*upstreams)
    for name, status in results.items():
        is_post = int(name.split(b"-")[1]) % 2 == 1
        assert status == 200 or is_post, "a GET never fails here"
        assert seen[name] <= (1 if is_post else 6)
        assert seen[name] >= 1 or status != 200, "nobody makes answers up"
