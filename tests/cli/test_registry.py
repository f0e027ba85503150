"""`prana registry` as a process: serves until a signal, and says what keeps it from starting."""

import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from prana.http_get import http_get

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
