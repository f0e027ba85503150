"""A real Spring Cloud Eureka server as a child process: built once with Maven, started and stopped by tests."""

import fcntl
import hashlib
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parent
MIN_JAVA = 17
BUILD_TIMEOUT_S = 600.0  # the first build downloads some 100 MB
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 10.0


class EurekaUnavailableError(Exception):
    """This machine cannot build or run the server; the message says what is missing."""


class SpringEureka:
    """One server on a fixed loopback port. All methods block: from a coroutine, call them in a thread."""

    def __init__(self, java: str, jar: Path, log: Path) -> None:
        self._java = java
        self._jar = jar
        self._log = log
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/eureka/"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Starts the server, empty, and returns when it answers. Raises RuntimeError with its log if it does not."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"the Eureka server did not start:\n{self.log_tail()}")
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

    def log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-6000:]

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}apps", timeout=2) as answer:  # noqa: S310 - our own http URL
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _command(self) -> list[str]:
        settings = {
            "server.address": "127.0.0.1",
            "server.port": self._port,
            "eureka.client.register-with-eureka": "false",
            "eureka.client.fetch-registry": "false",
            "eureka.client.service-url.defaultZone": self.url,
            # Or the server takes that URL for a peer and repeats every write to itself half a second later.
            "eureka.server.my-url": self.url,
            "eureka.server.enable-self-preservation": "false",
            "eureka.server.eviction-interval-timer-in-ms": 1000,
            "eureka.server.use-read-only-response-cache": "false",
            "eureka.server.wait-time-in-ms-when-sync-empty": 0,
            "eureka.dashboard.enabled": "false",
        }
        vm = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
        return [self._java, *vm, "-jar", str(self._jar), *(f"--{key}={value}" for key, value in settings.items())]


@dataclass(frozen=True)
class Toolchain:
    java: str
    mvn: str


def find_toolchain() -> Toolchain:
    """Raises EurekaUnavailableError when there is no JDK >= 17 or no Maven."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if java is None:
        raise EurekaUnavailableError("no java found (JAVA_HOME, PATH)")
    version = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    major = re.search(r'version "(\d+)', version)
    if major is None or int(major[1]) < MIN_JAVA:
        raise EurekaUnavailableError(f"java >= {MIN_JAVA} needed, found: {version.partition(chr(10))[0]}")
    mvn = shutil.which("mvn")
    if mvn is None:
        raise EurekaUnavailableError("no mvn found on the PATH")
    return Toolchain(java, mvn)


def build_jar(mvn: str) -> Path:
    """The server's jar, built unless the one in target/ is of these very sources. Raises EurekaUnavailableError."""
    target = PROJECT / "target"
    jar, built_key = target / "eureka.jar", target / "eureka.jar.sources"
    key = _sources_key()
    with (PROJECT / "pom.xml").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # two test runs in one work tree build once
        if not (jar.exists() and built_key.exists() and built_key.read_text() == key):
            _run_maven(mvn)
            built_key.write_text(key)
    return jar


def _run_maven(mvn: str) -> None:
    try:
        build = subprocess.run(
            [mvn, "-q", "-B", "package"],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BUILD_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EurekaUnavailableError(f"mvn package took more than {BUILD_TIMEOUT_S:.0f} s") from error
    if build.returncode != 0:
        raise EurekaUnavailableError(f"mvn package failed:\n{build.stdout[-3000:]}")


def _sources_key() -> str:
    digest = hashlib.sha256()
    for path in [PROJECT / "pom.xml", *sorted((PROJECT / "src").rglob("*"))]:
        if path.is_file():
            digest.update(path.relative_to(PROJECT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
