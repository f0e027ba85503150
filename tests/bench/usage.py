"""What a session of processes has used, read from Linux's /proc."""

import os
from dataclasses import dataclass
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Stat:
    session: int
    cpu_s: float  # user and system, ended and awaited children included


def parse_stat(text: str) -> Stat:
    """/proc/PID/stat, see proc(5). The name in parentheses may itself hold blanks and parentheses."""
    fields = text.rpartition(")")[2].split()  # from the third field, `state`, on
    utime, stime, cutime, cstime = map(int, fields[11:15])
    return Stat(int(fields[3]), (utime + stime + cutime + cstime) * TICK_S)


def parse_resident(smaps_rollup: str) -> int:
    """Resident bytes out of /proc/PID/smaps_rollup; 0 for a process that has just ended."""
    for line in smaps_rollup.splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    return 0


def members(session: int) -> dict[Path, Stat]:
    """The processes of a session, by their directories in /proc."""
    found = {}
    for directory in Path("/proc").iterdir():
        if directory.name.isdecimal() and (text := _read(directory / "stat")):
            stat = parse_stat(text)
            if stat.session == session:
                found[directory] = stat
    return found


def cpu_s(session: int) -> float:
    return sum(stat.cpu_s for stat in members(session).values())


def resident_bytes(session: int) -> int:
    """Summed over the processes; what several of them share counts for each."""
    return sum(parse_resident(_read(directory / "smaps_rollup")) for directory in members(session))


def _read(file: Path) -> str:
    """Empty when the process has ended meanwhile, or is another user's."""
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
