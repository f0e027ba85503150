"""Real commands on both event loops: on asyncio's here, on uvloop's as in production."""

import asyncio
import os
import signal
import socket
import sys
import time
import tracemalloc
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop

from registry.commandprobe import CommandProbe
from registry.healthstate import Verdict

Result = TypeVar("Result")
Run = Callable[[Coroutine[Any, Any, Result]], Result]

PATIENCE_S = 20.0


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run[Any]:
    def run_it(wanted: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(wanted)

    return run_it


def shell(script: str) -> CommandProbe:
    return CommandProbe(["sh", "-c", script])


async def cut_off(probe: CommandProbe, after: Path) -> float:
    """Start a check, cancel it once it has written to `after`, and give the seconds that took."""
    check = asyncio.create_task(probe.check())
    while not (after.exists() and after.read_text()):  # noqa: ASYNC110, ASYNC240 - written by another process
        await asyncio.sleep(0.01)
    cancelled_s = time.monotonic()
    check.cancel()
    with pytest.raises(asyncio.CancelledError):
        await check
    return time.monotonic() - cancelled_s


def gone(pid: int) -> bool:
    """Whether a process is dead; one that nobody has waited for yet counts, since it need not be our child."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def until_gone(pid: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not gone(pid):
        assert time.monotonic() < deadline_s, f"{pid} still runs"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("script", "verdict"),
    [
        ("exit 0", Verdict(True, "exit code 0")),
        ("echo fine", Verdict(True, "exit code 0: fine")),
        ("echo broken; exit 3", Verdict(False, "exit code 3: broken")),
        ("echo to stderr >&2; exit 1", Verdict(False, "exit code 1: to stderr")),
        ("echo by name >/dev/stderr; exit 1", Verdict(False, "exit code 1: by name")),
        ("echo; echo '  second  '; echo third; exit 1", Verdict(False, "exit code 1: second")),
        ("kill -9 $$", Verdict(False, "killed by signal 9")),
        (r"printf 'a\033[31mb\tc\000d\377'; exit 1", Verdict(False, "exit code 1: a?[31mb?c?d�")),
        ("printf '%0500d' 0; exit 1", Verdict(False, f"exit code 1: {'0' * 160}")),
        ("test -t 0 || read x || echo no input", Verdict(True, "exit code 0: no input")),
    ],
)
def test_the_exit_code_decides_and_the_first_line_is_the_reason(
    script: str, verdict: Verdict, run: Run[Verdict]
) -> None:
    assert run(shell(script).check()) == verdict


def test_arguments_reach_the_program_as_they_are(run: Run[Verdict]) -> None:
    program = "import sys; print(sys.argv[1:])"
    verdict = run(CommandProbe([sys.executable, "-c", program, "$HOME *", "", "a;b"]).check())
    assert verdict == Verdict(True, "exit code 0: ['$HOME *', '', 'a;b']")


def test_what_cannot_be_run_is_a_failure_that_says_why(tmp_path: Path, run: Run[Verdict]) -> None:
    missing = tmp_path / "check.sh"
    assert run(CommandProbe([str(missing)]).check()) == Verdict(
        False, f"cannot run {missing}: No such file or directory"
    )
    missing.write_text("#!/bin/sh\n")
    assert run(CommandProbe([str(missing)]).check()) == Verdict(False, f"cannot run {missing}: Permission denied")


def test_a_command_that_prints_a_lot_is_neither_held_up_nor_kept_in_memory(run: Run[Verdict]) -> None:
    tracemalloc.start()
    try:
        verdict = run(shell("echo first; head -c 10000000 /dev/zero; exit 2").check())
        assert tracemalloc.get_traced_memory()[1] < 2_000_000, "most of it is thrown away"
    finally:
        tracemalloc.stop()
    assert verdict == Verdict(False, "exit code 2: first")


def test_a_command_may_close_its_output_and_go_on(run: Run[Verdict]) -> None:
    assert run(shell("exec >&- 2>&-; sleep 0.05; exit 4").check()) == Verdict(False, "exit code 4")


def test_a_cancelled_check_kills_the_command_and_its_children(tmp_path: Path, run: Run[float]) -> None:
    pids = tmp_path / "pids"
    # Neither takes a hint: only SIGKILL ends them.
    script = f"trap '' TERM HUP INT; sleep 1000 & echo $$ $! > {pids}.new; mv {pids}.new {pids}; sleep 1000; sleep 1000"
    assert run(cut_off(shell(script), pids)) < PATIENCE_S
    leader, child = map(int, pids.read_text().split())
    assert not Path(f"/proc/{leader}").exists(), "it is no zombie either"
    until_gone(leader)
    until_gone(child)


def test_a_check_cancelled_while_its_command_starts_kills_the_children_too(tmp_path: Path, run: Run[None]) -> None:
    pid = tmp_path / "pid"

    async def cancelled_before_the_loop_goes_on() -> None:
        check = asyncio.create_task(shell(f"sleep 1000 & echo $! > {pid}.new; mv {pid}.new {pid}; sleep 1000").check())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        while not pid.exists():
            time.sleep(0.01)  # noqa: ASYNC251 - the loop is to stand still
        check.cancel()
        with pytest.raises(asyncio.CancelledError):
            await check

    run(cancelled_before_the_loop_goes_on())
    until_gone(int(pid.read_text()))


def test_what_a_command_leaves_in_the_background_is_killed_and_does_not_hold_up_the_verdict(
    tmp_path: Path, run: Run[Verdict]
) -> None:
    pid = tmp_path / "pid"
    assert run(shell(f"sleep 1000 & echo $! > {pid}; echo done").check()) == Verdict(True, "exit code 0: done")
    until_gone(int(pid.read_text()))


def test_a_command_is_in_a_session_of_its_own_and_gets_no_signal_of_ours(run: Run[Verdict]) -> None:
    program = "import os; print(os.getsid(0) == os.getpgrp() == os.getpid() != os.getppid())"
    assert run(CommandProbe([sys.executable, "-c", program]).check()).reason == "exit code 0: True"


def test_a_command_does_not_ignore_the_signals_that_we_do(run: Run[Verdict]) -> None:
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
    # `yes` ends by SIGPIPE when `head` has seen enough, as it would in a shell of the user.
    assert run(shell("(yes; echo $? >&2) | head -n 0").check()).reason == f"exit code 0: {128 + signal.SIGPIPE}"


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to list open files")


@needs_proc
def test_a_command_inherits_no_socket(run: Run[Verdict]) -> None:
    program = """
import os, sys
print(sum(os.path.exists(f"/proc/self/fd/{fd}") and os.stat(f"/proc/self/fd/{fd}").st_ino in map(int, sys.argv[1:])
    for fd in os.listdir("/proc/self/fd")))
"""

    async def check() -> Verdict:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            listening = server.sockets[0]
            with socket.create_connection(listening.getsockname()) as calling:
                inodes = [str(os.fstat(each.fileno()).st_ino) for each in (listening, calling)]
                return await CommandProbe([sys.executable, "-c", program, *inodes]).check()

    assert run(check()).reason == "exit code 0: 0"


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def children() -> set[int]:
    """Our child processes, zombies included."""
    return {int(pid) for each in Path("/proc/self/task").glob("*/children") for pid in each.read_text().split()}


@needs_proc
def test_no_file_and_no_process_is_left_behind(run: Run[int]) -> None:
    async def leaked() -> int:
        await shell("exit 0").check()  # the loop opens files of its own for the first one
        before = open_files()
        for script in ("exit 0", "exit 1", "sleep 1000 &"):
            await shell(script).check()
        await CommandProbe(["/no/such/program"]).check()
        return open_files() - before

    before = children()  # servers that other tests share
    assert run(leaked()) == 0
    assert children() <= before


def test_no_file_left_to_open_is_a_failure_and_not_our_end(run: Run[Verdict], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> tuple[int, int]:
        raise OSError(24, "Too many open files")

    async def check() -> Verdict:
        monkeypatch.setattr("registry.commandprobe.os.pipe", refuse)
        return await shell("exit 0").check()

    try:
        assert run(check()) == Verdict(False, "cannot run sh: Too many open files")
    finally:
        monkeypatch.undo()
