"""Programs with other people's Eureka clients in them, told what to do line by line: see java/ and py_eureka_app.py."""

import re
import select
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.eureka import Eureka
from tests.e2e.processes import call

ANSWER_TIMEOUT_S = 60.0  # a first Spring context on a busy machine takes 10
EXIT_TIMEOUT_S = 10.0


class Client:
    """One program; it holds one connection to a Eureka server at a time. All methods block."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._log = log
        with log.open("ab") as file:
            self._popen = subprocess.Popen(
                command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file
            )
        self._answer()

    def ask(self, *words: object) -> str:
        """Obeys the command and gives its answer. Fails with its log when it refuses, ends or says nothing."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(f"{' '.join(map(str, words))}\n".encode())
        return self._answer()

    def connect(self, eureka_url: str, app: str, instance_id: str, port: int) -> None:
        """Registers as UP with a VIP of the app's name, and renews and fetches every second; the lease is 3 s."""
        self.ask("connect", eureka_url, app, instance_id, port)

    def status(self, app: str, instance_id: str) -> str | None:
        """An instance's status in its copy of the registry."""
        seen = self.ask("status", app.upper(), instance_id)
        return None if seen == "none" else seen

    def resolve(self, vip: str) -> list[str]:
        """The `host:port` of every instance it would call."""
        return self.ask("resolve", vip).split()

    def call(self, vip: str, path: str) -> str:
        """What an instance of its choice answers."""
        return self.ask("call", vip, path)

    def close(self) -> None:
        """Deregisters. Closing what is closed does nothing, but for py-eureka-client, which ends with it."""
        self.ask("close")

    @property
    def log(self) -> str:
        """Everything that the program and its libraries have logged so far."""
        return self._log.read_text(errors="replace")

    def end(self) -> None:
        """The program ends by itself at the end of its input, or else is killed."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.close()
        try:
            self._popen.wait(EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._popen.stdout.close()

    def _answer(self) -> str:
        assert self._popen.stdout is not None
        readable, _, _ = select.select([self._popen.stdout], [], [], ANSWER_TIMEOUT_S)
        line = self._popen.stdout.readline().decode() if readable else "no answer"
        kind, _, answer = line.rstrip("\n").partition(" ")
        assert kind == "ok", f"{line!r}; its log ends with:\n{self.log[-6000:]}"
        return answer


def exceptions(log: str) -> set[str]:
    """The names of all exceptions, as Java and Python print them."""
    return set(re.findall(r"\b\w+(?:Exception|Error)\b(?=:|\s*\n)", log))


def override(eureka: Eureka, app: str, instance_id: str, status: str) -> None:
    """As an operator does it."""
    _status_override(eureka, "PUT", app, instance_id, f"?value={status}")


def remove_override(eureka: Eureka, app: str, instance_id: str) -> None:
    """The instance is UNKNOWN until it registers again, which its next heartbeat makes it do."""
    _status_override(eureka, "DELETE", app, instance_id, "")


def _status_override(eureka: Eureka, method: str, app: str, instance_id: str, query: str) -> None:
    assert call(eureka.port, f"/eureka/apps/{app.upper()}/{instance_id}/status{query}", method).status == 200
