"""The proxy's clockwork."""

import asyncio

import pytest

from admin.metrics import ProxyMetrics
from prana.request import Request, Response
from prana.wire.pool import Pool
from prana.wire.server import ProxyServer

from .conftest import Clock


async def never(_: Request) -> Response:
    raise AssertionError


async def test_the_lag_of_the_loop_is_how_late_its_timer_ran(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = asyncio.Queue[asyncio.Future[None]]()

    async def sleep(_: float) -> None:
        future = asyncio.get_running_loop().create_future()
        waiting.put_nowait(future)
        await future

    metrics = ProxyMetrics(clock)
    server = ProxyServer(never, Pool(clock), clock, metrics, max_connections=1, min_upload_rate=0)
    monkeypatch.setattr("prana.wire.server.asyncio.sleep", sleep)
    running = asyncio.create_task(server.run())
    timer = await waiting.get()
    for slept_s, lag_s in ((1.25, 0.25), (1.0, 0.0), (0.9, 0.0)):
        clock.now_s += slept_s
        timer.set_result(None)
        timer = await waiting.get()
        assert metrics.loop_lag_s == lag_s
    running.cancel()
