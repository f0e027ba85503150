"""What the streams tell of a sidecar at work, and circuits that an operator forces."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp import ClientSession

from prana.config.settings import Breaker

from .conftest import Running, StartSidecar, Upstream, get, until

Frame = dict[str, Any]


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


def admin_of(running: Running) -> str:
    return f"http://127.0.0.1:{running.sidecar.admin_port}"


async def events_of(session: ClientSession, running: Running, path: str, count: int) -> list[Frame]:
    """The first so many of a stream."""
    events: list[Frame] = []
    async with session.get(admin_of(running) + path) as response:
        async for line in response.content:
            if line.startswith(b"data: "):
                events.append(json.loads(line[6:]))
                if len(events) == count:
                    break
    return events


async def force(session: ClientSession, running: Running, operation: str) -> Mapping[str, Any]:
    async with session.post(f"{admin_of(running)}/services/orders/breaker/{operation}") as response:
        assert response.status == 200
        answer: Mapping[str, Any] = (await response.json())["breaker"]
        return answer


async def test_the_streams_tell_of_traffic_and_of_connections(
    start_sidecar: StartSidecar, upstream: Upstream, session: ClientSession
) -> None:
    running = await start_sidecar(upstream.port)
    caller = await running.open()
    for _ in range(3):
        assert (await caller.ask(get(b"/orders/"))).status == 200
    await until(lambda: running.idle)
    command, pool = await events_of(session, running, "/hystrix.stream", 2)
    assert (command["name"], command["requestCount"], command["rollingCountSuccess"]) == ("orders", 3, 3)
    assert command["threadPool"] == pool["name"] == "orders"
    assert (pool["currentActiveCount"], pool["currentPoolSize"], pool["currentLargestPoolSize"]) == (0, 1, 1)
    assert (pool["currentCompletedTaskCount"], pool["rollingCountThreadsExecuted"]) == (3, 3)
    (config,) = await events_of(session, running, "/hystrix/config.stream", 1)
    assert config["commands"]["orders"]["execution"]["fallbackEnabled"] is False
    assert config["commands"]["orders"]["metrics"]["healthBucketSizeInMs"] == 1000
    (utilization,) = await events_of(session, running, "/hystrix/utilization.stream", 1)
    assert utilization["threadpools"]["orders"]["poolSize"] == 1


async def test_a_configured_service_shows_before_its_first_call(
    start_sidecar: StartSidecar, upstream: Upstream, session: ClientSession
) -> None:
    running = await start_sidecar(upstream.port)
    frames = await events_of(session, running, "/hystrix.stream", 2)
    assert [frame["name"] for frame in frames] == ["orders", "orders"]
    assert frames[1]["currentPoolSize"] == 0


async def test_an_operator_cuts_a_service_off_and_lets_it_through_again(
    start_sidecar: StartSidecar, upstream: Upstream, session: ClientSession
) -> None:
    running = await start_sidecar(upstream.port)
    assert (await force(session, running, "force-open"))["force"] == "open"
    assert (await running.ask(get(b"/orders/"))).problem == (503, "destination_unavailable; details=circuit_open")
    (frame,) = await events_of(session, running, "/hystrix.stream", 1)
    assert (frame["isCircuitBreakerOpen"], frame["propertyValue_circuitBreakerForceOpen"]) == (True, True)
    (config,) = await events_of(session, running, "/hystrix/config.stream", 1)
    assert config["commands"]["orders"]["circuitBreaker"]["isForcedOpen"] is True
    assert (await force(session, running, "auto"))["force"] == "none"
    assert (await running.ask(get(b"/orders/"))).status == 200
    assert (await force(session, running, "force-closed"))["force"] == "closed"
    assert len(upstream.requests) == 1


async def test_a_breaker_that_is_not_enabled_stays_so(
    start_sidecar: StartSidecar, upstream: Upstream, session: ClientSession
) -> None:
    running = await start_sidecar(upstream.port, breaker=Breaker(enabled=False))
    async with session.post(f"{admin_of(running)}/services/orders/breaker/force-open") as response:
        assert response.status == 409
    assert (await running.ask(get(b"/orders/"))).status == 200


async def test_streams_end_with_the_sidecar(
    start_sidecar: StartSidecar, upstream: Upstream, session: ClientSession
) -> None:
    running = await start_sidecar(upstream.port)
    async with session.get(admin_of(running) + "/hystrix.stream") as response:
        await response.content.readline()
        await running.finish()
        await response.read()  # complete, not cut off
