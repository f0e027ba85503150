"""The command line in an empty directory, and something that answers as an admin port or a Eureka server would."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

Answers = dict[str, tuple[int, object]]  # by path: status, and the document or text


@pytest.fixture(autouse=True)
def empty_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("PRANA_"):
            monkeypatch.delenv(name)


@pytest.fixture
def seen() -> list[tuple[str, str | None]]:
    """Path and Authorization of every request that `serve` answered."""
    return []


@pytest.fixture
def serve(seen: list[tuple[str, str | None]]) -> Iterator[Callable[[Answers], str]]:
    """Starts an HTTP server with these answers, 404 for anything else, and gives its URL."""
    answers: Answers = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers["Authorization"]))
            status, document = answers.get(self.path, (404, "not found"))
            if self.path.endswith("/apps/") and self.headers["Accept-Encoding"] != "gzip":
                status = 406  # as the Netflix server does
            body = document.encode() if isinstance(document, str) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    def start(wanted: Answers) -> str:
        answers.update(wanted)
        return f"http://127.0.0.1:{server.server_address[1]}"

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield start
    server.shutdown()
    thread.join()
    server.server_close()
