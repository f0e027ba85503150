"""The real command: what it prints works as printed, and it leaves nothing behind."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

_COMMAND = [sys.executable, "-c", "import sys; from prana.cli import main; sys.exit(main())", "demo"]
_INSTANCES = 6
_END_S = 2.0
_NOISE = re.compile(r"Traceback|Task was destroyed|Unclosed|never (awaited|retrieved)")

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def free_ports() -> tuple[int, int, int, int]:
    """Registry, sidecar, admin, and the first of as many as there are instances, one after the other."""
    rng = Random()
    while True:
        first = rng.randrange(20_000, 32_000)  # below the ports that systems hand out by themselves
        with ExitStack() as held:
            try:
                for port in range(first, first + 3 + _INSTANCES):
                    held.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first, first + 1, first + 2, first + 3


def flags(ports: tuple[int, int, int, int]) -> list[str]:
    names = ("--registry-port", "--port", "--admin-port", "--instances-port")
    return [word for name, port in zip(names, ports, strict=True) for word in (name, str(port))]


def accepting(ports: tuple[int, int, int, int]) -> list[int]:
    found = []
    for port in (*ports[:3], *range(ports[3], ports[3] + _INSTANCES)):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                found.append(port)
    return found


@dataclass
class Demo:
    process: subprocess.Popen[str]
    ports: tuple[int, int, int, int]
    log: Path
    guide: str = ""

    def read_guide(self) -> None:
        """Blocks until all of it is there."""
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if "openmetrics-text" in line:  # the last command
                break
        self.guide = "".join(lines)
        assert "openmetrics-text" in self.guide, self.log.read_text()

    @property
    def commands(self) -> list[str]:
        return [line.strip() for line in self.guide.splitlines() if line.startswith("    ") and "curl" in line]

    def command(self, part: str) -> str:
        return next(command for command in self.commands if part in command)

    def end(self, number: signal.Signals) -> tuple[int, float]:
        """Exit code, and the seconds it took."""
        started_s = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(timeout=20)
        return code, time.monotonic() - started_s


@contextmanager
def started(directory: Path) -> Iterator[Demo]:
    ports, log = free_ports(), directory / "demo.log"
    with (
        log.open("w") as stderr,
        subprocess.Popen([*_COMMAND, *flags(ports)], stdout=subprocess.PIPE, stderr=stderr, text=True) as process,
    ):
        try:
            yield Demo(process, ports, log)
        finally:
            process.kill()


@dataclass
class Ran:
    output: str
    statuses: list[int]
    """HTTP status of every call, in order."""

    @property
    def document(self) -> dict[str, object]:
        """The JSON in the output, behind headers if there are any."""
        document: dict[str, object] = json.loads(self.output[self.output.index("{") :])
        return document


@pytest.fixture
def shell(tmp_path: Path) -> "Shell":
    # curl reads its configuration from here: the printed commands stay as they are and still tell the status.
    (tmp_path / ".curlrc").write_text('write-out = "%{stderr}status %{http_code}\\n"\nmax-time = 10\n')
    return Shell(tmp_path)


class Shell:
    def __init__(self, home: Path) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # the commands use python3
        self._environ = {**os.environ, "HOME": str(home), "CURL_HOME": str(home), "PATH": path}

    def run(self, command: str) -> Ran:
        """As typed by a person; must end with 0."""
        done = subprocess.run(
            ["sh", "-c", command], check=False, env=self._environ, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        statuses = [int(status) for status in re.findall(r"^status (\d+)$", done.stderr, re.MULTILINE)]
        return Ran(done.stdout, statuses)


@needs_curl
def test_what_is_printed_works_as_printed(tmp_path: Path, shell: Shell) -> None:
    """One demo, walked through as a user would: first everything that changes nothing, then what breaks things."""
    with started(tmp_path) as demo:
        demo.read_guide()
        assert len(demo.commands) == demo.guide.count("curl ") >= 15
        breaking = [command for command in demo.commands if re.search(r"-X POST|seq|sleep", command)]
        for command in demo.commands:
            if command not in breaking:
                ran = shell.run(command)
                assert ran.output.strip(), command
                assert ran.statuses == [200], command

        explained = shell.run(demo.command("X-Prana-Explain")).output
        assert re.search(r"^X-Prana-Instance: rec-(healthy|slow|flaky)\r?$", explained, re.MULTILINE)
        assert re.search(r"^X-Prana-Attempts: \d\r?$", explained, re.MULTILINE)
        assert shell.run(demo.command("-d 'hello'")).document["body"] == "hello"

        the_breaker_opens_the_fallback_answers_and_a_trial_closes_it_again(demo, shell)
        an_operator_forces_a_circuit(demo, shell)
        calls_survive_a_killed_instance(demo, shell)
        the_app_goes_down_and_comes_back(demo, shell)

        code, took_s = demo.end(signal.SIGINT)
        assert (code, accepting(demo.ports)) == (0, [])
        assert took_s < _END_S
        log = demo.log.read_text()
        assert not _NOISE.search(log), log
        # user-1 was killed; all others said goodbye, the app through the sidecar.
        left = re.findall(r"deregistered .*instance=(\S+)", log)
        assert sorted(left) == ["demo-app", "rec-flaky", "rec-healthy", "rec-slow", "user-2"]


def the_breaker_opens_the_fallback_answers_and_a_trial_closes_it_again(demo: Demo, shell: Shell) -> None:
    assert shell.run(demo.command("recommendation-service/books")).document["recommendations"]
    assert shell.run(demo.command("outage?for=15s")).statuses == [200]
    watched = shell.run(demo.command("seq"))
    assert set(watched.statuses) == {200}
    answers = [reason or "instance" for reason in re.findall(r"reason=(\w+)|\"instance\"", watched.output)]
    closed_at = len(answers) - answers[::-1].index("circuit_open")
    assert answers[0] == "http_503", watched.output
    assert answers.count("circuit_open") >= 5, watched.output  # a trial that fails in between gets http_503 again
    assert set(answers[closed_at:]) == {"instance"}, watched.output
    assert '{"recommendations":[],"fallback":true}' in watched.output
    breakers = shell.run(demo.command('"(name|breaker)"')).output
    assert breakers.count('"breaker": "closed"') == 3
    log = demo.log.read_text()
    assert "breaker open service=recommendation-service before=closed" in log
    assert "breaker closed service=recommendation-service before=half-open" in log


def an_operator_forces_a_circuit(demo: Demo, shell: Shell) -> None:
    call = demo.command("user-service/ada")
    assert '"force":"open"' in shell.run(demo.command("/breaker/force-open")).output
    assert shell.run(call).statuses == [503]
    assert '"force":"none"' in shell.run(demo.command("/breaker/auto")).output
    assert shell.run(call).statuses == [200]


def calls_survive_a_killed_instance(demo: Demo, shell: Shell) -> None:
    assert shell.run(demo.command("/die")).document == {"instance": "user-1", "dies": True}
    for _ in range(5):
        ran = shell.run(demo.command("user-service/ada"))
        assert ran.statuses == [200]
        assert "X-Prana-Instance: user-2" in ran.output
    users = demo.command("services/user-service")
    eventually(lambda: "user-1" not in shell.run(users).output, 15)


def the_app_goes_down_and_comes_back(demo: Demo, shell: Shell) -> None:
    health, registered = demo.command("/health"), demo.command("/apps/DEMO-APP")
    shell.run(demo.command("outage?for=10s"))
    down = shell.run(health)
    assert (down.statuses, down.document["status"]) == ([503], "DOWN")
    assert '"status": "DOWN"' in shell.run(registered).output
    eventually(lambda: '"status": "UP"' in shell.run(registered).output, 15)
    assert shell.run(health).document["status"] == "UP"


def eventually(holds: Callable[[], bool], within_s: float) -> None:
    deadline_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline_s, "did not happen in time"
        time.sleep(0.2)


@pytest.mark.alone
def test_the_guide_appears_within_seconds_and_sigterm_ends_all(tmp_path: Path) -> None:
    begun_s = time.monotonic()
    with started(tmp_path) as demo:
        demo.read_guide()
        assert time.monotonic() - begun_s < 6  # as a rule two
        code, took_s = demo.end(signal.SIGTERM)
        assert (code, accepting(demo.ports)) == (0, [])
        assert took_s < _END_S
        assert not _NOISE.search(demo.log.read_text())


def test_an_interrupt_during_start_ends_it_in_order(tmp_path: Path) -> None:
    with started(tmp_path) as demo:
        eventually(lambda: demo.ports[3] + 5 in accepting(demo.ports), 10)  # the sidecar is what opens next
        code, took_s = demo.end(signal.SIGINT)
        assert (code, accepting(demo.ports)) == (0, [])
        assert took_s < _END_S
        assert not _NOISE.search(demo.log.read_text())


@pytest.mark.parametrize(
    ("index", "offset", "flag"),
    [(0, 0, "--registry-port"), (1, 0, "--port"), (2, 0, "--admin-port"), (3, 4, "--instances-port")],
)
def test_a_taken_port_is_named_with_the_flag_that_changes_it(index: int, offset: int, flag: str) -> None:
    ports = free_ports()
    taken = ports[index] + offset
    with socket.create_server(("127.0.0.1", taken)):
        done = subprocess.run([*_COMMAND, *flags(ports)], check=False, capture_output=True, text=True, timeout=20)
        assert accepting(ports) == [taken]
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert re.search(rf"port {taken} is taken.* {flag}$", done.stderr.strip())
