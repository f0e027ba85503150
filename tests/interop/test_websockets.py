"""WebSocket programs of others on both ends: Python's `websockets` and Node's `ws`, as callers and as instances."""

import fcntl
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect, unix_connect
from websockets.typing import Subprotocol

from tests.e2e.memory import is_still, memory_bytes
from tests.e2e.processes import PATIENCE_S, Process, Sidecar, free_port, until

HERE = Path(__file__).parent / "websocket"
TARGET = HERE / "target"
WITH_WS = {"NODE_PATH": str(TARGET / "node_modules")}
INSTALL_TIMEOUT_S = 120.0
MIB = 1024**2
CHAT = [Subprotocol("other"), Subprotocol("chat")]


@pytest.fixture(scope="session")
def node() -> str:
    """Node, with ws in TARGET; skips the test where there is none."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        pytest.skip("no node or no npm on the PATH")
    wanted = (HERE / "package.json").read_text()
    TARGET.mkdir(exist_ok=True)
    with (HERE / "package.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # two test runs in one work tree install once
        installed = TARGET / "installed.json"
        if not installed.exists() or installed.read_text() != wanted:
            (TARGET / "package.json").write_text(wanted)
            command = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock"]
            done = subprocess.run(
                command, cwd=TARGET, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
            )
            if done.returncode != 0:
                pytest.skip(f"npm install failed: {done.stderr[-500:]}")
            installed.write_text(wanted)
    return found


class Instance:
    """An echo of one of the two kinds, on a port that it keeps over restarts."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.port = free_port()
        self._command = [*command, str(self.port)]
        self._log = log
        self.start()

    def start(self) -> None:
        self._process = Process(self._command, self._log, {**os.environ, **WITH_WS})
        self._process.until_listening(self.port)

    def kill(self) -> None:
        self._process.end()

    @property
    def ends(self) -> list[dict[str, Any]]:
        """How its connections ended so far."""
        return [json.loads(line) for line in self._process.output.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module", params=["websockets", "ws"])
def command(request: pytest.FixtureRequest) -> list[str]:
    """What starts an instance."""
    if request.param == "ws":
        return [request.getfixturevalue("node"), str(HERE / "echo.js")]
    return [sys.executable, str(HERE / "echo.py")]


@pytest.fixture(scope="module")
def instance(command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    made = Instance(command, tmp_path_factory.mktemp("instance") / "log")
    yield made
    made.kill()


@pytest.fixture(scope="module")
def sidecar(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """With two services of the one instance, of which `plain` has not opted in."""
    directory = tmp_path_factory.mktemp("sidecar")
    instances = [f"127.0.0.1:{instance.port}"]
    made = Sidecar(
        directory,
        {
            "proxy": {"listen": ["127.0.0.1:0", f"unix:{directory / 'sock'}"]},
            "log": {"access": "all"},
            "services": {
                "echo": {"instances": instances, "websocket": True},
                "plain": {"instances": instances},
            },
        },
    )
    yield made
    made.end()
    assert "Traceback" not in made.output
    assert not made.events("internal error")


@pytest.fixture(autouse=True)
def nothing_is_left(sidecar: Sidecar) -> Iterator[None]:
    yield
    until(lambda: _proxy(sidecar)["tunnels"] == _proxy(sidecar)["in_flight"] == 0, "every tunnel to be over")


def _proxy(sidecar: Sidecar) -> Any:
    return sidecar.metrics["proxy"]


def opened(sidecar: Sidecar, service: str = "echo", **options: Any) -> ClientConnection:
    url = f"ws://127.0.0.1:{sidecar.port}/{service}/chat?room=1"
    made: ClientConnection = connect(url, subprotocols=CHAT, max_size=None, proxy=None, ping_interval=None, **options)
    return made


def test_messages_come_back_as_they_were(sidecar: Sidecar) -> None:
    large = random.Random(4).randbytes(16 * MIB)
    with opened(sidecar, compression=None) as socket:
        assert socket.subprotocol == "chat"
        for message in ("", "héllo", b"", b"\0\xff", large, "x" * MIB):
            socket.send(message)
            assert socket.recv(PATIENCE_S) == message


def test_a_message_keeps_its_fragments(sidecar: Sidecar) -> None:
    with opened(sidecar) as socket:
        socket.send("/fragments")
        assert [part for part in socket.recv_streaming() if part] == ["one ", "two ", "three"]
        socket.send(["a", "b", "c"])
        assert socket.recv(PATIENCE_S) == "abc"


def test_pings_and_pongs_pass_both_ways(sidecar: Sidecar) -> None:
    with opened(sidecar) as socket:
        assert socket.ping("mine").wait(PATIENCE_S)
        socket.send("/ping")
        assert socket.recv(PATIENCE_S) == "pong there?"


@pytest.mark.parametrize("compression", ["deflate", None])
def test_compression_is_agreed_on_between_the_ends(sidecar: Sidecar, compression: str | None) -> None:
    with opened(sidecar, compression=compression) as socket:
        assert socket.response is not None
        agreed = socket.response.headers.get("Sec-WebSocket-Extensions", "")
        assert agreed.startswith("permessage-deflate") is (compression is not None)
        socket.send("a" * MIB)
        assert socket.recv(PATIENCE_S) == "a" * MIB


def test_either_end_may_close_and_the_other_learns_why(sidecar: Sidecar, instance: Instance) -> None:
    with opened(sidecar) as socket:
        socket.send("/close 4001 bye")
        with pytest.raises(ConnectionClosed):
            socket.recv(PATIENCE_S)
        assert (socket.close_code, socket.close_reason) == (4001, "bye")
    with opened(sidecar) as socket:
        socket.close(4002, "enough")
    until(lambda: {"code": 4002, "reason": "enough"} in instance.ends, "the instance to learn the reason")


def test_a_caller_that_vanishes_is_missed(sidecar: Sidecar, instance: Instance) -> None:
    before = len(instance.ends)
    with opened(sidecar) as socket:
        socket.socket.shutdown(SHUT_RDWR)
    until(lambda: instance.ends[before:] == [{"code": 1006, "reason": ""}], "the instance to miss its caller")


def test_an_instance_that_is_killed_is_missed(sidecar: Sidecar, instance: Instance) -> None:
    with opened(sidecar) as socket:
        socket.send("still there?")
        assert socket.recv(PATIENCE_S) == "still there?"
        instance.kill()
        with pytest.raises(ConnectionClosedError):
            socket.recv(PATIENCE_S)
    instance.start()
    with opened(sidecar) as socket:
        socket.send("back?")
        assert socket.recv(PATIENCE_S) == "back?"


@pytest.mark.skipif(sys.platform != "linux", reason="reads memory figures from /proc")
def test_a_caller_that_reads_slowly_holds_up_the_instance_and_not_the_memory(sidecar: Sidecar) -> None:
    with opened(sidecar, compression=None, max_queue=1) as socket:
        before = memory_bytes(sidecar, "VmRSS")
        socket.send("/flood 128")
        until(lambda: is_still(sidecar), "nothing more to be read from the instance")
        for left in range(128, 0, -1):
            assert socket.recv(PATIENCE_S) == bytes([left]) * MIB
        assert socket.recv(PATIENCE_S) == "done"
        assert memory_bytes(sidecar, "VmHWM") - before < 16 * MIB


def test_a_service_that_did_not_opt_in_is_asked_in_vain(sidecar: Sidecar) -> None:
    with pytest.raises(InvalidStatus) as refused:
        opened(sidecar, "plain")
    assert refused.value.response.status_code == 426, "what both answer to a request without an upgrade"


def test_a_unix_socket_will_do(sidecar: Sidecar) -> None:
    path = str(sidecar.file.with_name("sock"))
    with unix_connect(path, "ws://localhost/echo/", subprotocols=CHAT) as socket:
        socket.send(b"x" * MIB)
        assert socket.recv(PATIENCE_S) == b"x" * MIB


def test_the_access_log_tells_what_went_through(sidecar: Sidecar) -> None:
    with opened(sidecar, compression=None) as socket:
        socket.send("héllo")
        assert socket.recv(PATIENCE_S) == "héllo"
    line = until(lambda: tunnels(sidecar)[-1:], "the access event")[0]
    assert (line["status"], line["outcome"], line["service"]) == (101, "success", "echo")
    assert line["received_bytes"] == 2 + 4 + 6 + 2 + 4 + 2, "masked text and close"
    assert line["sent_bytes"] == 2 + 6 + 2 + 2
    assert line["tunnel_s"] >= 0


def tunnels(sidecar: Sidecar) -> list[dict[str, Any]]:
    """Access events of tunnels, once every one is over."""
    return [line for line in sidecar.events("request") if "tunnel_s" in line] if not _proxy(sidecar)["tunnels"] else []


def test_nodes_own_caller_finds_nothing_amiss(sidecar: Sidecar, node: str) -> None:
    url = f"ws://127.0.0.1:{sidecar.port}/echo/"
    done = subprocess.run(
        [node, str(HERE / "client.js"), url],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, **WITH_WS},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    saw = json.loads(done.stdout)
    assert saw.pop("extensions").startswith("permessage-deflate")
    assert saw == {
        "protocol": "chat",
        "small": "héllo",
        "large": True,
        "fragments": "abc",
        "ordered": "one two three",
        "pong": "mine",
        "asked": "pong there?",
        "closed": [4001, "bye"],
        "left": 4002,
    }
