"""Servers that are away, refuse, hang or send us elsewhere: the last good registry serves on."""

import asyncio
from pathlib import Path

import pytest

from tests.registry_failures.conftest import (
    RENEWAL_S,
    Clock,
    Running,
    StartServer,
    StartSidecar,
    settled,
    unharmed,
    until,
)
from tests.registry_failures.eureka import Answer, Eureka, always, hang, instance


async def test_down_at_start_it_waits_and_uses_the_server_as_soon_as_there_is_one(
    start_sidecar: StartSidecar, eureka: Eureka
) -> None:
    await eureka.stop()
    running = await start_sidecar(eureka.url)
    await running.reads(2)
    assert not await running.ready()
    status, body = await running.call()
    assert (status, b"registry_not_read" in body) == (503, True)
    assert (await running.get(running.sidecar.admin_port, "/livez"))[0] == 200
    await eureka.start()
    await settled(running)
    assert await running.ready()
    async with unharmed(running):
        await running.good_read()


async def test_down_at_start_the_cache_file_serves_and_its_age_shows(
    start_sidecar: StartSidecar, eureka: Eureka, tmp_path: Path, clock: Clock
) -> None:
    cache = tmp_path / "cache"
    first = await start_sidecar(eureka.url, cache_file=cache)
    await until(cache.exists, "the cache file")
    await first.end()
    await eureka.stop()
    clock.epoch_step_s = 3600.0
    running = await start_sidecar(eureka.url, cache_file=cache)
    await until(running.discovery.first_read.is_set, "the restored registry")
    async with unharmed(running):
        seen = await running.eureka_metrics()
        assert (seen["registry_read"], seen["restored_from_cache"]) == (True, True)
        assert 3600 <= seen["last_fetch_age_s"] <= 3700
        assert not await running.ready(), "not registered yet"
        await eureka.start()
        await settled(running)
        await until(lambda: not running.discovery.restored, "a read of the server itself")
        assert await running.ready()


@pytest.mark.parametrize("content", [b"", b"junk", b"prana registry cache, format 1\n{}\n"])
async def test_a_cache_file_that_cannot_be_used_does_no_harm(
    start_sidecar: StartSidecar, eureka: Eureka, tmp_path: Path, content: bytes
) -> None:
    cache = tmp_path / "cache"
    cache.write_bytes(content)
    await eureka.stop()
    running = await start_sidecar(eureka.url, cache_file=cache)
    await running.reads(2)
    assert not running.discovery.first_read.is_set()
    await eureka.start()
    await settled(running)
    async with unharmed(running):
        await running.good_read()


async def test_a_disk_that_cannot_be_written_does_no_harm(
    start_sidecar: StartSidecar, eureka: Eureka, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    running = await start_sidecar(eureka.url, cache_file=cache)
    await settled(running)
    async with unharmed(running):
        await running.reads(3)


async def test_down_later_the_last_registry_serves_on_and_the_outage_shows(running: Running, eureka: Eureka) -> None:
    async with unharmed(running):
        await eureka.stop()
        await until(lambda: running.discovery.problem and running.registrar.problem, "the outage to be noticed")
        await running.reads(3)
        status, health = await running.admin("/health")
        assert (status, health["status"]) == (200, "UP"), "the app is not to blame"
        assert health["components"]["eureka"]["status"] == "DOWN"
        assert running.registrar.registered
        await eureka.start()
        await running.good_read()
        await until(lambda: not running.registrar.problem, "a heartbeat")


REFUSALS = [500, 503, 429, 401, 403, 404, 406, 400, 204]


@pytest.mark.parametrize("status", REFUSALS)
async def test_refused_reads_leave_the_last_registry_and_the_heartbeats_alone(
    running: Running, eureka: Eureka, status: int
) -> None:
    async with unharmed(running):
        failures, heartbeats = running.discovery.fetch_failures_total, running.registrar.heartbeats_total
        eureka.reads = always(status, b"<html>never read</html>")
        await running.reads(3)
        assert running.discovery.fetch_failures_total > failures
        assert "orders" in running.discovery.snapshot.services
        await until(lambda: running.registrar.heartbeats_total > heartbeats, "another heartbeat")
        eureka.reads = None
        await running.good_read()


@pytest.mark.parametrize("status", [500, 503, 429, 401, 403, 406])
async def test_refused_writes_never_lead_to_a_registration_and_leave_reading_alone(
    running: Running, eureka: Eureka, status: int
) -> None:
    async with unharmed(running):
        registrations, failures = eureka.count("POST"), running.registrar.heartbeat_failures_total
        eureka.writes = always(status, b'{"error": "never read"}')
        await until(lambda: running.registrar.heartbeat_failures_total > failures + 2, "failed heartbeats")
        assert eureka.count("POST") == registrations
        assert running.registrar.registered
        eureka.writes = None
        await until(lambda: not running.registrar.problem, "a heartbeat")
        await running.good_read()


async def test_a_server_that_warms_up_at_start_is_waited_for(start_sidecar: StartSidecar, eureka: Eureka) -> None:
    eureka.reads = always(403)
    running = await start_sidecar(eureka.url)
    await until(lambda: running.sidecar._apps and running.registrar.registered, "the app to be registered: writes work")
    assert not await running.ready()
    eureka.reads = None
    await settled(running)
    async with unharmed(running):
        assert await running.ready()


async def test_a_storm_of_404_leads_to_one_registration_a_heartbeat_with_the_true_status(
    running: Running, eureka: Eureka
) -> None:
    async with unharmed(running):
        eureka.registered.clear()
        before, started_s = eureka.count("POST"), asyncio.get_running_loop().time()
        for _ in range(5):
            await until(lambda: "mine-1" in eureka.registered, "the app to be back")
            assert eureka.registered["mine-1"]["status"] == "UP"
            eureka.registered.clear()
        intervals = (asyncio.get_running_loop().time() - started_s) / (0.9 * RENEWAL_S)
        assert 5 <= eureka.count("POST") - before <= intervals + 2
        assert eureka.dirty_ms == sorted(set(eureka.dirty_ms))


BAD = {"hangs": hang, "500": always(500), "406": always(406), "junk": always(200, b"junk")}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("count", [1, 2])
async def test_of_three_servers_one_or_two_that_fail_are_passed_over(
    start_sidecar: StartSidecar, start_eureka: StartServer, callee: int, answer: Answer, count: int,
) -> None:  # fmt: skip
    servers = [await start_eureka(instance("orders", callee)) for _ in range(3)]
    for server in servers[:count]:
        server.reads = server.writes = answer
    running = await start_sidecar(*(server.url for server in servers))
    running.sidecar._transport._read_timeout_s = 0.3  # type: ignore[union-attr] # there is one
    await settled(running)
    async with unharmed(running):
        await running.reads(3)
        asked = sum(len(server.asked) for server in servers[:count])
        await running.reads(10)
        assert sum(len(server.asked) for server in servers[:count]) <= asked + 6, "it stays with one that works"


async def test_a_slow_read_neither_delays_heartbeats_nor_calls(running: Running, eureka: Eureka) -> None:
    async with unharmed(running):
        eureka.reads = hang
        await until(lambda: eureka.asked[-1].path.startswith("apps/"), "a read to hang")
        heartbeats = running.registrar.heartbeats_total
        await until(lambda: running.registrar.heartbeats_total >= heartbeats + 5, "heartbeats during the read")
        eureka.reads = None


async def test_a_redirect_to_another_registry_is_followed_without_the_password(
    start_sidecar: StartSidecar, start_eureka: StartServer, eureka: Eureka, callee: int
) -> None:
    target = await start_eureka(instance("orders", callee))

    def elsewhere(url: str) -> Answer:
        return always(302, headers={"Location": f"{url}apps/"})

    eureka.reads = eureka.writes = elsewhere(target.url)
    running = await start_sidecar(eureka.url.replace("http://", "http://user:canary@"))
    await settled(running)
    async with unharmed(running):
        await running.good_read()
        assert all("Authorization" in each.headers for each in eureka.asked)
        assert target.asked
        assert not any("Authorization" in each.headers for each in target.asked)


@pytest.mark.parametrize("location", ["http://127.0.0.1:1/login", "/eureka/apps/", "gopher://x/apps/"])
async def test_a_redirect_that_leads_nowhere_is_a_failure_like_any_other(
    running: Running, eureka: Eureka, location: str
) -> None:
    async with unharmed(running):
        eureka.reads = always(302, headers={"Location": location})
        await running.reads(2)
        assert running.discovery.problem
        eureka.reads = None
        await running.good_read()


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0, 1e9])
async def test_steps_of_the_wall_clock_change_nothing(
    running: Running, eureka: Eureka, clock: Clock, step_s: float
) -> None:
    async with unharmed(running):
        heartbeats = running.registrar.heartbeats_total
        clock.epoch_step_s = step_s
        await until(lambda: running.registrar.heartbeats_total >= heartbeats + 3, "heartbeats")
        eureka.registered.clear()
        await until(lambda: "mine-1" in eureka.registered, "the app to be back")
        assert eureka.dirty_ms == sorted(set(eureka.dirty_ms)), "the server keeps what is newer"
        await running.good_read()


async def test_a_sidecar_restarted_after_a_step_back_is_still_the_newer_one(
    start_sidecar: StartSidecar, running: Running, eureka: Eureka, clock: Clock
) -> None:
    await running.die()
    assert "mine-1" in eureka.registered
    clock.epoch_step_s = -86_400.0
    again = await start_sidecar(eureka.url)
    await settled(again)
    assert eureka.dirty_ms == sorted(set(eureka.dirty_ms))
    async with unharmed(again):
        await again.good_read()


@pytest.mark.parametrize("ours", [True, False])
async def test_a_sidecar_killed_while_draining_does_not_leave_its_successor_out_of_service(
    start_sidecar: StartSidecar, running: Running, eureka: Eureka, ours: bool
) -> None:
    if ours:
        await running.registrar.drain()
    else:
        eureka.overrides["mine-1"] = "OUT_OF_SERVICE"  # an operator's
    await running.die()
    assert eureka.overrides == {"mine-1": "OUT_OF_SERVICE"}
    again = await start_sidecar(eureka.url)
    await settled(again)
    assert eureka.overrides == ({} if ours else {"mine-1": "OUT_OF_SERVICE"})
    assert "pranaDraining" not in eureka.registered["mine-1"]["metadata"]
    async with unharmed(again):
        await again.good_read()
