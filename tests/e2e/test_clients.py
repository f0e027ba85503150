"""Clients that people really use, through the proxy with their defaults."""

import http.client
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import StartApp, StartSidecar
from tests.e2e.processes import PATIENCE_S, Sidecar, until

CLIENTS = Path(__file__).parent / "apps"
LARGE = 300_000


@pytest.fixture
def sidecar(start_app: StartApp, start_sidecar: StartSidecar) -> Sidecar:
    return start_sidecar({"services": {"shop": {"instances": [f"127.0.0.1:{start_app('shop').port}"]}}})


@pytest.fixture
def url(sidecar: Sidecar) -> str:
    return f"http://127.0.0.1:{sidecar.port}/shop/cart"


def output_of(program: str, *arguments: str) -> list[str]:
    """Its lines; skips where the program is not installed."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"no {program} on the PATH")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def told(line: str) -> tuple[str, int]:
    """Method and body size that the app says it got."""
    document = json.loads(line)
    assert (document["app"], document["path"]) == ("shop", "/cart")
    return document["method"], document["size"]


def test_curl(url: str, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(LARGE))
    upload = f"@{tmp_path / 'large'}"
    usual = ("--silent", "--show-error", "--max-time", "30", "--write-out", "\n%{http_version} %{http_code}\n")
    for arguments, expected in (
        ((), ("GET", 0)),
        (("--data", "hello"), ("POST", 5)),
        (("--data-binary", upload), ("POST", LARGE)),
        (("--request", "PUT", "--header", "Expect: 100-continue", "--data-binary", upload), ("PUT", LARGE)),
        (("--header", "Transfer-Encoding: chunked", "--data-binary", upload), ("POST", LARGE)),
        (("--http2", "--data", "hello"), ("POST", 5)),  # offers h2c, which is passed over
        (("--http1.0", "--data", "hello"), ("POST", 5)),
    ):
        body, *_, last = output_of("curl", *usual, *arguments, url)
        assert last == "1.1 200", arguments
        assert told(body) == expected, arguments
    status, *_ = output_of("curl", "--silent", "--head", url)
    assert status == "HTTP/1.1 200 Told So"


def test_curl_keeps_its_connection(url: str) -> None:
    lines = output_of("curl", "--silent", "--write-out", "\n%{num_connects}\n", url, url, url)
    assert lines[1::2] == ["1", "0", "0"]


def test_pythons_http_client_keeps_its_connection(sidecar: Sidecar) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", sidecar.port, timeout=PATIENCE_S)
    connection.connect()
    own_socket = connection.sock
    for method, body in (("GET", None), ("POST", b"hello"), ("PUT", bytes(LARGE)), ("DELETE", None)):
        connection.request(method, "/shop/cart", body)
        with connection.getresponse() as response:
            assert response.status == 200
            assert told(response.read().decode()) == (method, len(body or b""))
        assert connection.sock is own_socket
    assert sidecar.metrics["proxy"]["connections"] == 1
    connection.close()
    until(lambda: sidecar.metrics["proxy"]["connections"] == 0, "the connection to be gone")


def test_node(url: str) -> None:
    *answers, sockets = output_of("node", str(CLIENTS / "client.js"), url)
    assert [answer.split(" ", 2)[:2] for answer in answers] == [["1.1", "200"]] * 4
    bodies = [told(answer.split(" ", 2)[2]) for answer in answers]
    assert bodies == [("GET", 0), ("POST", 6), ("PUT", LARGE), ("DELETE", 0)]
    assert sockets == "sockets 1"


def test_java(url: str) -> None:
    answers = output_of("java", str(CLIENTS / "Client.java"), url)
    assert [answer.split(" ", 2)[:2] for answer in answers] == [["HTTP_1_1", "200"]] * 5
    bodies = [told(answer.split(" ", 2)[2]) for answer in answers]
    assert bodies == [("POST", 5), ("GET", 0), ("PUT", LARGE), ("PUT", LARGE), ("DELETE", 0)]
