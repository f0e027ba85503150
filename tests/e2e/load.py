"""Callers that do not give up, and remember everything that went wrong."""

import http.client
import socket
import threading
import time
from contextlib import suppress
from types import TracebackType

from tests.e2e.processes import PATIENCE_S

_PAUSE_S = 0.01  # between the requests of one caller


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(self._path)


class Load:
    """While it is entered, each caller asks `path` again and again, on a connection that it keeps or on a new one
    each time. Nothing is tried a second time: any error, and any answer but 200, is a failure."""

    def __init__(
        self, where: int | str, path: str, method: str = "POST", *, keeping: int = 0, renewing: int = 0
    ) -> None:
        """`where`: a port, or the path of a Unix socket. A POST is nothing that Prana would send again."""
        self._where = where
        self._path = path
        self._method = method
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(True,)) for _ in range(keeping)]
        self._threads += [threading.Thread(target=self._call, args=(False,)) for _ in range(renewing)]
        self.served = 0
        self.asked_to_close = 0
        self.refused = 0  # at the connect, so that nothing was sent
        self.failures: list[str] = []

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _call(self, keeps: bool) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._stop.is_set():
            connection = connection or self._open()
            if connection is None:
                continue
            if not self._ask(connection) or not keeps:
                connection.close()
                connection = None
            time.sleep(_PAUSE_S)
        if connection is not None:
            connection.close()

    def _open(self) -> http.client.HTTPConnection | None:
        where = self._where
        connection = (
            _UnixConnection(where)
            if isinstance(where, str)
            else http.client.HTTPConnection("127.0.0.1", where, timeout=PATIENCE_S)
        )
        try:
            connection.connect()
        except (ConnectionRefusedError, FileNotFoundError):
            self.refused += 1
            time.sleep(_PAUSE_S)
            return None
        except OSError as error:
            self.failures.append(f"connect: {error!r}")
            return None
        return connection

    def _ask(self, connection: http.client.HTTPConnection) -> bool:
        """Whether the connection may be used again."""
        try:
            connection.request(self._method, self._path)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(repr(error))
            return False
        if response.status != 200:
            self.failures.append(f"status {response.status}")
        self.served += 1
        closes = response.will_close
        self.asked_to_close += closes
        return not closes


class Slow:
    """One exchange that takes its time, in a thread of its own."""

    def __init__(self, port: int, path: str, *, upload_s: float = 0.0) -> None:
        """With `upload_s` the body of a PUT is sent in pieces over that time."""
        self.status = 0
        self._sock = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self._thread = threading.Thread(target=self._exchange, args=(path, upload_s))
        self._thread.start()

    def _exchange(self, path: str, upload_s: float) -> None:
        pieces = 20
        method, length = ("PUT", pieces * 1000) if upload_s else ("GET", 0)
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
        with self._sock, suppress(ConnectionError):
            self._sock.sendall(head.encode())
            for _ in range(pieces if upload_s else 0):
                time.sleep(upload_s / pieces)
                self._sock.sendall(bytes(1000))
            response = http.client.HTTPResponse(self._sock)
            response.begin()
            response.read()
            self.status = response.status

    def end(self) -> int:
        """The status of the answer, 0 for none."""
        self._thread.join()
        return self.status
