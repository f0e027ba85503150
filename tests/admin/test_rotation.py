import asyncio
from typing import Any

import pytest

from admin.metrics import ProxyMetrics
from admin.rotation import keep_rotating


class Sleeper:
    """Lets time pass on the manual clock instead of waiting; ends the loop after so many naps."""

    def __init__(self, clock: Any, naps: int) -> None:
        self._clock = clock
        self._naps = naps
        self.slept_s: list[float] = []
        self.turns = 0

    async def __call__(self, delay_s: float) -> None:
        if delay_s == 0:
            self.turns += 1
            return
        if len(self.slept_s) == self._naps:
            raise asyncio.CancelledError
        self.slept_s.append(delay_s)
        self._clock.now_s += delay_s


async def test_every_ten_seconds_all_commands_rotate_with_a_loop_turn_after_each(
    metrics: ProxyMetrics, clock: Any
) -> None:
    users = metrics.service("users").command("users")
    metrics.service("users").command("users:slow")
    users.answered(0.1)
    sleep = Sleeper(clock, naps=2)
    with pytest.raises(asyncio.CancelledError):
        await keep_rotating(metrics, clock, sleep)
    assert sleep.slept_s == [10.0, 10.0]
    assert sleep.turns == 2 * 2
    assert users.total_latency.summary.count == metrics.latency.count == 1


async def test_time_spent_rotating_does_not_shift_the_next_rotation(metrics: ProxyMetrics, clock: Any) -> None:
    metrics.service("users").command("users")
    sleep = Sleeper(clock, naps=2)

    async def slow_turns(delay_s: float) -> None:
        clock.now_s += 0.5 if delay_s == 0 else 0
        await sleep(delay_s)

    with pytest.raises(asyncio.CancelledError):
        await keep_rotating(metrics, clock, slow_turns)
    assert sleep.slept_s == [10.0, 9.5]


async def test_after_a_suspended_hour_it_goes_on_without_catching_up(metrics: ProxyMetrics, clock: Any) -> None:
    metrics.service("users").command("users")
    sleep = Sleeper(clock, naps=3)

    async def suspended(delay_s: float) -> None:
        await sleep(delay_s)
        if len(sleep.slept_s) == 1 and delay_s:
            clock.now_s += 3600.0

    with pytest.raises(asyncio.CancelledError):
        await keep_rotating(metrics, clock, suspended)
    assert sleep.slept_s == [10.0, 10.0, 10.0]
    assert sleep.turns == 3
