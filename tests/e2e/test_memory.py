"""Bodies of any size pass through in bounded memory."""

import http.client
import json
import socket
import sys
import zlib
from collections.abc import Iterator

import pytest

from tests.e2e.apps.app import BLOCK
from tests.e2e.conftest import StartApp, StartSidecar
from tests.e2e.memory import is_still, memory_bytes
from tests.e2e.processes import Sidecar, call, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads memory figures from /proc")

GIB = 1024**3
MIB = 1024**2
ALLOWED_RISE_BYTES = 32 * MIB


@pytest.fixture(scope="module")
def crc() -> int:
    """Of the gibibyte that goes through."""
    whole = 0
    for _ in range(GIB // len(BLOCK)):
        whole = zlib.crc32(BLOCK, whole)
    return whole


@pytest.fixture
def sidecar(start_app: StartApp, start_sidecar: StartSidecar) -> Sidecar:
    app = start_app("blob")
    sidecar = start_sidecar({"services": {"blob": {"instances": [f"127.0.0.1:{app.port}"], "idle_timeout": "60s"}}})
    for path in (f"/blob/bytes?count={8 * MIB}", "/blob/"):  # what is loaded once, and buffers, are there already
        assert call(sidecar.port, path).status == 200
    return sidecar


@pytest.mark.parametrize("framing", ["Content-Length", "chunked"])
def test_a_gibibyte_up_is_not_held(sidecar: Sidecar, framing: str, crc: int) -> None:
    before = memory_bytes(sidecar, "VmRSS")
    answer = upload(sidecar.port, chunked=framing == "chunked")
    assert (answer["size"], answer["crc"]) == (GIB, crc)
    assert memory_bytes(sidecar, "VmHWM") - before < ALLOWED_RISE_BYTES


@pytest.mark.parametrize("framing", ["Content-Length", "chunked"])
def test_a_gibibyte_down_is_not_held(sidecar: Sidecar, framing: str, crc: int) -> None:
    before = memory_bytes(sidecar, "VmRSS")
    path = f"/blob/bytes?count={GIB}" + ("&chunked=1" if framing == "chunked" else "")
    assert download(sidecar.port, path) == (GIB, crc)
    assert memory_bytes(sidecar, "VmHWM") - before < ALLOWED_RISE_BYTES


def test_a_reader_that_stops_holds_up_the_instance_and_not_the_memory(sidecar: Sidecar) -> None:
    before = memory_bytes(sidecar, "VmRSS")
    with socket.create_connection(("127.0.0.1", sidecar.port), 10.0) as reader:
        reader.sendall(f"GET /blob/bytes?count={GIB} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert reader.recv(64)
        until(lambda: is_still(sidecar), "nothing more to be read from the instance")
        assert memory_bytes(sidecar, "VmHWM") - before < ALLOWED_RISE_BYTES
        assert call(sidecar.port, "/blob/").status == 200, "others are served meanwhile"
    until(lambda: sidecar.metrics["proxy"]["in_flight"] == 0, "the answer to be given up")


def upload(port: int, *, chunked: bool) -> dict[str, int]:
    def blocks() -> Iterator[bytes]:
        for _ in range(GIB // len(BLOCK)):
            yield BLOCK

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {} if chunked else {"Content-Length": str(GIB)}
    connection.request("PUT", "/blob/sink", blocks(), headers, encode_chunked=chunked)
    answer: dict[str, int] = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def download(port: int, path: str) -> tuple[int, int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    response = connection.getresponse()
    size, crc = 0, 0
    while data := response.read(MIB):
        size, crc = size + len(data), zlib.crc32(data, crc)
    connection.close()
    return size, crc
