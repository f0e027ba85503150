import asyncio

import pytest
from structlog.testing import capture_logs

from registry.healthcheck import HealthCheck
from registry.healthstate import HealthState, Verdict
from registry.hysteresis import FlapDamping, RiseFall


def state_of(fall: int = 2) -> HealthState:
    return HealthState(RiseFall(1, fall), FlapDamping(0, 1.0, lambda: 0.0), lambda: 0.0)


class Script:
    """A probe with prepared results, and the sleep between them; ends the check when it has no more."""

    def __init__(self, results: str) -> None:
        self._results = list(results)
        self.sleeps: list[float] = []

    async def check(self) -> Verdict:
        healthy = self._results.pop(0) == "+"
        return Verdict(healthy, "fine" if healthy else "broken")

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        if not self._results:
            raise asyncio.CancelledError


async def follow(results: str, interval_s: float) -> tuple[list[bool | None], list[float]]:
    script, state, changes = Script(results), state_of(), list[bool | None]()
    check = HealthCheck(
        "orders",
        script,
        state,
        interval_s=interval_s,
        timeout_s=10,
        on_change=lambda: changes.append(state.up),
        sleep=script.sleep,
    )
    with pytest.raises(asyncio.CancelledError):
        await check.run()
    return changes, script.sleeps


async def test_it_checks_at_once_and_every_second_until_the_app_is_first_up() -> None:
    changes, sleeps = await follow("---+--+", 10)
    assert sleeps == [1, 1, 1, 10, 10, 10, 10]
    assert changes == [True, False, True]


async def test_a_shorter_interval_is_kept_from_the_start() -> None:
    _, sleeps = await follow("-+", 0.5)
    assert sleeps == [0.5, 0.5]


async def test_changes_are_logged_once() -> None:
    with capture_logs() as logs:
        await follow("++----++", 10)
    assert [(line["event"], line["app"], line["reason"]) for line in logs] == [
        ("app up", "orders", "fine"),
        ("app down", "orders", "broken"),
        ("app up", "orders", "fine"),
    ]


class Slow:
    """A probe that never ends by itself, and what it saw of its own fate."""

    def __init__(self) -> None:
        self.running = 0
        self.most_running = 0
        self.cancelled = 0

    async def check(self) -> Verdict:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        return Verdict(True, "in vain")


async def test_a_probe_that_takes_too_long_is_a_failure_and_over_before_the_next() -> None:
    probe, state, sleeps = Slow(), state_of(), list[float]()

    async def sleep(seconds: float) -> None:
        assert probe.running == 0
        sleeps.append(seconds)
        if len(sleeps) == 3:
            raise asyncio.CancelledError

    check = HealthCheck("a", probe, state, interval_s=0.5, timeout_s=0.01, on_change=lambda: None, sleep=sleep)
    with pytest.raises(asyncio.CancelledError):
        await check.run()
    assert (probe.cancelled, probe.most_running) == (3, 1)
    assert (state.up, state.last_failure) == (None, "timed out after 0.01 s")


async def test_the_end_of_the_check_ends_its_probe() -> None:
    probe = Slow()
    check = HealthCheck("a", probe, state_of(), interval_s=1, timeout_s=60, on_change=lambda: None)
    task = asyncio.create_task(check.run())
    await asyncio.sleep(0)
    assert probe.running == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (probe.running, probe.cancelled) == (0, 1)
