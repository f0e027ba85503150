"""A real Eureka server as a child process, started and stopped by tests."""

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 10.0


class RealEureka:
    """One server on a fixed loopback port. All methods block: from a coroutine, call them in a thread."""

    def __init__(self, url: str, command: Sequence[str], log: Path) -> None:
        """`url` is the base for clients that `command` will answer, ending in a slash."""
        self._url = url
        self._command = command
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        port = urlsplit(self._url).port
        assert port is not None
        return port

    @property
    def url(self) -> str:
        return self._url

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Starts the server, empty, and returns when it answers. Raises RuntimeError with its log if it does not."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self.stop()
                raise RuntimeError(f"the Eureka server did not start:\n{self.log.read_text(errors='replace')[-6000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Ends the server; the port stays reserved for the next `start`. Stopping a stopped one does nothing."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _ready(self) -> bool:
        # Netflix's server answers 406 to whoever takes no gzip.
        apps = urllib.request.Request(f"{self._url}apps", headers={"Accept-Encoding": "gzip"})  # noqa: S310 - our URL
        try:
            with urllib.request.urlopen(apps, timeout=2) as answer:  # noqa: S310 - as above
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
