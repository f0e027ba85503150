"""py-eureka-client 0.13.3 as it comes, its whole EurekaClient, on the embedded server."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import StartApp
from tests.e2e.eureka import EmbeddedServer, Eureka
from tests.e2e.processes import until
from tests.interop.client import Client, override, remove_override

PROGRAM = Path(__file__).with_name("py_eureka_app.py")
PORT = 5001  # registered, never called


@pytest.fixture
def eureka(tmp_path: Path) -> Iterator[Eureka]:
    """A server of its own: the client fails on the deletion of an app that it has never seen."""
    server = EmbeddedServer(tmp_path / "server.log")
    server.start()
    yield Eureka(server)
    server.stop()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    client = Client([sys.executable, str(PROGRAM)], tmp_path / "client.log")
    yield client
    client.end()
    sys.stderr.write(client.log)  # shown with a failure


def test_it_registers_renews_discovers_calls_and_deregisters(
    client: Client, eureka: Eureka, name: str, start_app: StartApp
) -> None:
    callee = start_app("callee")
    eureka.register("callee", callee.port)
    client.connect(eureka.url, name, f"{name}-1", PORT)

    registered = eureka.instance(name, f"{name}-1")
    assert registered is not None
    assert (registered["status"], registered["vipAddress"]) == ("UP", name)
    assert registered["port"] == {"$": PORT, "@enabled": "true"}
    assert {"zone": "a", "my_key": "<x>&$"}.items() <= registered["metadata"].items()
    assert (registered["leaseInfo"]["renewalIntervalInSecs"], registered["leaseInfo"]["durationInSecs"]) == (1, 3)

    def renewed_ms() -> int:
        found = eureka.instance(name, f"{name}-1")
        assert found is not None, "no lease of 3 s runs out between renewals"
        time_ms: int = found["leaseInfo"]["lastRenewalTimestamp"]
        return time_ms

    first_ms = renewed_ms()
    until(lambda: renewed_ms() >= first_ms + 4000, "renewals beyond the lease")

    assert client.resolve("callee") == [f"127.0.0.1:{callee.port}"]
    assert '"path": "/orders/7"' in client.call("callee", "/orders/7")
    assert callee.seen == 1

    override(eureka, "callee", f"callee:{callee.port}", "OUT_OF_SERVICE")
    until(lambda: client.status("callee", f"callee:{callee.port}") == "OUT_OF_SERVICE", "a change to be seen")
    assert client.resolve("callee") == []
    eureka.delete("callee", f"callee:{callee.port}")
    until(lambda: client.status("callee", f"callee:{callee.port}") is None, "its end to be seen")

    last_ms = renewed_ms()
    until(lambda: renewed_ms() > last_ms, "a heartbeat, so that the next is a second away")
    client.close()
    client.end()
    assert eureka.instance(name, f"{name}-1") is None
    assert not [word for word in ("WARN", "ERROR", "Traceback") if word in client.log], client.log


def test_it_registers_again_when_a_heartbeat_is_refused(client: Client, eureka: Eureka, name: str) -> None:
    client.connect(eureka.url, name, f"{name}-1", PORT)
    override(eureka, name, f"{name}-1", "OUT_OF_SERVICE")
    until(lambda: client.status(name, f"{name}-1") == "OUT_OF_SERVICE", "the override to be seen")
    remove_override(eureka, name, f"{name}-1")
    until(lambda: client.status(name, f"{name}-1") == "UP", "it to be UP again")
    assert eureka.status(name, f"{name}-1") == "UP"
    client.close()
