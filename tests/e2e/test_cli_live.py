"""The commands that ask a running sidecar, asked of one that runs."""

import json
import signal
import socket
import uuid

import pytest

from tests.e2e.conftest import StartApp, StartSidecar
from tests.e2e.eureka import Eureka
from tests.e2e.processes import App, Sidecar, call, free_port, prana, until


@pytest.fixture
def app(start_app: StartApp) -> App:
    return start_app(f"shop-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def sidecar(embedded: Eureka, app: App, start_sidecar: StartSidecar) -> Sidecar:
    """Registered, ready, and after one call to the service `static`."""
    sidecar = start_sidecar(
        {
            "app": {"name": app.name, "port": app.port},
            "eureka": {"urls": [embedded.url], "fetch_interval": "200ms"},
            "services": {"static": {"instances": [f"127.0.0.1:{app.port}"]}},
        }
    )
    until(lambda: sidecar.ready, "the sidecar to be ready")
    assert call(sidecar.port, "/static/").status == 200
    return sidecar


def test_status_shows_readiness_and_every_service(sidecar: Sidecar) -> None:
    said = sidecar.prana("status")
    assert (said.code, said.err) == (0, "")
    first, *lines = said.out.splitlines()
    assert first == f"sidecar at http://127.0.0.1:{sidecar.admin_port}: ready"
    assert "[+]registered ok" in lines
    columns = [line.split() for line in lines if line.startswith("static ")]
    assert columns == [["static", "static", "closed", "1", "0", "0", "1", "0"]]
    document = json.loads(sidecar.prana("status", "--json").out)
    assert document["ready"] is True
    assert [service["name"] for service in document["services"]] == ["static"]


def test_hosts_shows_the_instances_of_a_service(sidecar: Sidecar, app: App) -> None:
    (node,) = json.loads(sidecar.prana("hosts", "static", "--json").out)
    assert (node["host"], node["port"], node["successes_total"]) == ("127.0.0.1", app.port, 1)
    assert f"127.0.0.1:{app.port}" in sidecar.prana("hosts", "STATIC").out
    until(lambda: sidecar.prana("hosts", app.name).code == 0, "the app's own registration to be read")
    assert f":{app.port} " in sidecar.prana("hosts", app.name).out
    unknown = sidecar.prana("hosts", "nobody")
    assert unknown.code == 1
    assert unknown.err.startswith("prana: no such service; known are: ")


def test_healthcheck_follows_readiness_until_the_end(sidecar: Sidecar) -> None:
    assert sidecar.prana("healthcheck").code == 0
    sidecar.signal(signal.SIGTERM)
    assert sidecar.exit_code() == 0
    gone = sidecar.prana("healthcheck")
    assert (gone.code, gone.out) == (1, "")
    assert len(gone.err.splitlines()) == 1
    assert f"127.0.0.1:{sidecar.admin_port}" in gone.err


def test_healthcheck_is_1_while_not_registered(app: App, start_sidecar: StartSidecar) -> None:
    dead = f"http://127.0.0.1:{free_port()}/eureka/"
    sidecar = start_sidecar({"app": {"name": app.name, "port": app.port}, "eureka": {"urls": [dead]}})
    said = sidecar.prana("healthcheck")
    assert said.code == 1
    assert "[-]registered failed" in said.out.splitlines()


def test_check_online_tries_the_server_and_the_app(sidecar: Sidecar, app: App) -> None:
    good = sidecar.prana("check", "--online")
    assert (good.code, good.out) == (0, f"ok: {sidecar.file}\n")
    app.kill()
    bad = sidecar.prana("check", "--online")
    assert bad.code == 1
    (problem,) = bad.out.splitlines()
    assert problem.startswith(f"{sidecar.file}:")
    assert f"app.port: nothing accepts on localhost:{app.port}" in problem


def test_check_online_reports_the_ports_that_a_running_sidecar_has(sidecar: Sidecar) -> None:
    taken = f"127.0.0.1:{sidecar.port}"
    said = sidecar.prana("check", "--online", "--listen", taken)
    assert said.code == 1
    assert f"port {sidecar.port} is taken ({taken})" in said.out


@pytest.mark.parametrize("flag", ["--listen", "--admin-listen"])
def test_a_taken_port_is_one_line_that_names_port_and_flag(flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        flags = {"--listen": "127.0.0.1:0", "--admin-listen": "127.0.0.1:0", flag: f"127.0.0.1:{port}"}
        said = prana("run", "--set", "eureka.urls=[]", *(word for pair in flags.items() for word in pair))
    assert (said.code, said.out) == (1, "")
    lines = [line for line in said.err.splitlines() if line.startswith("prana: ")]
    assert lines == said.err.splitlines()
    assert lines == [
        f"prana: port {port} is taken (127.0.0.1:{port}); stop what listens there, or choose another with {flag}"
    ]


def test_the_registrys_taken_port_is_one_line_too(embedded: Eureka) -> None:
    said = prana("registry", "--listen", f"127.0.0.1:{embedded.port}")
    assert said.code == 1
    (line,) = said.err.splitlines()
    assert str(embedded.port) in line
    assert "--listen" in line
