"""A sidecar under attack, as its operator and a healthy caller see it: from outside."""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.e2e.processes import Process, Sidecar

MIB = 1024 * 1024
BASE_BYTES = 48 * MIB  # what a sidecar may grow by whatever happens: allocator arenas, caches, counters
PER_CONNECTION_BYTES = 256 * 1024
SETTLE_S = 10.0  # in which every count must be back
SAMPLE_S = 0.1


@dataclass(frozen=True)
class Figures:
    """What one attack did. Its table has a column for each field."""

    attack: str
    seconds: float  # quiet times and all rounds
    connections: int  # at most, by the sidecar's count
    quiet_p99_ms: float
    attacked_p99_ms: float
    direct_p99_ms: float  # without the sidecar at the same time: what the machine does to everybody
    failed_probes: int
    grown_mib: float  # resident memory, at the worst
    allowed_mib: float
    fds: int  # at the worst
    fds_after: int  # above those before
    settled_s: float  # until every gauge was zero again

    def columns(self) -> list[str]:
        values = [getattr(self, field.name) for field in fields(self)]
        return [f"{value:.1f}" if isinstance(value, float) else str(value) for value in values]


class Probe(Process):
    """Asks for small answers all the time."""

    def __init__(self, output: Path, port: int, target: str) -> None:
        program = Path(__file__).with_name("probe.py")
        super().__init__([sys.executable, str(program), str(port), target], output)

    def latencies_ms(self, since_s: float, until_s: float) -> list[float]:
        """Of the answers due in this time."""
        return [latency_s * 1000 for due_s, latency_s, _ in self._answers() if since_s <= due_s < until_s]

    def failures(self, since_s: float, until_s: float) -> int:
        """Answers due in this time that did not come, or not well."""
        return sum(status != 200 for due_s, _, status in self._answers() if since_s <= due_s < until_s)

    def _answers(self) -> Iterator[tuple[float, float, int]]:
        for line in self.output.rpartition("\n")[0].splitlines():
            due, latency, status = line.split()
            yield float(due), float(latency), int(status)


def p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98] if len(values) > 1 else 0.0


class Site:
    """A sidecar, a probe of it, and what its process uses."""

    def __init__(self, sidecar: Sidecar, probe: Probe, direct: Probe, quiet_s: float) -> None:
        self.sidecar = sidecar
        self.port = sidecar.port
        self._probe = probe
        self._direct = direct
        self._quiet_s = quiet_s
        self._proc = Path(f"/proc/{sidecar.pid}")

    def rss_bytes(self) -> int:
        lines = (self._proc / "status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))

    def fds(self) -> int:
        return sum(1 for _ in (self._proc / "fd").iterdir())

    def gauges(self) -> dict[str, int]:
        """What must be zero when nobody calls; the probe's own connection is one."""
        metrics: Any = self.sidecar.metrics
        pending = sum(node["pending"] for each in metrics["ribbon"].values() for node in each["nodes"])
        proxy = metrics["proxy"]
        # The probe is a caller too, and now and then in flight.
        return {
            "connections": max(0, proxy["connections"] - 1),
            "in_flight": max(0, proxy["in_flight"] - 1),
            "pending": max(0, pending - 1),
        }

    async def attack(self, name: str, work: Callable[[], Awaitable[object]], rounds: int = 1) -> Figures:
        """Let it happen so many times, each between two quiet times, and wait until its traces are gone.

        Latencies are medians over the rounds, for others use this machine too.
        """
        rss, fds = self.rss_bytes(), self.fds()
        samples = Samples()
        quiet_ms, attacked_ms, direct_ms, settled_s = [], [], [], []
        failed = 0
        started_s = time.monotonic()
        for _ in range(rounds):
            marks = [time.monotonic()]
            await asyncio.sleep(self._quiet_s)
            marks.append(time.monotonic())
            with samples.taken(self):
                await work()
            marks.append(time.monotonic())
            settled_s.append(await self._settle())
            marks.append(time.monotonic())
            await asyncio.sleep(self._quiet_s)
            marks.append(time.monotonic())
            before, attacked, _, after = (self._probe.latencies_ms(*span) for span in pairwise(marks))
            quiet_ms.append(max(p99(before), p99(after)))
            attacked_ms.append(p99(attacked))
            direct_ms.append(p99(self._direct.latencies_ms(marks[1], marks[2])))
            failed += self._probe.failures(marks[0], marks[-1])
        return Figures(
            attack=name,
            seconds=time.monotonic() - started_s,
            connections=samples.connections,
            quiet_p99_ms=statistics.median(quiet_ms),
            attacked_p99_ms=statistics.median(attacked_ms),
            direct_p99_ms=statistics.median(direct_ms),
            failed_probes=failed,
            grown_mib=max(0, samples.rss_bytes - rss) / MIB,
            allowed_mib=(BASE_BYTES + samples.connections * PER_CONNECTION_BYTES) / MIB,
            fds=samples.fds,
            fds_after=self.fds() - fds,
            settled_s=max(settled_s),
        )

    async def _settle(self) -> float:
        started_s = time.monotonic()
        while time.monotonic() - started_s < 2 * SETTLE_S:
            if not any((await asyncio.to_thread(self.gauges)).values()):
                break
            await asyncio.sleep(0.1)
        return time.monotonic() - started_s


class Samples:
    """The worst that was seen."""

    def __init__(self) -> None:
        self.rss_bytes = 0
        self.fds = 0
        self.connections = 0

    @contextmanager
    def taken(self, site: Site) -> Iterator[None]:
        task = asyncio.get_running_loop().create_task(self._keep_taking(site))
        try:
            yield
        finally:
            task.cancel()

    async def _keep_taking(self, site: Site) -> None:
        while True:
            self.rss_bytes = max(self.rss_bytes, site.rss_bytes())
            self.fds = max(self.fds, site.fds())
            gauges = await asyncio.to_thread(site.gauges)
            self.connections = max(self.connections, gauges["connections"])
            await asyncio.sleep(SAMPLE_S)
