"""Callers and instances that mean no good: memory stays bounded, every trace of them goes, others notice little.

The short form of all attacks is part of `make test`; the full ones are `make attack`, which prints their figures.
`ATTACK_CONNECTIONS`, `ATTACK_COUNT` and `ATTACK_MIB` change their size.
"""

import asyncio
import os
import shutil
from collections.abc import Callable
from functools import partial

import pytest

from prana.wire.limits import HEAD_TIMEOUT_S
from tests.attack.attacks import LATE_S, SLOW, SLOWEST, SUDDEN, Size
from tests.attack.site import SETTLE_S, Figures, Site

StartSite = Callable[[str, float], Site]
Record = Callable[[Figures], None]

SHORT = Size(connections=30, rate_per_s=400, count=300, mib=4, idle_timeout_s=3.0, seconds=1.0)
FULL = Size(
    connections=int(os.environ.get("ATTACK_CONNECTIONS", "1000")),
    rate_per_s=200,
    count=int(os.environ.get("ATTACK_COUNT", "10000")),
    mib=int(os.environ.get("ATTACK_MIB", "100")),
    idle_timeout_s=60.0,
    seconds=10.0,
)
ROUNDS = 3
NOTICED = 2.0  # times the quiet p99 of a healthy caller, and
COSTLY = ("pipelining, no reading",)
SHARE_MS = 1000.0
GRAIN_MS = 10.0  # a time slice or two, which no median of a few rounds can tell from nothing


def judge(figures: Figures) -> None:
    """What holds under any attack."""
    assert figures.grown_mib < figures.allowed_mib, figures
    assert figures.settled_s < SETTLE_S, figures
    assert figures.fds_after < 20, figures
    assert figures.failed_probes == 0, figures


def judge_latency(figures: Figures) -> None:
    """Others wait for their share of the processor where an attack uses it, yet never long; else they notice nothing:
    under twice its quiet value, beyond what the machine does to a caller without a sidecar meanwhile."""
    if figures.attack in COSTLY:
        assert figures.attacked_p99_ms < SHARE_MS, figures
        return
    noticed_ms = figures.attacked_p99_ms - figures.direct_p99_ms
    assert noticed_ms < NOTICED * figures.quiet_p99_ms + GRAIN_MS, figures


async def test_every_attack_in_short(start_site: StartSite, record: Record) -> None:
    site = start_site(f"{SHORT.idle_timeout_s:.0f}s", 0.2)

    async def one_after_another() -> None:
        for attack in SUDDEN.values():
            await attack(site.port, SHORT)

    async def all_of_them() -> None:
        await asyncio.gather(one_after_another(), *(attack(site.port, SHORT) for attack in SLOW.values()))

    figures = await site.attack("all in short", all_of_them)
    record(figures)
    judge(figures)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [*SLOW, *SLOWEST])
async def test_a_slow_crowd(start_site: StartSite, record: Record, name: str) -> None:
    site = start_site(f"{FULL.idle_timeout_s:.0f}s", 5.0)
    figures = await site.attack(name, partial({**SLOW, **SLOWEST}[name], site.port, FULL))
    record(figures)
    judge(figures)
    judge_latency(figures)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SUDDEN)
async def test_a_sudden_attack(start_site: StartSite, record: Record, name: str) -> None:
    site = start_site("20s", 2.0)
    size = Size(FULL.connections, FULL.rate_per_s, FULL.count, FULL.mib, 20.0, FULL.seconds)
    figures = await site.attack(name, partial(SUDDEN[name], site.port, size), ROUNDS)
    record(figures)
    judge(figures)
    judge_latency(figures)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("slowhttptest") is None, reason="slowhttptest is not installed")
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("slowhttptest -H", ("-H", "-i", "5", "-u", "http://127.0.0.1:{port}/hostile/")),
        ("slowhttptest -B", ("-B", "-i", "5", "-s", "8192", "-u", "http://127.0.0.1:{port}/hostile/")),
        ("slowhttptest -R", ("-R", "-u", "http://127.0.0.1:{port}/hostile/")),
        ("slowhttptest -X", ("-X", "-w", "256", "-y", "512", "-n", "5", "-u", "http://127.0.0.1:{port}/hostile/gib")),
    ],
)
async def test_slowhttptest(start_site: StartSite, record: Record, name: str, arguments: tuple[str, ...]) -> None:
    """The well-known tool: -H heads, -B bodies, -R ranges, -X reads; a minute of each."""
    site = start_site("30s", 5.0)
    common = ("-c", str(FULL.connections), "-r", "200", "-l", "60", "-p", "3")

    async def run() -> None:
        tool = await asyncio.create_subprocess_exec(
            "slowhttptest",
            *(argument.format(port=site.port) for argument in (*common, *arguments)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
        )
        await asyncio.wait_for(tool.wait(), 60 + HEAD_TIMEOUT_S + LATE_S)

    figures = await site.attack(name, run)
    record(figures)
    judge(figures)
    judge_latency(figures)
