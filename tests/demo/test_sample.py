"""The sample instances, who they say they are and how they fail, and the scene around them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random

import aiohttp
import pytest

from prana.demo.sample import HOST, Outage, Role, Sample
from prana.demo.scene import APP, RECOMMENDATIONS, ROLES, Ports, check, registration, settings
from prana.demo.traffic import CALLS_PER_S
from prana.startup import StartupError


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


Answering = AbstractAsyncContextManager[tuple[Sample, aiohttp.ClientSession]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outage(clock: Clock) -> Outage:
    return Outage(clock)


@pytest.fixture
def answering(clock: Clock, outage: Outage) -> Callable[[Role], Answering]:
    @asynccontextmanager
    async def open_sample(role: Role) -> AsyncIterator[tuple[Sample, aiohttp.ClientSession]]:
        sample = Sample(role, 0, outage, None, clock, Random(1))
        await sample.open()
        try:
            async with aiohttp.ClientSession(f"http://{HOST}:{sample.port}") as session:
                yield sample, session
        finally:
            await sample.close()

    return open_sample


def role(**changes: float) -> Role:
    return Role(service="books", id="books-1", says={"title": "Emma"}, **changes)  # type: ignore[arg-type]


async def test_an_answer_says_who_it_is_and_what_it_was_asked(answering: Callable[[Role], Answering]) -> None:
    async with answering(role()) as (_, session), session.get("/a%2Fb?n=3") as response:
        assert response.status == 200
        assert await response.json() == {
            "instance": "books-1",
            "title": "Emma",
            "method": "GET",
            "path": "/a%2Fb?n=3",
        }
        assert (await response.read()).endswith(b"\n")


async def test_a_post_is_echoed(answering: Callable[[Role], Answering]) -> None:
    async with answering(role()) as (_, session), session.post("/notes", data=b"hello") as response:
        document = await response.json()
    assert (document["method"], document["body"]) == ("POST", "hello")


async def test_a_flaky_instance_fails_in_every_second_half_of_its_cycle(
    answering: Callable[[Role], Answering], clock: Clock
) -> None:
    statuses = []
    async with answering(role(cycle_s=20.0)) as (_, session):
        for now_s in (1000.0, 1019.9, 1020.0, 1039.9, 1040.0, 1060.0):
            clock.now_s = now_s
            async with session.get("/") as response:
                statuses.append(response.status)
    assert statuses == [200, 200, 503, 503, 200, 503]


async def test_an_outage_lasts_as_long_as_was_asked_and_is_shared(
    answering: Callable[[Role], Answering], outage: Outage, clock: Clock
) -> None:
    async with answering(role()) as (_, session):
        async with session.post("/outage?for=2s") as response:
            assert await response.json() == {"service": "books", "failing_for": "2s"}
        assert outage.active
        async with session.get("/") as response:
            assert response.status == 503
            assert (await response.json())["instance"] == "books-1"
        clock.now_s += 2.0
        assert not outage.active
        async with session.get("/") as response:
            assert response.status == 200


async def test_a_running_outage_can_be_ended(answering: Callable[[Role], Answering], outage: Outage) -> None:
    async with answering(role()) as (_, session):
        await session.post("/outage?for=1h")
        await session.post("/outage?for=0s")
    assert not outage.active


@pytest.mark.parametrize("written", ["30", "soon", "2h"])
async def test_an_outage_that_cannot_be_understood_changes_nothing(
    answering: Callable[[Role], Answering], outage: Outage, written: str
) -> None:
    async with answering(role()) as (_, session), session.post(f"/outage?for={written}") as response:
        assert response.status == 400
        assert written in (await response.json())["error"]
    assert not outage.active


async def test_a_killed_instance_answers_the_killer_and_then_nobody(answering: Callable[[Role], Answering]) -> None:
    async with answering(role()) as (sample, session):
        running = sample.run()
        async with session.post("/die") as response:
            assert await response.json() == {"instance": "books-1", "dies": True}
        await running
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get("/")


def test_every_sample_instance_has_a_port_of_its_own() -> None:
    ports = Ports(8761, 8078, 8077, 9001)
    assert [ports.of(role.id) for role in ROLES] == [9001, 9002, 9003, 9004, 9005, 9006]


def test_an_instance_registers_with_the_port_it_listens_on() -> None:
    registered = registration(ROLES[1], 9002)
    assert (registered.app, registered.instance_id) == ("recommendation-service", "rec-slow")
    assert (registered.host, registered.port, registered.vip) == (HOST, 9002, "recommendation-service")


def test_the_sidecar_fronts_the_last_instance_and_stays_on_this_machine() -> None:
    chosen = settings(Ports(8761, 8078, 8077, 9001))
    assert [(app.name, app.port) for app in chosen.apps] == [(APP, 9006)]
    assert [address.host for address in (*chosen.proxy.listen, chosen.admin.listen)] == [HOST, HOST]


def test_the_traffic_alone_is_well_above_what_the_breaker_needs_to_judge() -> None:
    breaker = settings(Ports(8761, 8078, 8077, 9001)).policy_for(RECOMMENDATIONS).breaker
    assert CALLS_PER_S[RECOMMENDATIONS] * breaker.window > 2 * breaker.request_volume


def test_instances_beyond_the_last_port_are_refused_with_the_flag_to_change() -> None:
    check(Ports(8761, 8078, 8077, 65530))
    with pytest.raises(StartupError, match=r"65531 to 65536.*--instances-port"):
        check(Ports(8761, 8078, 8077, 65531))
