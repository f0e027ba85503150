"""The parts of an end-to-end test, each a process of its own: the sidecar, apps, the embedded registry."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeVar

PATIENCE_S = 30.0  # far more than anything here takes, so that a busy machine fails no test
PRANA = Path(sys.executable).with_name("prana")
APP = Path(__file__).parent / "apps" / "app.py"

Seen = TypeVar("Seen")


def until(condition: Callable[[], Seen | None], what: str, within_s: float = PATIENCE_S) -> Seen:
    """Wait until `condition` gives something true, and give that."""
    deadline_s = time.monotonic() + within_s
    while not (seen := condition()):
        assert time.monotonic() < deadline_s, f"waited {within_s} s in vain for {what}"
        time.sleep(0.01)
    return seen


def free_port() -> int:
    """Below those that the kernel gives to outgoing connections, or one of these could have it before it is bound."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", Random().randrange(20_000, 32_000)))
            port: int = probe.getsockname()[1]
            return port


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(
    port: int,
    path: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = PATIENCE_S,
) -> Answer:
    """One request on a connection of its own. http.client never repeats one by itself."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


class Process:
    """A child process that is surely gone after `end`."""

    def __init__(self, command: list[str], output: Path, env: Mapping[str, str] | None = None) -> None:
        self._output = output
        with output.open("ab") as file:
            self._popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, env=env
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def output(self) -> str:
        """Everything it has printed so far."""
        return self._output.read_text(errors="replace")

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def until_listening(self, port: int) -> None:
        def listening() -> bool:
            assert self.running, self.output
            return accepts(port)

        until(listening, f"port {port} to be opened")

    def exit_code(self, within_s: float = PATIENCE_S) -> int:
        """Waits for its end; a negative number is the signal that ended it."""
        return self._popen.wait(within_s)

    def end(self) -> None:
        """Kill it if it still runs, also when it is frozen."""
        if self.running:
            self._popen.kill()
            self._popen.wait()


class App:
    """`apps/app.py` on a port that it keeps over restarts."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.port = free_port()
        self.ledger = directory / f"{name}-{self.port}.ledger"
        self._output = directory / f"{name}-{self.port}.log"
        self._process: Process | None = None

    def start(self) -> None:
        command = [sys.executable, str(APP), str(self.port), self.name, str(self.ledger)]
        self._process = Process(command, self._output)
        self._process.until_listening(self.port)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "not started"
        self._process.signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.end()

    def set_health(self, health: int | str) -> None:
        """A status, or "hang"."""
        assert call(self.port, f"/control?health={health}", "POST").status == 200

    @property
    def seen(self) -> int:
        """Requests that reached it since it started."""
        count: int = call(self.port, "/control").json["seen"]
        return count

    @property
    def ids(self) -> list[str]:
        """The X-Id of every POST it ever took."""
        return self.ledger.read_text().splitlines() if self.ledger.exists() else []


class Sidecar(Process):
    """`prana run` with the given settings, on free ports unless they say otherwise."""

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, Any],
        *flags: str,
        prefix: Sequence[str] = (),
        listens: bool = True,
    ) -> None:
        """`prefix`: a command that in the end becomes the one behind it. With `listens` False nothing is waited for."""
        self.file = directory / "prana.toml"
        usual: dict[str, dict[str, Any]] = {
            "eureka": {"urls": []},
            "proxy": {"listen": ["127.0.0.1:0"]},
            "admin": {"listen": "127.0.0.1:0"},
            "shutdown": {"drain_delay": "0s", "grace": "5s"},
            "log": {"format": "json"},
        }
        merged = {**usual, **settings}
        merged.update((key, {**usual[key], **settings[key]}) for key in usual.keys() & settings.keys())
        self.file.write_text("".join(f"{line}\n" for line in _toml((), merged)))
        command = [*prefix, str(PRANA), "run", "-c", str(self.file), *flags]
        super().__init__(command, directory / "sidecar.log", _environment())
        if not listens:
            return
        listening = until(self._listening, "the sidecar to listen")
        self.port = int(next(each for each in listening["proxy"] if not each.startswith("unix:")).rpartition(":")[2])
        self.admin_port = int(listening["admin"].rpartition(":")[2])

    def _listening(self) -> dict[str, Any] | None:
        assert self.running, self.output
        return next(iter(self.events("listening")), None)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines with this event."""
        whole, _, _ = self.output.rpartition("\n")
        lines = (json.loads(line) for line in whole.splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == name]

    def admin(self, path: str, accept: str = "application/json") -> Answer:
        return call(self.admin_port, path, headers={"Accept": accept})

    @property
    def ready(self) -> bool:
        return self.admin("/readyz").status == 200

    @property
    def metrics(self) -> Any:
        return self.admin("/metrics").json

    def service(self, name: str) -> Any:
        return self.admin(f"/services/{name}").json

    def prana(self, *arguments: str) -> "Ran":
        """A command asked of this sidecar."""
        return prana(*arguments, "-c", str(self.file), PRANA_ADMIN_URL=f"http://127.0.0.1:{self.admin_port}")


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


def prana(*arguments: str, **environment: str) -> Ran:
    """One command, to its end."""
    done = subprocess.run(
        [str(PRANA), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        cwd="/",  # where no prana.toml is
        env={**_environment(), **environment},
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def _environment() -> dict[str, str]:
    """Ours, without settings meant for another sidecar."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PRANA_")}


def _toml(path: tuple[str, ...], value: object) -> Iterator[str]:
    """Dotted keys, for they may stand in any order."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _toml((*path, key), inner)
    else:
        yield f"{'.'.join(map(json.dumps, path))} = {_inline(value)}"


def _inline(value: object) -> str:
    """JSON's scalars are TOML's too."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_inline(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value)
