import asyncio
from collections.abc import Collection
from pathlib import Path
from random import Random

import pytest
from structlog.testing import capture_logs

from registry.cachefile import CacheFile
from registry.cachekeeper import CacheKeeper
from registry.discovery import Discovery
from registry.instance import Instance
from registry.server_url import Server
from registry.snapshot import Snapshot
from registry.transport import EurekaUnavailable, Reply

NOW_S = 1_800_000_000.0
SERVER = Server.parse("http://eureka/")
KEPT = Snapshot.of([Instance(app="A", id="kept", host="kept", ip="10.0.0.1", port=80)])
LISTED = b'{"applications":{"application":[{"name":"A","instance":[{"instanceId":"listed","hostName":"h"}]}]}}'


class Eureka:
    body: bytes | None = LISTED
    hangs = False

    def distrust(self, reply: Reply) -> None:
        pass

    async def request(self, method: str, path: str, *, accept: Collection[int] = ()) -> Reply:
        if self.hangs:
            await asyncio.Event().wait()
        if self.body is None:
            raise EurekaUnavailable("down")
        return Reply(200, self.body, SERVER)


@pytest.fixture
def eureka() -> Eureka:
    return Eureka()


@pytest.fixture
def discovery(eureka: Eureka) -> Discovery:
    return Discovery(eureka, fetch_interval_s=30, clock=lambda: 50.0, rng=Random(1))


@pytest.fixture
def file(tmp_path: Path) -> CacheFile:
    return CacheFile(tmp_path / "cache", ["http://eureka/"])


async def forever(_: float) -> None:
    await asyncio.Event().wait()


@pytest.fixture
def keeper(file: CacheFile, discovery: Discovery) -> CacheKeeper:
    return CacheKeeper(
        file,
        discovery,
        lambda each: "loopback" if each.host == "bad" else None,
        epoch_s=lambda: NOW_S,
        patience_s=0.01,
        sleep=forever,
    )


def ids(snapshot: Snapshot) -> list[str]:
    return sorted(each.id for each in snapshot.instances.values())


async def test_a_registry_that_was_read_is_written_at_once(
    keeper: CacheKeeper, discovery: Discovery, file: CacheFile
) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(keeper.run())
        await discovery.refresh()
        while not file.path.exists():  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.001)
        running.cancel()
    cached = file.read()
    assert cached is not None
    assert [each.id for each in cached.instances] == ["listed"]
    assert cached.read_epoch_s == NOW_S


@pytest.mark.parametrize("hangs", [False, True])
async def test_when_no_server_answers_at_start_the_file_is_used_and_not_written(
    keeper: CacheKeeper, discovery: Discovery, eureka: Eureka, file: CacheFile, hangs: bool
) -> None:
    file.write(KEPT, NOW_S - 3600)
    before = file.path.stat().st_ino
    eureka.body, eureka.hangs = None, hangs
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(keeper.run()), tasks.create_task(discovery.run())]
        await asyncio.wait_for(discovery.first_read.wait(), 10)
        assert ids(discovery.snapshot) == ["kept"]
        assert (discovery.restored, discovery.age_s) == (True, 3600.0)
        await keeper.save()
        for task in running:
            task.cancel()
    assert file.path.stat().st_ino == before


async def test_a_registry_that_was_read_in_time_makes_the_file_superfluous(
    keeper: CacheKeeper, discovery: Discovery, file: CacheFile
) -> None:
    file.write(KEPT, NOW_S)
    await discovery.refresh()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(keeper.run())
        await asyncio.sleep(0.02)
        running.cancel()
    assert ids(discovery.snapshot) == ["listed"]


async def test_without_a_file_nothing_is_restored_or_said(keeper: CacheKeeper, discovery: Discovery) -> None:
    with capture_logs() as logs:
        await keeper.restore()
    assert not discovery.first_read.is_set()
    assert logs == []


async def test_an_unusable_file_is_one_warning(keeper: CacheKeeper, discovery: Discovery, file: CacheFile) -> None:
    file.path.write_bytes(b"junk")
    with capture_logs() as logs:
        await keeper.restore()
    assert not discovery.first_read.is_set()
    assert [(line["log_level"], line["event"]) for line in logs] == [("warning", "cache file not used")]


async def test_what_is_restored_is_judged_anew(keeper: CacheKeeper, discovery: Discovery, file: CacheFile) -> None:
    file.write(Snapshot.of([Instance(app="A", id="a", host="bad", ip="10.0.0.1", port=80)]), NOW_S)
    await keeper.restore()
    assert discovery.snapshot.callable_instances("a") == ()


async def test_a_clock_that_was_set_back_makes_no_negative_age(
    keeper: CacheKeeper, discovery: Discovery, file: CacheFile
) -> None:
    file.write(KEPT, NOW_S + 3600)
    await keeper.restore()
    assert discovery.age_s == 0.0


async def test_a_disk_that_cannot_be_written_is_one_warning_and_its_recovery_one_line(
    keeper: CacheKeeper, discovery: Discovery, file: CacheFile
) -> None:
    await discovery.refresh()
    file.path.mkdir()
    with capture_logs() as logs:
        for _ in range(3):
            await keeper.save()
        file.path.rmdir()
        await keeper.save()
        await keeper.save()
    assert [line["event"] for line in logs] == ["cache file not written", "cache file written again"]


async def test_an_empty_registry_is_not_written_over_a_full_one(
    keeper: CacheKeeper, discovery: Discovery, eureka: Eureka, file: CacheFile
) -> None:
    file.write(KEPT, NOW_S)
    eureka.body = b'{"applications":{}}'
    await discovery.refresh()
    await keeper.save()
    cached = file.read()
    assert cached is not None
    assert [each.id for each in cached.instances] == ["kept"]
