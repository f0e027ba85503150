"""One sidecar as a whole: what it opens it closes, and nothing waits for the way to Eureka."""

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from prana.app import Sidecar, run
from prana.config.settings import Admin, App, Eureka, Proxy, Settings, Shutdown
from prana.config.units import Address
from prana.identity import own_address
from prana.signals import Stop
from prana.startup import StartupError
from registry.instance import Instance
from registry.server import serve
from registry.snapshot import EMPTY, anyone

PATIENCE_S = 20.0
HERE = Address("127.0.0.1", 0)


async def test_a_taken_admin_port_closes_the_proxy_again(tmp_path: Path) -> None:
    path = tmp_path / "p.sock"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        admin = Admin(listen=Address("127.0.0.1", taken.getsockname()[1]))
        listen = (Address(unix_path=str(path)),)
        sidecar = Sidecar(Settings(eureka=Eureka(urls=()), proxy=Proxy(listen=listen), admin=admin))
        with pytest.raises(StartupError, match="is taken"):
            await sidecar.start()
    assert not path.exists()


async def test_a_name_that_takes_its_time_holds_up_neither_the_work_nor_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = asyncio.Event()

    async def slow(urls: Sequence[str]) -> str:
        asked.set()
        await asyncio.Event().wait()
        return ""

    monkeypatch.setattr("prana.identity.route_address", slow)
    settings = Settings(
        apps=(App(name="orders", port=1),),
        eureka=Eureka(urls=("http://127.0.0.1:1/eureka/",), fetch=False),
        proxy=Proxy(listen=(HERE,)),
        admin=Admin(listen=HERE),
        shutdown=Shutdown(drain_delay=0.0, grace=0.0),
    )
    sidecar, stop = Sidecar(settings), Stop(0.0)
    await sidecar.start()
    assert [app.name for app in sidecar._views.apps()] == ["orders"]
    async with asyncio.timeout(PATIENCE_S):
        running = asyncio.create_task(sidecar.run(stop))
        await asked.wait()
        stop.requested.set()
        await running


class LoopFailed(Exception):
    """A defect, in a test."""


async def test_when_a_background_loop_fails_the_app_is_deregistered_first(monkeypatch: pytest.MonkeyPatch) -> None:
    fail = asyncio.Event()

    async def keep_rotating(*_: object) -> None:
        await fail.wait()
        raise LoopFailed

    monkeypatch.setattr("prana.app.keep_rotating", keep_rotating)
    registry = await serve("127.0.0.1", 0)
    settings = Settings(
        apps=(App(name="orders", port=registry.port, hostname="h", ip="127.0.0.1", instance_id="o1"),),
        eureka=Eureka(urls=(registry.url,)),
        proxy=Proxy(listen=(HERE,)),
        admin=Admin(listen=HERE),
    )
    sidecar = Sidecar(settings)
    await sidecar.start()
    with capture_logs() as logs:
        running = asyncio.create_task(sidecar.run(Stop(0.0)))
        async with asyncio.timeout(PATIENCE_S):
            while not sidecar._views.eureka().registered:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
            fail.set()
            with pytest.raises(ExceptionGroup) as caught:
                await running
    assert caught.group_contains(LoopFailed)
    assert [line["instance"] for line in logs if line["event"] == "deregistered"] == ["o1"]
    await registry.close()


def test_a_failed_sidecar_ends_with_1_and_a_traceback_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise ExceptionGroup("of a task group", [LoopFailed()])

    monkeypatch.setattr(Sidecar, "_leave", fail)
    monkeypatch.setattr("asyncio.Event.wait", fail)
    settings = Settings(eureka=Eureka(urls=()), proxy=Proxy(listen=(HERE,)), admin=Admin(listen=HERE))
    with capture_logs() as logs:
        assert run(settings) == 1
    (line,) = [line for line in logs if line["log_level"] == "error"]
    assert line["exc_info"]


async def test_the_own_address_is_asked_for_until_there_is_a_route(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([None, None, "10.0.0.7"])

    async def route(urls: Sequence[str]) -> str | None:
        return next(answers)

    async def sleep(_: float) -> None:
        """Returns at once."""

    monkeypatch.setattr("prana.identity.route_address", route)
    assert await own_address(lambda: ("http://eureka/",), sleep) == "10.0.0.7"


async def test_a_node_that_is_gone_is_forgotten_by_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    sidecar = Sidecar(Settings(admin=Admin(listen=HERE)))
    forgotten: list[object] = []
    monkeypatch.setattr(sidecar._pool, "forget", forgotten.append)
    instance = Instance(app="ORDERS", id="o1", host="h", ip="10.0.0.7", port=80, vips=("orders",))
    secure = Instance(app="ORDERS", id="o2", host="h", ip="10.0.0.7", port=0, secure_port=443)
    listed = EMPTY.changed([instance, secure], [], anyone)
    assert sidecar._discovery is not None
    sidecar._discovery.restore(listed, 0.0)
    assert sidecar._services.peek("orders") is not None
    assert forgotten == []
    sidecar._discovery.restore(EMPTY, 0.0)
    tls = sidecar._tls[sidecar.settings.defaults.tls]
    assert forgotten == [("h", "10.0.0.7", 80, None), ("h", "10.0.0.7", 443, tls)]
