"""The sidecar and a Eureka server, embedded and Spring's, from first sight to farewell."""

import base64
import signal
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.e2e.conftest import StartApp, StartSidecar
from tests.e2e.eureka import Eureka
from tests.e2e.processes import PATIENCE_S, App, Sidecar, call, free_port, until

RENEWAL_S = 1
LEASE_S = 3
LATE_S = 2.0  # how much later than promised a busy machine may be


@pytest.fixture
def name() -> str:
    """An app name that no other test uses."""
    return f"orders-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def app(start_app: StartApp, name: str) -> App:
    return start_app(name)


def settings(app: App, eureka: Eureka | str, /, **more: Mapping[str, Any]) -> dict[str, Any]:
    url = eureka if isinstance(eureka, str) else eureka.url
    health = {"url": f"http://127.0.0.1:{app.port}/health", "interval": "100ms", "timeout": "200ms", "fall": 2}
    sections: dict[str, dict[str, Any]] = {
        "app": {"name": app.name, "port": app.port, "instance_id": f"{app.name}-1", "health": health},
        "eureka": {
            "urls": [url],
            "renewal_interval": f"{RENEWAL_S}s",
            "lease_duration": f"{LEASE_S}s",
            "fetch_interval": "200ms",
        },
    }
    for section, values in more.items():
        sections[section] = {**sections.get(section, {}), **values}
    return sections


def status_of(eureka: Eureka, app: App) -> str | None:
    return eureka.status(app.name, f"{app.name}-1")


def until_status(eureka: Eureka, app: App, status: str | None, within_s: float = PATIENCE_S) -> None:
    until(lambda: status_of(eureka, app) == status, f"{app.name} to be {status}", within_s)


def until_callable(sidecar: Sidecar, service: str) -> None:
    until(lambda: call(sidecar.port, f"/{service}/").status == 200, f"{service} to be callable")


def until_outage(sidecar: Sidecar) -> None:
    def seen() -> bool:
        status: str = sidecar.admin("/health").json["components"]["eureka"]["status"]
        return status == "DOWN"

    until(seen, "the outage to be seen")


# what is registered


def test_an_app_is_starting_until_it_is_first_healthy(eureka: Eureka, app: App, start_sidecar: StartSidecar) -> None:
    app.set_health(503)
    sidecar = start_sidecar(settings(app, eureka))
    until_status(eureka, app, "STARTING")
    until(lambda: sidecar.ready, "the sidecar to be ready: its readiness is not the app's health")
    assert sidecar.admin("/health").json["status"] == "DOWN"
    app.set_health(200)
    until_status(eureka, app, "UP")
    assert sidecar.admin("/health").json["status"] == "UP"


def test_every_field_is_right_without_being_configured(eureka: Eureka, app: App, start_sidecar: StartSidecar) -> None:
    host = socket.gethostname()
    given = {"instance_id": "", "metadata": {"zone": "z1", "my_key": "a_b", "with.dot-and-dash": "ü &<>"}}
    sidecar = start_sidecar(settings(app, eureka, app=given))
    instance_id = f"{host}:{app.name}:{app.port}"
    until(lambda: eureka.status(app.name, instance_id) == "UP", "the app to be UP")
    found = eureka.instance(app.name, instance_id)
    assert found is not None
    assert {key: found.get(key) for key in _FIELDS} == {
        "instanceId": instance_id,
        "app": app.name.upper(),
        "hostName": host,
        "ipAddr": "127.0.0.1",
        "port": {"$": app.port, "@enabled": "true"},
        "securePort": {"$": 0, "@enabled": "false"},
        "vipAddress": app.name,
        "secureVipAddress": None,
        "status": "UP",
        "overriddenStatus": "UNKNOWN",
        "dataCenterInfo": {
            "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
            "name": "MyOwn",
        },
        "metadata": given["metadata"],
        "homePageUrl": f"http://{host}:{app.port}/",
        "statusPageUrl": f"http://{host}:{sidecar.admin_port}/info",
        "healthCheckUrl": f"http://{host}:{sidecar.admin_port}/health",
    }
    lease = found["leaseInfo"]
    assert (lease["renewalIntervalInSecs"], lease["durationInSecs"]) == (RENEWAL_S, LEASE_S)
    assert sidecar.admin("/info").json["instance"]["instance_id"] == instance_id


_FIELDS = (
    "instanceId",
    "app",
    "hostName",
    "ipAddr",
    "port",
    "securePort",
    "vipAddress",
    "secureVipAddress",
    "status",
    "overriddenStatus",
    "dataCenterInfo",
    "metadata",
    "homePageUrl",
    "statusPageUrl",
    "healthCheckUrl",
)


def test_every_field_can_be_configured(eureka: Eureka, app: App, start_sidecar: StartSidecar) -> None:
    given = {
        "hostname": "orders-1.internal",
        "ip": "10.0.0.7",
        "instance_id": "orders-1:mine:1",
        "vip": f"{app.name}-a,{app.name}-b",
        "secure_port": 8443,
        "home_page_url": "http://home.internal/",
        "status_page_url": "http://status.internal/info",
        "health_check_url": "http://health.internal/health",
    }
    start_sidecar(settings(app, eureka, app=given))
    found = until(lambda: eureka.instance(app.name, "orders-1:mine:1"), "the app to be registered")
    assert {key: found[key] for key in found.keys() & set(_FIELDS) - {"status", "metadata", "dataCenterInfo"}} == {
        "instanceId": "orders-1:mine:1",
        "app": app.name.upper(),
        "hostName": "orders-1.internal",
        "ipAddr": "10.0.0.7",
        "port": {"$": app.port, "@enabled": "true"},
        "securePort": {"$": 8443, "@enabled": "true"},
        "vipAddress": f"{app.name}-a,{app.name}-b",
        "secureVipAddress": f"{app.name}-a,{app.name}-b",
        "overriddenStatus": "UNKNOWN",
        "homePageUrl": "http://home.internal/",
        "statusPageUrl": "http://status.internal/info",
        "healthCheckUrl": "http://health.internal/health",
    }


def test_prefer_ip_registers_the_address_as_the_host_name(
    eureka: Eureka, app: App, start_sidecar: StartSidecar
) -> None:
    given = {"hostname": "orders-1.internal", "ip": "10.0.0.7", "prefer_ip": True}
    sidecar = start_sidecar(settings(app, eureka, app=given))
    found = until(lambda: eureka.instance(app.name, f"{app.name}-1"), "the app to be registered")
    assert (found["hostName"], found["ipAddr"]) == ("10.0.0.7", "10.0.0.7")
    assert found["homePageUrl"] == f"http://10.0.0.7:{app.port}/"
    assert found["healthCheckUrl"] == f"http://10.0.0.7:{sidecar.admin_port}/health"


# how it is kept


def test_the_status_follows_the_apps_health(eureka: Eureka, app: App, start_sidecar: StartSidecar) -> None:
    start_sidecar(settings(app, eureka))
    until_status(eureka, app, "UP")
    for fault in (500, "hang"):
        app.set_health(fault)
        until_status(eureka, app, "DOWN")
        app.set_health(200)
        until_status(eureka, app, "UP")
    app.kill()
    until_status(eureka, app, "DOWN")
    app.start()
    until_status(eureka, app, "UP")


def test_heartbeats_keep_the_registration_beyond_its_lease(
    eureka: Eureka, app: App, start_sidecar: StartSidecar
) -> None:
    sidecar = start_sidecar(settings(app, eureka, eureka={"lease_duration": "2s"}))
    until_status(eureka, app, "UP")
    first_s = time.monotonic()
    # A real server keeps an instance for two lease durations after its last heartbeat.
    while time.monotonic() < first_s + 2 * 2 + RENEWAL_S:
        assert status_of(eureka, app) == "UP"
        time.sleep(0.1)
    seen = sidecar.metrics["eureka"]
    assert seen["registered"]
    assert seen["heartbeats_total"] >= 3
    assert seen["registrations_total"] <= 2, "STARTING and UP; it was never lost"
    assert abs(seen["last_heartbeat"] - time.time()) < RENEWAL_S + LATE_S


def test_an_instance_that_the_server_lost_comes_back_with_its_true_status(
    eureka: Eureka, app: App, start_sidecar: StartSidecar
) -> None:
    start_sidecar(settings(app, eureka))
    until_status(eureka, app, "UP")
    for health, status in ((200, "UP"), (500, "DOWN")):
        app.set_health(health)
        until_status(eureka, app, status)
        eureka.delete(app.name, f"{app.name}-1")
        found = until(lambda: status_of(eureka, app), "the app to be back", RENEWAL_S + LATE_S)
        assert found == status


# when servers fail


class Traffic(threading.Thread):
    """Calls a path again and again, and keeps what goes wrong."""

    def __init__(self, port: int, path: str) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._path = path
        self._stop_requested = threading.Event()
        self.calls = 0
        self.failures: list[str] = []

    def run(self) -> None:
        while not self._stop_requested.wait(0.02):
            self.calls += 1
            try:
                answer = call(self._port, self._path)
            except OSError as error:
                self.failures.append(repr(error))
            else:
                if answer.status != 200:
                    self.failures.append(f"{answer.status} {answer.body!r}")

    def finish(self) -> None:
        self._stop_requested.set()
        self.join()


def test_no_call_fails_while_the_server_is_away_and_comes_back_empty(
    eureka: Eureka, app: App, start_app: StartApp, start_sidecar: StartSidecar
) -> None:
    callee = start_app(f"callee-{app.name}")
    eureka.register(callee.name, callee.port)  # nobody will do so again: after the restart no server knows it
    eureka.register(f"other-{app.name}", callee.port)  # so that more than half is gone, even if the app is back first
    sidecar = start_sidecar(settings(app, eureka))
    for name in (callee.name, app.name):
        until_callable(sidecar, name)
    traffic = [Traffic(sidecar.port, f"/{callee.name}/"), Traffic(sidecar.port, f"/{app.name}/")]
    for each in traffic:
        each.start()
    eureka.server.stop()
    try:
        until_outage(sidecar)
        assert sidecar.admin("/health").json["status"] == "UP", "the app is not to blame"
        calls = [each.calls for each in traffic]
    finally:
        eureka.server.start()
    until_status(eureka, app, "UP", RENEWAL_S + LATE_S)
    fetches = sidecar.metrics["eureka"]["fetches_total"]
    until(lambda: sidecar.metrics["eureka"]["fetches_total"] >= fetches + 5, "the empty registry to be read")
    assert eureka.instance(callee.name, f"{callee.name}:{callee.port}") is None
    for each in traffic:
        each.finish()
        assert each.failures == []
    assert all(each.calls > before for each, before in zip(traffic, calls, strict=True))


def test_a_sidecar_starts_without_its_server_and_registers_when_that_appears(
    eureka: Eureka, app: App, start_app: StartApp, start_sidecar: StartSidecar
) -> None:
    static = start_app("static")
    services = {
        "static": {"instances": [f"127.0.0.1:{static.port}"]},
        "unknown": {"timeout": "300ms"},
        app.name: {"timeout": "60s"},
    }
    eureka.server.stop()
    try:
        sidecar = start_sidecar(settings(app, eureka, services=services))
        assert call(sidecar.port, "/static/").status == 200
        early_s = time.monotonic()
        refused = call(sidecar.port, "/unknown/")
        assert time.monotonic() - early_s >= 0.3
        assert (refused.status, refused.json["type"]) == (503, "urn:prana:error:registry_not_read")
        assert int(refused.headers["Retry-After"]) >= 1
        assert not sidecar.ready
        assert sidecar.admin("/health").json["status"] == "UP"
        waiting: list[int] = []
        caller = threading.Thread(
            target=lambda: waiting.append(call(sidecar.port, f"/{app.name}/", timeout_s=90).status)
        )
        caller.start()
    finally:
        eureka.server.start()
    until(lambda: sidecar.ready, "the sidecar to be ready", 5.0 + LATE_S)  # the cap of discovery's backoff
    until_status(eureka, app, "UP", RENEWAL_S + LATE_S)
    caller.join(PATIENCE_S)
    assert waiting[0] in (200, 404), "the call that came first was answered from the first registry read"
    until_callable(sidecar, app.name)


def test_a_dead_first_server_is_passed_over(eureka: Eureka, app: App, start_sidecar: StartSidecar) -> None:
    dead = f"http://127.0.0.1:{free_port()}/eureka/"
    sidecar = start_sidecar(settings(app, eureka, eureka={"urls": [dead, eureka.url]}))
    until_status(eureka, app, "UP")
    until(lambda: sidecar.ready, "the registry to be read")


# credentials

USER, PASSWORD = "prana", "p@ss/CANARY-7f3a:word"  # what a URL must escape
AUTHORIZATION = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
CANARIES = ("CANARY-7f3a", AUTHORIZATION.removeprefix("Basic "))


class Doorkeeper:
    """A server in front of Eureka that lets nobody in without the password."""

    def __init__(self, eureka: Eureka) -> None:
        self.admitted = 0
        self.refused = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                if self.headers.get("Authorization") != AUTHORIZATION:
                    outer.refused += 1
                    self._say(401, b"")
                    return
                outer.admitted += 1
                kept = {key: value for key in ("Accept", "Content-Type") if (value := self.headers.get(key))}
                answer = call(eureka.port, self.path, self.command, body or None, kept)
                self._say(answer.status, answer.body)

            def _say(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = _pass_on

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.port = self._server.server_port

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def test_credentials_are_used_and_never_shown(eureka: Eureka, app: App, start_sidecar: StartSidecar) -> None:
    shown: list[str] = []
    with closing(Doorkeeper(eureka)) as keeper:
        url = f"http://{USER}:p%40ss%2FCANARY-7f3a%3Aword@127.0.0.1:{keeper.port}/eureka/"
        sidecar = start_sidecar(settings(app, url, log={"level": "debug", "access": "all"}))
        until_status(eureka, app, "UP")
        until(lambda: sidecar.ready, "the registry to be read")
        assert keeper.admitted
        assert not keeper.refused
        until_callable(sidecar, app.name)
        checked = sidecar.prana("check", "--online")
        assert checked.code == 0, "the check uses the password, too"
        shown += [_all_pages(sidecar), checked.out, checked.err]
    until_outage(sidecar)
    checked = sidecar.prana("check", "--online")
    assert f"127.0.0.1:{keeper.port}" in checked.out
    shown += [_all_pages(sidecar), checked.out, checked.err]
    sidecar.signal(signal.SIGTERM)
    assert sidecar.exit_code() == 0
    shown.append(sidecar.output)
    assert any(f"127.0.0.1:{keeper.port}" in text for text in shown), "the server itself is named"
    for text in shown:
        assert not [canary for canary in CANARIES if canary in text]


def test_a_wrong_password_is_not_shown_either(eureka: Eureka, app: App, start_sidecar: StartSidecar) -> None:
    with closing(Doorkeeper(eureka)) as keeper:
        sidecar = start_sidecar(settings(app, f"http://{USER}:CANARY-7f3a@127.0.0.1:{keeper.port}/eureka/"))
        seen = until(lambda: sidecar.admin("/health").json["components"]["eureka"]["details"]["problem"], "a refusal")
        assert "401" in seen
        until(lambda: "401" in sidecar.output, "a log line")
        checked = sidecar.prana("check", "--online")
        assert "401" in checked.out
        assert "CANARY" not in _all_pages(sidecar) + sidecar.output + checked.out + checked.err
        sidecar.signal(signal.SIGINT)
        assert sidecar.exit_code() == 0


def _all_pages(sidecar: Sidecar) -> str:
    paths = ("/health", "/livez", "/readyz?verbose", "/info", "/metrics", "/prometheus", "/services", "/config")
    pages = [sidecar.admin(path).body.decode() for path in paths]
    commands = (("config", "show"), ("config", "show", "--origin", "--json"), ("check",))
    said = [sidecar.prana(*words) for words in commands]
    said += [sidecar.prana("status"), sidecar.prana("status", "--json"), sidecar.prana("healthcheck")]
    assert all(ran.code in (0, 1) for ran in said), said
    return "\n".join([*pages, *(ran.out + ran.err for ran in said)])


# farewell


def test_sigterm_drains_deregisters_and_leaves_no_ghost(eureka: Eureka, app: App, start_sidecar: StartSidecar) -> None:
    beside = {"beside": {"instances": [f"127.0.0.1:{app.port}"]}}  # of itself Eureka says soon that it is not UP
    sidecar = start_sidecar(settings(app, eureka, shutdown={"drain_delay": "1s", "grace": "20s"}, services=beside))
    until_status(eureka, app, "UP")
    until_callable(sidecar, app.name)
    seen = app.seen
    late: list[int] = []
    caller = threading.Thread(target=lambda: late.append(call(sidecar.port, f"/{app.name}/?delay_s=2").status))
    caller.start()
    until(lambda: app.seen > seen, "the slow request to be under way")

    sidecar.signal(signal.SIGTERM)
    until(lambda: sidecar.admin("/readyz").status == 503, "not to be ready", LATE_S)
    until_status(eureka, app, "OUT_OF_SERVICE")
    assert sidecar.admin("/health").json["status"] == "OUT_OF_SERVICE"
    served = call(sidecar.port, "/beside/")
    assert (served.status, served.headers["Connection"]) == (200, "close"), "callers that do not know yet are served"
    assert sidecar.exit_code() == 0
    caller.join(PATIENCE_S)
    assert late == [200], "the request in flight has got its answer"
    gone_s = time.monotonic()
    while time.monotonic() < gone_s + 2 * RENEWAL_S:
        assert status_of(eureka, app) is None
        time.sleep(0.1)


def test_a_sidecar_killed_while_it_drains_does_not_leave_its_successor_out_of_service(
    eureka: Eureka, app: App, start_sidecar: StartSidecar
) -> None:
    lease = {"lease_duration": "30s"}  # longer than a busy machine may take to start the successor
    draining = start_sidecar(settings(app, eureka, eureka=lease, shutdown={"drain_delay": "10m"}))
    until_status(eureka, app, "UP")
    draining.signal(signal.SIGTERM)
    until_status(eureka, app, "OUT_OF_SERVICE")
    draining.signal(signal.SIGKILL)
    draining.exit_code()
    start_sidecar(settings(app, eureka, eureka=lease))
    until_status(eureka, app, "UP")
    time.sleep(2 * RENEWAL_S)
    assert status_of(eureka, app) == "UP", "and stays so"


def test_sigint_skips_the_delay(eureka: Eureka, app: App, start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(settings(app, eureka, shutdown={"drain_delay": "10m"}))
    until_status(eureka, app, "UP")
    sidecar.signal(signal.SIGINT)
    assert sidecar.exit_code() == 0
    assert status_of(eureka, app) is None


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_a_second_signal_ends_it_at_once(
    embedded: Eureka, app: App, start_sidecar: StartSidecar, number: signal.Signals, code: int
) -> None:
    sidecar = start_sidecar(settings(app, embedded, shutdown={"drain_delay": "10m", "grace": "10m"}))
    until_status(embedded, app, "UP")
    sidecar.signal(signal.SIGTERM)
    until(lambda: sidecar.events("draining"), "the first signal to be obeyed")
    sidecar.signal(number)
    assert sidecar.exit_code(LATE_S) == code


def test_a_server_that_hangs_does_not_hold_up_the_end(embedded: Eureka, app: App, start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(settings(app, embedded, shutdown={"drain_delay": "500ms", "grace": "1s"}))
    until_status(embedded, app, "UP")
    embedded.signal(signal.SIGSTOP)  # it still accepts, as its kernel does that, and never answers
    try:
        sidecar.signal(signal.SIGTERM)
        started_s = time.monotonic()
        assert sidecar.exit_code() == 0
        assert time.monotonic() - started_s < 0.5 + 1.0 + 10.0
    finally:
        embedded.signal(signal.SIGCONT)
    assert sidecar.events("not deregistered, the lease will expire")
