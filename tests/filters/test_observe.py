import asyncio
from random import Random

import pytest

from admin.metrics import CommandMetrics, ProxyMetrics, RequestOutcome, ServiceMetrics
from loadbalancer.ejection import EjectionSettings, Standing
from loadbalancer.node import Node
from prana.errors import CircuitOpen, ConnectionBroken
from prana.filters.observe import Observe
from prana.request import Attempt, End, Instead, Request, Response
from prana.wire.tunnel import Tunnel
from prana.wire.upgrade import Upgrade
from registry.instance import Instance
from tests.wire.conftest import pairs

from .conftest import Clock, Next, answer, request


class FakeTransport(asyncio.Transport):
    """Of an instance that says nothing more."""

    def pause_reading(self) -> None:
        pass

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        pass


class Stage:
    def __init__(self, proxy_metrics: ProxyMetrics, clock: Clock) -> None:
        self.accesses: list[tuple[Request, Response | None, RequestOutcome, float]] = []
        self.observe = Observe(proxy_metrics, clock, lambda *access: self.accesses.append(access))
        self.clock = clock

    @property
    def outcome(self) -> RequestOutcome:
        ((_, _, outcome, _),) = self.accesses
        return outcome


@pytest.fixture
def stage(proxy_metrics: ProxyMetrics, clock: Clock) -> Stage:
    return Stage(proxy_metrics, clock)


def routed(metrics: ServiceMetrics) -> Request:
    asked = request()
    asked.metrics = metrics
    metrics.request_started()
    return asked


def attempt(clock: Clock) -> Attempt:
    instance = Instance(app="ORDERS", id="orders-1", host="a", ip="a", port=1)
    made = Attempt(Node(instance, Standing(EjectionSettings(), clock, Random(1))))
    made.status, made.duration_s = 200, 0.25
    return made


async def test_a_request_counts_once_at_the_end_of_its_body(stage: Stage, metrics: ServiceMetrics) -> None:
    asked = routed(metrics)
    response = await stage.observe(asked, Next(answer(204)))
    assert (metrics.requests_total, metrics.in_flight, stage.accesses) == (0, 1, [])
    stage.clock.now_s += 0.5
    response.finish(End.COMPLETE)
    response.finish(End.COMPLETE)
    assert (metrics.requests_total, metrics.in_flight) == (1, 0)
    assert stage.accesses == [(asked, response, RequestOutcome.SUCCESS, 0.5)]
    assert metrics.duration.sum_s == 0.5


async def test_the_life_of_a_tunnel_is_counted_but_is_no_latency(stage: Stage, metrics: ServiceMetrics) -> None:
    asked = routed(metrics)
    asked.upgrade = Upgrade(b"key")
    asked.upgrade.tunnel = Tunnel(FakeTransport(), b"12345", lambda error: None)
    stage.clock.now_s += 0.25
    response = await stage.observe(asked, Next(answer(101)))
    assert (metrics.tunnels, metrics.tunnels_total, metrics.in_flight, stage.accesses) == (1, 1, 1, [])
    stage.clock.now_s += 3600
    response.finish(End.COMPLETE)
    assert (metrics.tunnels, metrics.tunnels_total, metrics.in_flight) == (0, 1, 0)
    assert (metrics.tunnel_received_bytes, metrics.tunnel_sent_bytes) == (0, 5)
    assert metrics.duration.sum_s == 0.25
    assert stage.accesses == [(asked, response, RequestOutcome.SUCCESS, 0.25)]
    assert asked.upgrade.lasted_s == 3600


async def test_a_request_of_no_service_counts_among_the_others(
    stage: Stage, proxy_metrics: ProxyMetrics, metrics: ServiceMetrics
) -> None:
    (await stage.observe(request(), Next(answer(404)))).finish(End.COMPLETE)
    assert (proxy_metrics.other.requests_total, proxy_metrics.other.in_flight) == (1, 0)
    assert metrics.requests_total == 0


def made(status: int, *, error: ConnectionBroken | CircuitOpen | None = None, fallback: str = "") -> Response:
    response = answer(status)
    response.error, response.fallback = error, Instead(fallback, "timeout") if fallback else None
    return response


@pytest.mark.parametrize(
    ("response", "end", "attempts", "outcome"),
    [
        (made(200), End.COMPLETE, 1, RequestOutcome.SUCCESS),
        (made(404), End.COMPLETE, 1, RequestOutcome.SUCCESS),
        (made(500), End.COMPLETE, 1, RequestOutcome.FAILURE),
        (made(200), End.BROKEN, 1, RequestOutcome.FAILURE),
        (made(200), End.ABANDONED, 1, RequestOutcome.CANCELLED),
        (made(502, error=ConnectionBroken("x")), End.COMPLETE, 1, RequestOutcome.FAILURE),
        (made(503, error=CircuitOpen("x")), End.COMPLETE, 0, RequestOutcome.REJECTED),
        (made(200, error=CircuitOpen("x"), fallback="static"), End.COMPLETE, 0, RequestOutcome.FALLBACK),
        (made(503, fallback="static"), End.COMPLETE, 1, RequestOutcome.FALLBACK),
    ],
)
async def test_the_outcome_is_what_the_caller_saw(
    stage: Stage, response: Response, end: End, attempts: int, outcome: RequestOutcome
) -> None:
    asked = request()
    asked.attempts = [attempt(stage.clock) for _ in range(attempts)]
    (await stage.observe(asked, Next(response))).finish(end)
    assert stage.outcome is outcome


async def test_a_caller_that_left_before_the_answer_counts_as_cancelled(stage: Stage, metrics: ServiceMetrics) -> None:
    asked = routed(metrics)
    with pytest.raises(asyncio.CancelledError):
        await stage.observe(asked, Next(asyncio.CancelledError()))
    assert (stage.outcome, metrics.in_flight) == (RequestOutcome.CANCELLED, 0)


async def test_only_what_was_executed_has_a_latency(
    stage: Stage, metrics: ServiceMetrics, command: CommandMetrics
) -> None:
    for executed in (False, True):
        asked = routed(metrics)
        asked.command, asked.executed = command, executed
        (await stage.observe(asked, Next(answer()))).finish(End.COMPLETE)
    command.rotate()
    assert command.total_latency.summary.count == 1


@pytest.mark.parametrize(("given", "kept"), [(b"mine", True), (b"a b", False), (b"", False), (b"a" * 129, False)])
async def test_a_usable_request_id_is_kept(stage: Stage, given: bytes, kept: bool) -> None:
    asked = request()
    asked.request_id = given
    await stage.observe(asked, Next(answer()))
    assert (asked.request_id == given) is kept


async def test_ids_made_here_are_unique_also_among_processes(proxy_metrics: ProxyMetrics, clock: Clock) -> None:
    ids = set()
    for stage in (Stage(proxy_metrics, clock), Stage(proxy_metrics, clock)):
        for _ in range(3):
            asked = request()
            await stage.observe(asked, Next(answer()))
            ids.add(asked.request_id)
    assert len(ids) == 6


async def test_an_explanation_is_only_for_those_who_ask(stage: Stage) -> None:
    asked = request()
    asked.attempts = [attempt(stage.clock)]
    assert (await stage.observe(asked, Next(answer()))).headers == []
    asked.explain = True
    stage.clock.now_s += 0.5
    assert pairs((await stage.observe(asked, Next(answer()))).headers) == [
        (b"X-Prana-Instance", b"orders-1"),
        (b"X-Prana-Attempts", b"1"),
        (b"Server-Timing", b'prana;dur=500.000, attempt-1;dur=250.000;desc="200"'),
    ]
