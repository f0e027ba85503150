"""Hedges over real sockets: who is asked, what is counted, and what becomes of the connections."""

import asyncio
import re

import pytest

from prana.config.settings import Hedge, Retry

from .conftest import (
    Peer,
    Running,
    StartSidecar,
    StartUpstream,
    Upstream,
    answering,
    get,
    post,
    response,
    silent,
    until,
)

HEDGE = Hedge(enabled=True)


class Pair:
    """Two instances and a sidecar that knows how fast they are."""

    def __init__(self, running: Running, upstreams: list[Upstream]) -> None:
        self.running = running
        self.upstreams = upstreams
        self._before = (0, 0)

    async def measure(self) -> None:
        for _ in range(25):
            assert (await self.running.ask(get(b"/orders/"))).status == 200
        await until(lambda: self.running.idle)
        for upstream in self.upstreams:
            upstream.requests.clear()
        self._before = self._counts  # on a busy machine there are some already

    def serve_one_of_them_badly(self) -> list[Upstream]:
        """Whichever is asked first, which is then the first of these."""
        asked: list[Upstream] = []

        async def serve(peer: Peer) -> None:
            while True:
                await peer.request()
                asked.append(peer.upstream)
                if peer.upstream is asked[0]:
                    await peer.ended()
                    return
                await peer.send(response())

        for upstream in self.upstreams:
            upstream.serve = serve
        return asked

    @property
    def seen(self) -> list[int]:
        return sorted(len(upstream.requests) for upstream in self.upstreams)

    @property
    def hedges(self) -> tuple[int, int]:
        (begun_before, won_before), (begun, won) = self._before, self._counts
        return begun - begun_before, won - won_before

    @property
    def _counts(self) -> tuple[int, int]:
        metrics = self.running.service().metrics
        return metrics.hedges, metrics.hedges_won


@pytest.fixture
async def pair(start_sidecar: StartSidecar, start_upstream: StartUpstream) -> Pair:
    async def one_each(peer: Peer) -> None:
        await peer.request()
        await peer.send(response(b"ok", b"Connection: close"))

    upstreams = [await start_upstream(one_each) for _ in range(2)]
    running = await start_sidecar(*(each.port for each in upstreams), hedge=HEDGE)
    pair = Pair(running, upstreams)
    await pair.measure()
    return pair


async def test_a_slow_instance_is_overtaken_by_another(pair: Pair) -> None:
    asked = pair.serve_one_of_them_badly()
    answer = await pair.running.ask(get(b"/orders/", b"X-Prana-Explain: 1"))
    assert answer.status == 200
    assert (pair.seen, pair.hedges) == ([1, 1], (1, 1))
    bad, good = asked
    assert answer.value(b"X-Prana-Attempts") == b"2"
    assert re.search(rb'attempt-1;dur=[0-9.]+;desc="overtaken", attempt-2;dur=[0-9.]+;desc="200"', answer.head)
    assert answer.value(b"X-Prana-Instance").endswith(b":%d" % good.port)
    await until(lambda: pair.running.idle)
    node = next(each for each in pair.running.service().balancer.nodes if each.instance.port == bad.port)
    assert node.failures == 0, "it was not waited for"


async def test_the_connection_of_the_overtaken_is_closed(pair: Pair) -> None:
    pair.serve_one_of_them_badly()
    await pair.running.ask(get(b"/orders/"))
    await until(lambda: pair.running.upstream_connections == 1, "that of the winner alone")


async def test_a_caller_that_leaves_takes_both_along(pair: Pair) -> None:
    for upstream in pair.upstreams:
        upstream.serve = silent
    caller = await pair.running.open()
    await caller.send(get(b"/orders/"))
    await until(lambda: pair.seen == [1, 1], "the hedge")
    caller.reset()
    await until(lambda: pair.running.idle and not pair.running.upstream_connections)


async def test_both_bodies_arrive_whole(pair: Pair) -> None:
    pair.serve_one_of_them_badly()
    answer = await pair.running.ask(post(b"/orders/", b"a body", b"Idempotency-Key: 1"))
    assert answer.status == 200
    assert [each.body for upstream in pair.upstreams for each in upstream.requests] == [b"a body", b"a body"]


async def test_what_has_an_effect_is_asked_once(pair: Pair) -> None:
    async def slowly(peer: Peer) -> None:
        await peer.request()
        await asyncio.sleep(0.2)
        await peer.send(response())

    for upstream in pair.upstreams:
        upstream.serve = slowly
    assert (await pair.running.ask(post(b"/orders/", b"a body"))).status == 200
    assert pair.seen == [0, 1]


async def test_when_the_hedge_fails_too_the_request_is_tried_again(pair: Pair) -> None:
    asked: list[Peer] = []

    async def serve(peer: Peer) -> None:
        await peer.request()
        asked.append(peer)
        if len(asked) <= 2:
            await until(lambda: len(asked) == 2, "the hedge")
            return
        await peer.send(response())

    for upstream in pair.upstreams:
        upstream.serve = serve
    assert (await pair.running.ask(get(b"/orders/"))).status == 200
    assert (len(asked), pair.hedges[0], pair.running.service().metrics.retries) == (3, 1, 1)


async def test_every_count_returns_to_zero_whatever_wins(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    """Answers around the moment at which hedges begin and end, so that they cross in all ways."""
    number = 0

    async def serve(peer: Peer) -> None:
        nonlocal number
        while True:
            await peer.request()
            number += 1
            await asyncio.sleep(0.005 * (number % 5))
            await peer.send(response(b"x" * 1000, status=b"503 No" if number % 7 == 0 else b"200 OK"))

    upstreams = [await start_upstream(serve) for _ in range(3)]
    hedge = Hedge(enabled=True, percentile=50.0, min_delay=0.001)
    retry = Retry(budget_ratio=1.0, budget_floor_per_s=1000.0)
    running = await start_sidecar(*(each.port for each in upstreams), hedge=hedge, retry=retry)

    async def call() -> None:
        caller = await running.open()
        for _ in range(40):
            assert (await caller.ask(get(b"/orders/"))).status in (200, 503)

    await asyncio.gather(*(call() for _ in range(8)))
    metrics = running.service().metrics
    assert metrics.hedges > 10
    await until(lambda: running.idle)
    seen = sum(len(each.requests) for each in upstreams)
    assert sum(metrics.attempts.values()) >= seen, "a hedge called off before it was sent was one, too"


async def test_without_retries_there_may_be_hedges(start_sidecar: StartSidecar, start_upstream: StartUpstream) -> None:
    upstreams = [await start_upstream(answering) for _ in range(2)]
    running = await start_sidecar(*(each.port for each in upstreams), hedge=HEDGE, retry=Retry(enabled=False))
    pair = Pair(running, upstreams)
    await pair.measure()
    budget = running.service().budget.balance
    assert budget > 10, "its requests are counted"
