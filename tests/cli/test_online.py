"""`prana check --online` tries what the configuration names."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prana.cli import main
from registry.dnsservers import NoRecords

Capture = pytest.CaptureFixture[str]
Serve = Callable[[dict[str, tuple[int, object]]], str]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def write(url: str, app: str, listen: str = "127.0.0.1:0", admin: str = "127.0.0.1:0") -> None:
    Path("prana.toml").write_text(
        f"[app]\nname = 'orders'\n{app}\n[eureka]\nurls = ['{url}']\n"
        f"[proxy]\nlisten = ['{listen}']\n[admin]\nlisten = '{admin}'\n"
    )


def test_all_there_is_ok(serve: Serve, seen: list[tuple[str, str | None]], capsys: Capture) -> None:
    url = serve({"/eureka/apps/": (200, "{}"), "/health": (204, "")})
    write(url.replace("//", "//user:p%40ss@") + "/eureka", f"port = 1\nhealth.url = '{url}/health'")
    assert main(["check", "--online"]) == 0
    assert capsys.readouterr().out == "ok: prana.toml\n"
    assert seen == [("/eureka/apps/", "Basic dXNlcjpwQHNz"), ("/health", None)]


def test_an_app_without_health_url_is_there_while_its_port_accepts(serve: Serve, taken_port: int) -> None:
    write(serve({"/apps/": (200, "{}")}), f"port = {taken_port}")
    assert main(["check", "--online"]) == 0


def test_every_problem_is_printed(serve: Serve, taken_port: int, capsys: Capture) -> None:
    url = serve({"/health": (500, "")})
    taken = f"127.0.0.1:{taken_port}"
    write(
        f"{url}/eureka/".replace("//", "//user:hunter2@", 1),
        f"port = 1\nhealth.url = '{url}/health'",
        taken,
        "192.0.2.1:1",
    )
    assert main(["check", "--online"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"prana.toml:6: eureka.urls[0]: {url.replace('//', '//***@')}/eureka/ answered 404 to GET apps/; "
        "the URL of a Eureka server mostly ends with /eureka/",
        "prana.toml:4: app.health.url: answered 500, which app.health.statuses does not count as healthy",
        f"prana.toml:8: proxy.listen[0]: port {taken_port} is taken ({taken}); stop what listens there, "
        "or choose another with proxy.listen",
        "prana.toml:10: admin.listen: 192.0.2.1:1 is no address of this machine; choose another with admin.listen",
    ]


def test_the_servers_of_zones_are_tried_instead_of_the_default(serve: Serve, capsys: Capture) -> None:
    url = serve({"/eureka/apps/": (200, "{}")})
    Path("prana.toml").write_text(
        f"[proxy]\nlisten = ['127.0.0.1:0']\n[admin]\nlisten = '127.0.0.1:0'\n"
        f"[eureka.zones]\na = ['{url}/eureka/', '{url}/b/']\n"
    )
    assert main(["check", "--online"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"prana.toml:6: eureka.zones.a[1]: {url}/b/ answered 404 to GET apps/")


def test_servers_of_the_dns_are_looked_up_and_tried(
    serve: Serve, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve({"/eureka/apps/": (200, "{}")})
    records = {"txt.default.example.com": ["a"], "txt.a.example.com": ["127.0.0.1"]}

    async def lookup(name: str) -> list[str]:
        if name not in records:
            raise NoRecords(f"{name}: NXDOMAIN")
        return records[name]

    monkeypatch.setattr("prana.config.online.txt_words", lookup)
    Path("prana.toml").write_text(
        f"[proxy]\nlisten = ['127.0.0.1:0']\n[admin]\nlisten = '127.0.0.1:0'\n"
        f"[eureka.dns]\ndomain = 'example.com'\nport = {url.rpartition(':')[2]}\n"
    )
    assert main(["check", "--online"]) == 0
    assert capsys.readouterr().out == "ok: prana.toml\n"
    records.clear()
    assert main(["check", "--online"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "prana.toml:6: eureka.dns.domain: no server is found: txt.default.example.com: NXDOMAIN"


def test_wrong_credentials_are_named_and_not_shown(serve: Serve, capsys: Capture) -> None:
    url = serve({"/apps/": (401, "")}).replace("//", "//user:hunter2@")
    assert main(["check", "--online", "--eureka", url, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]) == 1
    line = capsys.readouterr().out
    assert line.startswith("--eureka: eureka.urls[0]: http://***@127.0.0.1:")
    assert line.endswith("answered 401; correct the user and password in the URL\n")


def test_silence_is_a_problem(taken_port: int, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prana.config.online._TIMEOUT_S", 0.05)
    write(
        f"http://127.0.0.1:{taken_port}/",
        f"port = 1\nhealth = {{ url = 'http://127.0.0.1:{taken_port}/', timeout = '50ms' }}",
    )
    assert main(["check", "--online"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("does not answer: no answer within 0.05 s; start the server, or correct the URL")
    assert lines[1].endswith("does not answer: no answer within 0.05 s; start the app, or correct the URL")


def test_an_app_that_does_not_accept_is_a_problem(serve: Serve, capsys: Capture) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    write(serve({"/apps/": (200, "{}")}), f"port = {port}")
    assert main(["check", "--online"]) == 1
    assert capsys.readouterr().out == (
        f"prana.toml:3: app.port: nothing accepts on localhost:{port} (Connection refused); "
        "start the app, or correct the port\n"
    )


@pytest.mark.parametrize(
    ("script", "timeout", "problem"),
    [
        ("exit 0", "1m", ""),
        ("echo no database; exit 2", "1m", "exit code 2: no database; start the app, or correct the command"),
        ("sleep 1000", "50ms", "did not end within 50ms; start the app, or correct the command"),
    ],
)
def test_the_command_of_each_app_is_run(
    script: str, timeout: str, problem: str, taken_port: int, capsys: Capture
) -> None:
    Path("prana.toml").write_text(
        f"eureka.urls = []\nproxy.listen = ['127.0.0.1:0']\nadmin.listen = '127.0.0.1:0'\n"
        f"[[app]]\nname = 'a'\nport = {taken_port}\n"
        f"[[app]]\nname = 'b'\nport = 1\nhealth = {{ command = ['sh', '-c', '{script}'], timeout = '{timeout}' }}\n"
    )
    assert main(["check", "--online"]) == bool(problem)
    expected = f"prana.toml:10: app[1].health.command: {problem}\n" if problem else "ok: prana.toml\n"
    assert capsys.readouterr().out == expected


def test_a_port_with_connections_that_have_just_ended_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        with socket.create_connection(address):
            accepted, _ = listener.accept()
            accepted.close()  # first, so that this side is the one in TIME_WAIT
    flags = ["--set", "eureka.urls=", "--admin-listen", "127.0.0.1:0", "--listen", f"127.0.0.1:{address[1]}"]
    assert main(["check", "--online", *flags]) == 0


@pytest.mark.parametrize("leftover", [True, False])
def test_a_socket_that_nobody_answers_on_is_free(leftover: bool, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "p.sock"
    if leftover:
        with socket.socket(socket.AF_UNIX) as gone:
            gone.bind(str(path))
    flags = ["--set", "eureka.urls=", "--admin-listen", "127.0.0.1:0", "--listen", f"unix:{path}"]
    assert main(["check", "--online", *flags]) == 0
    with socket.socket(socket.AF_UNIX) as listener:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        listener.listen()
        assert main(["check", "--online", *flags]) == 1
    assert f"unix:{path} is taken; " in capsys.readouterr().out


def test_a_socket_without_a_directory_is_a_problem(capsys: Capture) -> None:
    flags = ["--set", "eureka.urls=", "--admin-listen", "127.0.0.1:0", "--listen", "unix:/no/such/p.sock"]
    assert main(["check", "--online", *flags]) == 1
    assert "cannot listen on unix:/no/such/p.sock: No such file or directory; " in capsys.readouterr().out
