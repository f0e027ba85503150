"""`prana registry` as a process: serves until a signal, and says what keeps it from starting."""

import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from prana.arguments import parse
from prana.http_get import http_get
from prana.registry_server import settings_of
from registry.server import RegistrySettings

PRANA = [sys.executable, "-c", "from prana.cli import main; raise SystemExit(main())"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal_and_exits_with_0(number: signal.Signals) -> None:
    with subprocess.Popen([*PRANA, "registry", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            url = re.search(r"http://127\.0\.0\.1:[0-9]+/eureka/", line)
            assert url is not None
            assert "development" in line
            assert "production" in line
            assert http_get(f"{url[0]}apps/", {}, timeout_s=10).status == 200
            os.kill(server.pid, number)
            assert server.wait(timeout=10) == 0
        finally:
            server.kill()


def test_a_taken_port_is_one_line_and_exit_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = [*PRANA, "registry", "--listen", f"127.0.0.1:{port}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"prana: port {port} is taken (127.0.0.1:{port}); stop what listens there, or choose another with --listen\n"
    )


def test_its_flags_become_settings_and_suit_development_by_default() -> None:
    assert settings_of(parse(["registry"])) == RegistrySettings()
    flags = "--lease-expiry=strict --self-preservation --eviction-interval=1m --response-cache-interval=30s"
    args = parse(["registry", *flags.split(), "--delta-retention", "90s"])
    assert settings_of(args) == RegistrySettings(
        strict_leases=True,
        self_preservation=True,
        eviction_interval_s=60.0,
        response_cache_interval_s=30.0,
        delta_retention_s=90.0,
    )


@pytest.mark.parametrize(
    ("flag", "what"),
    [
        ("--eviction-interval=5", "write a number and ms, s, m or h"),
        ("--eviction-interval=0s", "allowed are 10ms and more"),
        ("--lease-expiry=java", "invalid choice: 'java'"),
        ("--listen=unix:/x", "a Unix socket is not possible here"),
    ],
)
def test_a_flag_that_makes_no_sense_is_wrong_usage(flag: str, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(["registry", flag])
    assert what in capsys.readouterr().err


def test_help_names_every_flag_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        parse(["registry", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for flag, default in (
        ("--listen", "default 127.0.0.1:8761"),
        ("--lease-expiry", "plain, the default"),
        ("--self-preservation", "default: off"),
        ("--eviction-interval", "default 1s"),
        ("--response-cache-interval", "default 0s"),
        ("--delta-retention", "default 3m"),
    ):
        assert flag in shown
        assert default in shown
