"""The background loop that turns recorded latencies into percentiles."""

import asyncio
from collections.abc import Awaitable, Callable

from admin.latency import ROTATION_S
from admin.metrics import ProxyMetrics


async def keep_rotating(
    metrics: ProxyMetrics,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Rotate every command's latencies each ROTATION_S, until cancelled.

    One command takes about half a millisecond, so the loop gets a turn after each: hundreds of services must not
    show as a stall in the proxy's p99.
    """
    due_s = clock()
    while True:
        due_s += ROTATION_S
        if due_s <= clock():  # the machine was suspended: go on from here, there is nothing to catch up with
            due_s = clock() + ROTATION_S
        await sleep(due_s - clock())
        for _ in metrics.rotate():
            await sleep(0)
