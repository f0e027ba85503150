"""status, hosts and healthcheck against something that answers as the admin port does."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from prana.ask import admin_url
from prana.cli import main
from prana.config.settings import Admin, Settings
from prana.config.units import Address

Capture = pytest.CaptureFixture[str]
Serve = Callable[[dict[str, tuple[int, object]]], str]

READY = (200, "[+]registered ok\n[+]registry read ok\nreadyz check passed\n")
NOT_READY = (503, "[-]registered failed\n[+]registry read ok\nreadyz check failed\n")
SUMMARY = {
    "name": "orders",
    "source": "eureka",
    "known": True,
    "breaker": "closed",
    "instances": 2,
    "ejected": 1,
    "in_flight": 0,
    "requests_total": 12,
    "requests_failed": 3,
}
NODE = {
    "id": "orders-1:orders:80",
    "host": "10.0.0.7",
    "port": 80,
    "status": "UP",
    "pending": 1,
    "ejected": False,
    "consecutive_failures": 0,
    "successes_total": 9,
    "failures_total": 3,
}
ROUTED = {"services": [{**SUMMARY, "routes": [{"key": "orders:slow"}]}]}
SIDECAR: dict[str, tuple[int, object]] = {
    "/readyz?verbose": READY,
    "/services": (200, {"services": [SUMMARY]}),
    "/services/orders": (200, {"name": "orders", "balancer": {"nodes": [NODE]}}),
    "/services/empty": (200, {"name": "empty", "balancer": {"nodes": []}}),
    "/services/no%2Fsuch": (404, {"status": 404, "detail": "no such service", "services": ["orders"]}),
}


def test_status_prints_readiness_and_services(serve: Serve, capsys: Capture) -> None:
    url = serve(SIDECAR)
    assert main(["status", "--admin", url]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"sidecar at {url}: ready",
        "[+]registered ok",
        "[+]registry read ok",
        "readyz check passed",
        "",
        "name    source  breaker  instances  ejected  in_flight  requests_total  requests_failed",
        "orders  eureka  closed   2          1        0          12              3",
    ]


def test_status_prints_each_route_below_its_service(serve: Serve, capsys: Capture) -> None:
    slow = {"key": "orders:slow", "breaker": "open", "in_flight": 1}
    summaries = [{**SUMMARY, "routes": [slow]}, {**SUMMARY, "name": "users", "routes": []}]
    assert main(["status", "--admin", serve({**SIDECAR, "/services": (200, {"services": summaries})})]) == 0
    assert capsys.readouterr().out.splitlines()[5:] == [
        "name         source  breaker  instances  ejected  in_flight  requests_total  requests_failed",
        "orders       eureka  closed   2          1        0          12              3",
        "orders:slow  route   open                         1",
        "users        eureka  closed   2          1        0          12              3",
    ]


def test_status_answers_machines(serve: Serve, capsys: Capture) -> None:
    assert main(["status", "--json", "--admin", serve({**SIDECAR, "/readyz?verbose": NOT_READY})]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ready"] is False
    assert document["conditions"][0] == "[-]registered failed"
    assert document["services"] == [SUMMARY]


def test_status_without_services_is_short(serve: Serve, capsys: Capture) -> None:
    assert main(["status", "--admin", serve({**SIDECAR, "/services": (200, {"services": []})})]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_hosts_prints_every_instance(serve: Serve, capsys: Capture) -> None:
    url = serve(SIDECAR)
    assert main(["hosts", "orders", "--admin", url]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split()[:3] == ["address", "id", "status"]
    assert line.split() == ["10.0.0.7:80", "orders-1:orders:80", "UP", "1", "False", "0", "9", "3"]
    assert main(["hosts", "orders", "--json", "--admin", url]) == 0
    assert json.loads(capsys.readouterr().out) == [NODE]


def test_hosts_of_a_service_without_instances_says_so(serve: Serve, capsys: Capture) -> None:
    assert main(["hosts", "empty", "--admin", serve(SIDECAR)]) == 0
    assert capsys.readouterr().out == "empty has no instances\n"


def test_hosts_of_an_unknown_service_names_the_known_ones(serve: Serve, capsys: Capture) -> None:
    assert main(["hosts", "no/such", "--admin", serve(SIDECAR)]) == 1
    assert capsys.readouterr().err == "prana: no such service; known are: orders\n"


@pytest.mark.parametrize(("answer", "code", "first"), [(READY, 0, "ready"), (NOT_READY, 1, "not ready")])
def test_healthcheck_exits_with_what_readyz_says(
    answer: tuple[int, object], code: int, first: str, serve: Serve, capsys: Capture
) -> None:
    assert main(["healthcheck", "--admin", serve({"/readyz?verbose": answer})]) == code
    assert capsys.readouterr().out.splitlines()[0] == first


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
    return port


@pytest.mark.parametrize("command", [["status"], ["hosts", "orders"], ["healthcheck"], ["status", "--json"]])
def test_nobody_there_is_one_line_and_exit_code_1(command: list[str], closed_port: int, capsys: Capture) -> None:
    assert main([*command, "--admin", f"127.0.0.1:{closed_port}"]) == 1
    assert capsys.readouterr().err == (
        f"prana: no sidecar answers at http://127.0.0.1:{closed_port} (Connection refused); "
        "start it, or name its admin port with --admin\n"
    )


def test_something_else_there_is_one_line_and_exit_code_1(serve: Serve, capsys: Capture) -> None:
    url = serve({"/services/orders": (200, "<html>"), "/services/x": (401, {"detail": "token"})})
    assert main(["healthcheck", "--admin", url]) == 1
    assert main(["hosts", "orders", "--admin", url]) == 1
    assert main(["hosts", "x", "--admin", url]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"prana: {url}/readyz answered 404",
        f"prana: {url}/services/orders answered 200",
        f"prana: {url}/services/x answered 401; set admin.token",
    ]


def test_the_sidecar_is_found_by_its_configuration_and_asked_with_its_token(
    serve: Serve, seen: list[tuple[str, str | None]]
) -> None:
    port = serve(SIDECAR).rpartition(":")[2]
    Path("prana.toml").write_text(f"[admin]\nlisten = '0.0.0.0:{port}'\ntoken = 'hunter2'\n")
    assert main(["healthcheck"]) == 0
    assert seen == [("/readyz?verbose", "Bearer hunter2")]


def test_the_sidecar_is_found_by_the_variable_it_gives_its_app(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRANA_ADMIN_URL", serve(SIDECAR))
    assert main(["healthcheck"]) == 0


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        (Address("0.0.0.0", 8077), "http://127.0.0.1:8077"),
        (Address("::", 8077), "http://[::1]:8077"),
        (Address("10.0.0.7", 80), "http://10.0.0.7:80"),
        (Address("fe80::1", 80), "http://[fe80::1]:80"),
    ],
)
def test_an_admin_port_on_all_addresses_is_asked_on_loopback(listen: Address, url: str) -> None:
    assert admin_url(Settings(admin=Admin(listen=listen))) == url


@pytest.mark.parametrize("url", ["http://127.0.0.1:x", "ftp://127.0.0.1", "http://", "127.0.0.1:99999"])
def test_an_admin_url_that_is_none_is_wrong_usage(url: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as error:
        main(["status", "--admin", url])
    assert error.value.code == 2
    assert capsys.readouterr().err.endswith(
        "the URL of an admin port is http://host:port, such as http://127.0.0.1:8077\n"
    )
    monkeypatch.setenv("PRANA_ADMIN_URL", url)
    assert main(["status"]) == 1
    assert capsys.readouterr().err.startswith("prana: PRANA_ADMIN_URL: the URL of an admin port is ")


@pytest.mark.parametrize(
    "document", [{}, {"services": 1}, {"services": ["orders"]}, {"services": [{"name": "a"}]}, ROUTED]
)
def test_json_of_something_else_is_one_line(document: object, serve: Serve, capsys: Capture) -> None:
    url = serve({"/readyz?verbose": (200, ""), "/services": (200, document), "/services/a": (200, document)})
    assert main(["status", "--admin", url]) == 1
    assert main(["hosts", "a", "--admin", url]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"prana: {url}/services is not that of a sidecar",
        f"prana: {url}/services/a is not that of a sidecar",
    ]
