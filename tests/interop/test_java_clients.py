"""Java's own Eureka clients, unmodified: Netflix's DiscoveryClient of the javax generation, and Spring Cloud's.

They live on the embedded server as on a real one, and on a real server they find what `prana run` registered there.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import unavailable
from tests.e2e.conftest import StartApp, StartSidecar
from tests.e2e.eureka import Eureka
from tests.e2e.processes import until
from tests.eureka.flavours import VM
from tests.eureka.server import RealEureka
from tests.eureka.toolchain import JavaUnavailableError, Toolchain
from tests.interop.client import Client, exceptions, override, remove_override

pytestmark = pytest.mark.eureka

PROJECT = Path(__file__).parent / "java"
PORT = 5001  # registered, never called
FULL_FETCH = "Getting all instance registry info from the eureka server"
DELTA = "Got delta update"
WRONG_HASH = "The Reconcile hashcodes do not match"
HARMLESS = {"TimeoutException", "RejectedExecutionException"}  # a task that took a whole second, on a busy machine
CLOSING = "Shutting down DiscoveryClient"  # it interrupts a fetch under way, which then is logged as a broken one


@pytest.fixture(scope="module", params=["netflix", "spring"])
def java(
    request: pytest.FixtureRequest, toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory, logs: list[Path]
) -> Iterator[Client]:
    """A program around one of the clients, started once for all tests of this file."""
    try:
        toolchain.build(PROJECT)
    except JavaUnavailableError as error:
        unavailable(error)
    jar = PROJECT / request.param / "target" / "client.jar"
    log = tmp_path_factory.mktemp(request.param) / f"{request.param}-client.log"
    program = Client([toolchain.java, *VM, "-jar", str(jar)], log)
    logs.append(log)
    yield program
    program.end()
    logs.remove(log)


@pytest.fixture
def client(java: Client, embedded: Eureka, name: str) -> Iterator[Client]:
    """Connected to the embedded server as the app `name`, and sees itself there."""
    java.connect(embedded.url, name, f"{name}-1", PORT)
    try:
        until(lambda: java.status(name, f"{name}-1") == "UP", "the client to see itself")
        with content(java):
            yield java
    finally:
        java.close()


@contextmanager
def content(client: Client) -> Iterator[None]:
    """Until it is closed, the client logs nothing that has gone wrong: it could read every answer."""
    before = len(client.log)
    yield
    assert exceptions(client.log[before:].partition(CLOSING)[0]) <= HARMLESS


def test_it_registers_renews_and_deregisters(client: Client, embedded: Eureka, name: str) -> None:
    registered = embedded.instance(name, f"{name}-1")
    assert registered is not None
    expected = {
        "app": name.upper(),
        "hostName": "127.0.0.1",
        "ipAddr": "127.0.0.1",
        "status": "UP",
        "overriddenStatus": "UNKNOWN",
        "port": {"$": PORT, "@enabled": "true"},
        "vipAddress": name,
        "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
    }
    assert {key: registered[key] for key in expected} == expected
    assert {"zone": "a", "my_key": "<x>&$"}.items() <= registered["metadata"].items()
    assert (registered["leaseInfo"]["renewalIntervalInSecs"], registered["leaseInfo"]["durationInSecs"]) == (1, 3)

    def renewed_ms() -> int:
        found = embedded.instance(name, f"{name}-1")
        assert found is not None, "no lease of 3 s runs out between renewals"
        time_ms: int = found["leaseInfo"]["lastRenewalTimestamp"]
        return time_ms

    first_ms = renewed_ms()
    until(lambda: renewed_ms() >= first_ms + 4000, "renewals beyond the lease")

    client.close()
    assert embedded.instance(name, f"{name}-1") is None


def test_its_own_status_changes_and_an_operators_override_reach_both_sides(
    client: Client, embedded: Eureka, name: str
) -> None:
    def is_everywhere(status: str) -> bool:
        seen = {embedded.status(name, f"{name}-1"), client.status(name, f"{name}-1"), client.ask("own-status")}
        return seen == {status}

    client.ask("report", "DOWN")
    until(lambda: is_everywhere("DOWN"), "its report to be known")
    client.ask("report", "UP")
    until(lambda: is_everywhere("UP"), "its report to be known")

    override(embedded, name, f"{name}-1", "OUT_OF_SERVICE")
    until(lambda: is_everywhere("OUT_OF_SERVICE"), "the override to be known")
    until(lambda: not client.resolve(name), "it not to be called any more")
    remove_override(embedded, name, f"{name}-1")
    until(lambda: is_everywhere("UP"), "a heartbeat to be refused and the client to register again")
    until(lambda: client.resolve(name) == [f"127.0.0.1:{PORT}"], "it to be called again")


def test_it_sees_others_come_change_and_go_by_deltas_alone(client: Client, embedded: Eureka, name: str) -> None:
    other, other_id = f"{name}-other", f"{name}-other:{PORT + 1}"
    before = len(client.log)
    embedded.register(other, PORT + 1)
    until(lambda: client.resolve(other) == [f"127.0.0.1:{PORT + 1}"], "another instance to be seen")
    override(embedded, other, other_id, "OUT_OF_SERVICE")
    until(lambda: client.status(other, other_id) == "OUT_OF_SERVICE", "its change to be seen")
    until(lambda: not client.resolve(other), "it not to be called any more")
    override(embedded, other, other_id, "UP")
    until(lambda: client.resolve(other) == [f"127.0.0.1:{PORT + 1}"], "its return to be seen")
    embedded.delete(other, other_id)
    until(lambda: client.status(other, other_id) is None and not client.resolve(other), "its end to be seen")

    logged = client.log[before:]
    assert logged.count(DELTA) >= 4
    assert FULL_FETCH not in logged
    assert WRONG_HASH not in logged


def test_it_finds_and_calls_the_app_that_a_sidecar_registered_in_a_real_server(
    java: Client, spring_eureka: RealEureka, name: str, start_app: StartApp, start_sidecar: StartSidecar
) -> None:
    app = start_app(name)
    java.connect(spring_eureka.url, f"{name}-caller", "caller", PORT)
    try:
        eureka = {"urls": [spring_eureka.url], "renewal_interval": "1s", "lease_duration": "3s"}
        identity = {"name": name, "port": app.port, "prefer_ip": True, "instance_id": f"{name}-1"}
        sidecar = start_sidecar({"app": identity, "eureka": eureka})
        until(lambda: java.resolve(name) == [f"127.0.0.1:{app.port}"], "the app to be found")
        assert java.status(name, f"{name}-1") == "UP"

        with content(java):
            answer = java.call(name, "/orders/7")
            assert answer.startswith("200 ")
            assert f'"app": "{name}"' in answer
            assert '"path": "/orders/7"' in answer
            assert app.seen == 1

            sidecar.signal(signal.SIGTERM)
            until(lambda: java.status(name, f"{name}-1") is None and not java.resolve(name), "the app to be gone")
            assert sidecar.exit_code() == 0
    finally:
        java.close()
