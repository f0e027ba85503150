"""What a reader must know to judge the figures."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

from tests.bench.arguments import Options
from tests.bench.field import Entrant
from tests.bench.tools import version


def facts(options: Options, wrk: str, entrants: Sequence[Entrant]) -> dict[str, str]:
    """By name, in the order to show them."""
    peers = (f"{entrant.peer.name} {version(entrant.program, *entrant.peer.version_arguments)}" for entrant in entrants)
    busy = f"{os.getloadavg()[0]:.1f}"
    return {
        "machine": f"{os.cpu_count()} x {_cpu_model()}, {platform.system()} {platform.release()}; load before: {busy}",
        "peers": f"{', '.join(peers)}; Python {platform.python_version()}; one worker each, two nodes per service",
        "closed loop": f"wrk {version(wrk, '-v')}, 1 thread, {options.seconds} s after 1 s of warm-up",
        "constant rate": f"own generator, latency from the moment a request is due, {options.rate_seconds} s after 1 s",
        "rounds": f"{options.rounds}, alternating; load, proxy and backend (two nginx processes) share the machine",
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
