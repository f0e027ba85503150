"""Asks a command whether the app is healthy."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence

from registry.healthstate import Verdict

_MAX_OUTPUT_BYTES = 4096
_PIPE_BYTES = 65536  # what a pipe holds on Linux and macOS, so that one read has all of it
_MAX_REASON_CHARS = 160
_REAP_S = 1.0  # a killed process ends at once, unless it is stuck in the kernel


class CommandProbe:
    """Healthy when the command exits with 0. The first line that it prints is part of the reason.

    It is run without a shell, with our environment and directory, in a process group of its own. Whatever is left of
    the group at the end is killed, and when the check is cancelled the whole of it.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    async def check(self) -> Verdict:
        try:
            return await self._run()
        except OSError as error:
            return Verdict(False, f"cannot run {self._command[0]}: {error.strerror or error}")

    async def _run(self) -> Verdict:
        with _Output() as output:
            starting = asyncio.ensure_future(
                asyncio.get_running_loop().subprocess_exec(
                    _Process,
                    *self._command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output.write_fd,
                    stderr=output.write_fd,
                    start_new_session=True,
                )
            )
            try:
                # Cut off in here, the loop would kill the command, but not what that has started already.
                _, process = await asyncio.shield(starting)
                await process.exited.wait()
            finally:
                transport, process = await starting
                await _end(transport, process)
            return _verdict(transport.get_returncode(), output.first_line())


class _Process(asyncio.SubprocessProtocol):
    def __init__(self) -> None:
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        self.exited.set()


class _Output:
    """The beginning of what a process prints. The rest is read too, for a full pipe would stop it.

    A pipe of ours: those of uvloop are sockets, which a script cannot open as /dev/stderr.
    """

    def __init__(self) -> None:
        self._read_fd, self.write_fd = os.pipe()  # neither is inherited, but as the standard streams
        os.set_blocking(self._read_fd, False)
        self._kept = bytearray()
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> "_Output":
        self._loop.add_reader(self._read_fd, self._read)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.remove_reader(self._read_fd)
        os.close(self._read_fd)
        os.close(self.write_fd)

    def first_line(self) -> str:
        """The first line that is not empty, as far as it is printable; "" when there is none."""
        self._read()
        lines = (line.strip() for line in self._kept.decode(errors="replace").splitlines())
        first = next(filter(None, lines), "")
        return "".join(char if char.isprintable() else "?" for char in first[:_MAX_REASON_CHARS])

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._kept += os.read(self._read_fd, _PIPE_BYTES)[: _MAX_OUTPUT_BYTES - len(self._kept)]


async def _end(transport: asyncio.SubprocessTransport, process: _Process) -> None:
    """Kill what is left of the group, and see the process off, so that no zombie stays."""
    # A group keeps its number while a member lives. Once it is free, all other numbers are given away before it.
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: not permitted for a group of zombies
        os.killpg(transport.get_pid(), signal.SIGKILL)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REAP_S):
                await process.exited.wait()
    finally:
        transport.close()


def _verdict(code: int | None, line: str) -> Verdict:
    what = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    return Verdict(code == 0, f"{what}: {line}" if line else what)
