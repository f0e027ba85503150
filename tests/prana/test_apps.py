"""Apps beside a sidecar, with a Eureka that keeps what it is told."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from prana.apps import AppBeside, deregister, drain
from prana.config.settings import App, AppHealth
from registry.instance import Status
from registry.registration import Registration
from registry.transport import EurekaUnavailable

PATIENCE_S = 20.0


class Eureka:
    """What was written, by app; can be told to be out of reach, or to let a farewell wait for that of the others."""

    def __init__(self, farewells: int = 1) -> None:
        self.statuses: dict[str, list[str]] = {}
        self.reachable = True
        self._together = asyncio.Barrier(farewells)

    async def stored(self, registration: Registration) -> None:
        return None

    async def register(self, registration: Registration, status: Status, dirty_ms: int) -> None:
        self._write(registration, status.value)

    async def heartbeat(self, registration: Registration, status: Status, dirty_ms: int) -> bool:
        return True

    async def cancel(self, registration: Registration) -> bool:
        await self._together.wait()
        self._write(registration, "gone")
        return True

    async def override_status(self, registration: Registration, status: Status, dirty_ms: int) -> bool:
        await self._together.wait()
        self._write(registration, status.value)
        return True

    async def remove_override(self, registration: Registration, dirty_ms: int) -> bool:
        return True

    def _write(self, registration: Registration, what: str) -> None:
        if not self.reachable:
            raise EurekaUnavailable("down")
        self.statuses.setdefault(registration.app, []).append(what)


def beside(name: str, eureka: Eureka | None, check: Path) -> AppBeside:
    """An app that is healthy while the file `check` exists."""
    program = f"import os, sys; sys.exit(not os.path.exists({str(check)!r}))"
    health = AppHealth(command=(sys.executable, "-c", program), interval=0.01, timeout=PATIENCE_S, fall=1)
    registration = Registration(app=name, instance_id=name, host="h", ip="127.0.0.1", port=5000, vip=name)

    async def located() -> Registration:
        return registration

    return AppBeside(
        App(name=name, port=5000, health=health),
        registration,
        eureka,
        located=located,
        clock=asyncio.get_running_loop().time,
        epoch_ms=lambda: 1_800_000_000_000,
        rng=Random(1),
    )


async def until(apps: Sequence[AppBeside], statuses: Sequence[Status]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while [app.status for app in apps] != list(statuses):  # noqa: ASYNC110 - the check is a process
            await asyncio.sleep(0.01)


async def test_each_app_has_the_status_of_its_own_health(tmp_path: Path) -> None:
    eureka = Eureka(farewells=2)
    checks = [tmp_path / "orders", tmp_path / "billing"]
    apps = [beside(check.name, eureka, check) for check in checks]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(loop) for app in apps for loop in app.loops()]
        await until(apps, [Status.STARTING, Status.STARTING])
        for check in checks:
            check.touch()
        await until(apps, [Status.UP, Status.UP])
        checks[1].unlink()
        await until(apps, [Status.UP, Status.DOWN])
        async with asyncio.timeout(PATIENCE_S):  # each waits for the other, so that one after the other would not do
            await drain(apps)
            await deregister(apps)
        for task in tasks:
            task.cancel()
    farewell = ["OUT_OF_SERVICE", "gone"]
    assert list(dict.fromkeys(eureka.statuses["orders"]))[-3:] == ["UP", *farewell]
    assert list(dict.fromkeys(eureka.statuses["billing"]))[-3:] == ["DOWN", *farewell]


async def test_an_app_that_is_not_to_be_registered_is_only_watched(tmp_path: Path) -> None:
    (tmp_path / "orders").touch()
    app = beside("orders", None, tmp_path / "orders")
    assert app.registrar is None
    tasks = [asyncio.create_task(loop) for loop in app.loops()]
    await until([app], [Status.UP])
    await drain([app])
    await deregister([app])
    for task in tasks:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]


async def test_a_server_out_of_reach_holds_up_no_farewell(tmp_path: Path) -> None:
    eureka = Eureka()
    app = beside("orders", eureka, tmp_path / "orders")
    tasks = [asyncio.create_task(loop) for loop in app.loops()]
    async with asyncio.timeout(PATIENCE_S):
        while not eureka.statuses:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        eureka.reachable = False
        await drain([app])
        await deregister([app])
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert eureka.statuses == {"orders": ["STARTING"]}
