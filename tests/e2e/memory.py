"""What a process uses, read from /proc."""

import time
from pathlib import Path

from tests.e2e.processes import Sidecar


def memory_bytes(sidecar: Sidecar, name: str) -> int:
    """A figure of /proc/PID/status: VmRSS is now, VmHWM the highest ever."""
    lines = Path(f"/proc/{sidecar.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def is_still(sidecar: Sidecar) -> bool:
    """The process does no work worth mentioning for a while."""

    def used_ticks() -> int:
        after_name = Path(f"/proc/{sidecar.pid}/stat").read_text().rpartition(")")[2].split()
        return int(after_name[11]) + int(after_name[12])  # utime, stime

    before = used_ticks()
    time.sleep(0.2)
    return used_ticks() - before <= 1
