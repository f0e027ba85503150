"""File descriptors run out: accepting pauses, the admin port answers, and it recovers by itself."""

import resource
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.conftest import StartApp, StartSidecar
from tests.e2e.processes import PATIENCE_S, Sidecar, call, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prlimit and /proc are Linux's")

REQUEST = b"GET /orders/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
FEW = ("sh", "-c", 'ulimit -n 256; exec "$@"', "sh")


@pytest.fixture
def crowd() -> Iterator[ExitStack]:
    with ExitStack() as open_sockets:
        yield open_sockets


def connected(crowd: ExitStack, port: int) -> socket.socket:
    return crowd.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE_S))


def cpu_s(sidecar: Sidecar) -> float:
    """User and system time of the process."""
    fields = Path(f"/proc/{sidecar.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def status_of(caller: socket.socket) -> bytes:
    caller.sendall(REQUEST)
    return caller.recv(65536).split(b" ")[1]


def test_callers_beyond_what_descriptors_suffice_for_get_503(
    start_sidecar: StartSidecar, start_app: StartApp, crowd: ExitStack
) -> None:
    app = start_app("orders")
    sidecar = start_sidecar({"services": {"orders": {"instances": [f"127.0.0.1:{app.port}"]}}}, prefix=FEW)
    (listening,) = sidecar.events("listening")
    assert listening["max_connections"] == 96, "half of what is not reserved"
    callers = [connected(crowd, sidecar.port) for _ in range(96)]
    assert {status_of(caller) for caller in callers} == {b"200"}
    assert status_of(connected(crowd, sidecar.port)) == b"503"
    assert sidecar.admin("/livez").status == 200


def test_a_shortage_pauses_accepting_and_passes(
    start_sidecar: StartSidecar, start_app: StartApp, crowd: ExitStack
) -> None:
    """What takes the descriptors here is somebody else: the limit is lowered below what is open already."""
    app = start_app("orders")
    sidecar = start_sidecar({"services": {"orders": {"instances": [f"127.0.0.1:{app.port}"]}}}, prefix=FEW)
    served = [connected(crowd, sidecar.port) for _ in range(40)]
    assert {status_of(caller) for caller in served} == {b"200"}
    resource.prlimit(sidecar.pid, resource.RLIMIT_NOFILE, (20, 256))
    waiting = [connected(crowd, sidecar.port) for _ in range(20)]
    for caller in waiting:
        caller.sendall(REQUEST)
    until(lambda: sidecar.events("file descriptors run short; accepting pauses until some are free"), "the shortage")
    before_s, began_s = cpu_s(sidecar), time.monotonic()
    time.sleep(1.0)
    assert cpu_s(sidecar) - before_s < 0.2 * (time.monotonic() - began_s)
    resource.prlimit(sidecar.pid, resource.RLIMIT_NOFILE, (256, 256))
    assert {caller.recv(65536).split(b" ")[1] for caller in waiting} == {b"200"}, "nobody was turned away"
    assert call(sidecar.port, "/orders/").status == 200
    assert len(sidecar.events("file descriptors run short; accepting pauses until some are free")) == 1
