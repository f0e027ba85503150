"""Programs that serve while something is measured, and are gone afterwards."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.bench import usage

START_TIMEOUT_S = 30.0
_RETRY_S = 0.001
_SHOWN_CHARACTERS = 1000


class ServerError(Exception):
    """A program did not start, or ended by itself."""


class Server:
    """A program in a session of its own, so that CPU time, memory and end cover all its processes."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        self.started_s = time.perf_counter()
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,  # also keeps a Ctrl-C of ours from it
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Kills all its processes: nothing here is worth a polite end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    @property
    def pid(self) -> int:
        """Of the program, and so of its session."""
        return self._popen.pid

    @property
    def cpu_s(self) -> float:
        """User and system time so far."""
        return usage.cpu_s(self.pid)

    @property
    def resident_bytes(self) -> int:
        return usage.resident_bytes(self.pid)

    def until_answering(self, port: int, path: str) -> float:
        """Seconds from the start of the program to the end of its first 200; asks every millisecond."""
        deadline_s = self.started_s + START_TIMEOUT_S
        while not _answers(port, path):
            if (code := self._popen.poll()) is not None:
                raise ServerError(f"ended with {code}: {self._end_of_log}")
            if time.perf_counter() > deadline_s:
                raise ServerError(f"did not answer within {START_TIMEOUT_S} s: {self._end_of_log}")
            time.sleep(_RETRY_S)
        return time.perf_counter() - self.started_s

    @property
    def _end_of_log(self) -> str:
        return self._log.read_text(errors="replace")[-_SHOWN_CHARACTERS:].strip() or "it printed nothing"


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on at the moment."""
    with contextlib.ExitStack() as probes:
        sockets = [probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in sockets]


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1.0)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        return False
    else:
        return response.status == http.HTTPStatus.OK
    finally:
        connection.close()
