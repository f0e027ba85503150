import os
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.bench import usage
from tests.bench.process import Server

# proc(5): pid, comm, state, ppid, pgrp, session, ..., then utime, stime, cutime and cstime as fields 14 to 17.
STAT = "4711 (a ) (b) S 1 4700 4699 0 -1 4194304 2849 6552 0 0 300 200 30 20 20 0 1 0 1181114 16961536 3348"


def test_a_process_name_may_hold_blanks_and_parentheses() -> None:
    assert usage.parse_stat(STAT).session == 4699


def test_cpu_time_is_user_and_system_with_awaited_children() -> None:
    assert usage.parse_stat(STAT).cpu_s == pytest.approx(550 * usage.TICK_S)


def test_resident_bytes_are_those_of_rss_and_not_of_its_shares() -> None:
    assert usage.parse_resident("5629-7ffe ---p [rollup]\nRss:   1704 kB\nPss:   285 kB\n") == 1704 * 1024


def test_a_process_that_has_just_ended_holds_nothing() -> None:
    assert usage.parse_resident("") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_server_counts_and_ends_with_all_its_processes(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    command = ["sh", "-c", f"exec >{fifo}; sleep 60 & sleep 60 & echo started; wait"]
    with ExitStack() as opened:
        with Server(command, tmp_path / "log", {}) as server:
            output = opened.enter_context(fifo.open())
            assert output.readline() == "started\n"
            assert len(usage.members(server.pid)) == 3
            assert server.resident_bytes > 0
        assert output.read() == ""  # the end of the file comes when the last of them is gone
