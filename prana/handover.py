"""Replacing a running sidecar: its successor gets the listening sockets, and the leases of the apps.

One exchange over a Unix socket, on which the running process listens:

    running    {"prana": 1}, and with it every listening socket (SCM_RIGHTS)
    successor  {"keeps": [["ORDERS", "orders-1:orders:5000"]]} once it is ready to accept
    running    {"released": true} when it accepts no more and sends no heartbeat any more

Nobody is refused in between, for the sockets are never closed. A successor that ends before it is ready has changed
nothing.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

import msgspec
import structlog

from prana.sockets import Passed
from prana.startup import StartupError
from prana.unix_socket import BoundPath

_log = structlog.get_logger()

_VERSION: Final = 1
_MAX_SOCKETS: Final = 64
_MAX_LINE_BYTES: Final = 1024 * 1024
_ANSWER_S: Final = 5.0
_PATIENCE_S: Final = 120.0  # with a successor that starts; it waits 30 s at most for the registry and its app
_RELEASE_S: Final = 10.0  # more than a heartbeat in flight is given to finish

Identity = tuple[str, str]
"""Application name and instance id of a registration."""


class _Hello(msgspec.Struct):
    prana: int


class _Ready(msgspec.Struct):
    keeps: list[Identity]


class HandOver:
    """The running process's part. `release` stops accepting and leaves the leases of these registrations alone."""

    def __init__(
        self,
        listener: socket.socket,
        offered: Callable[[], Sequence[socket.socket]],
        release: Callable[[Collection[Identity]], Awaitable[None]],
        *,
        borrowed: bool,
    ) -> None:
        """`borrowed`: the listener is still that of our own predecessor, until `run`."""
        listener.setblocking(False)
        self._listener = listener
        self._path = BoundPath(listener.getsockname())
        self._borrowed = borrowed
        self._offered = offered
        self._release = release
        self.successor_starts = False  # it has the sockets, but is not ready

    async def run(self) -> None:
        """Returns when a successor has taken over."""
        self._borrowed = False
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self._listener)
            with connection:
                try:
                    self.successor_starts = True
                    if await self._replaced_by(connection):
                        self._borrowed = True
                        return
                except (OSError, msgspec.DecodeError) as error:
                    _log.warning("not replaced: the successor broke off", reason=str(error))
                self.successor_starts = False

    async def _replaced_by(self, connection: socket.socket) -> bool:
        connection.setblocking(False)
        offered = [sock.fileno() for sock in (self._listener, *self._offered())]
        socket.send_fds(connection, [_line(_Hello(_VERSION))], offered)
        _log.info("a successor is starting", sockets=len(offered))
        try:
            async with asyncio.timeout(_PATIENCE_S):
                line = await _read_line(connection)
        except TimeoutError:
            _log.warning("not replaced: the successor was not ready in time", after_s=_PATIENCE_S)
            return False
        if line is None:
            _log.warning("not replaced: the successor ended before it was ready")
            return False
        ready = msgspec.json.decode(line, type=_Ready)
        await self._release(ready.keeps)
        with contextlib.suppress(OSError):  # whether it hears it or not, there is no way back
            await asyncio.get_running_loop().sock_sendall(connection, b'{"released":true}\n')
        return True

    def close(self) -> None:
        """Nobody can take over any more."""
        if not self._borrowed and not self.successor_starts:
            self._path.unlink()
        self._listener.close()


class Predecessor:
    """The successor's part: what the running process passed, and the way to tell it when to leave."""

    def __init__(self, connection: socket.socket, passed: Passed) -> None:
        self._connection = connection
        self.passed = passed

    @classmethod
    def at(cls, path: str) -> "Predecessor | None":
        """None when nobody runs there. Waits for its answer; raises StartupError."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_ANSWER_S)
            connection.connect(path)
            line, descriptors, _, _ = socket.recv_fds(connection, _MAX_LINE_BYTES, _MAX_SOCKETS)
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            return None
        except OSError as error:
            connection.close()
            raise StartupError(f"cannot take over at {path}: {error.strerror or error}") from None
        passed = Passed(socket.socket(fileno=each) for each in descriptors)
        if not _is_hello(line):
            passed.close()
            connection.close()
            raise StartupError(f"cannot take over at {path}: what listens there is being replaced, or is no Prana")
        connection.setblocking(False)
        return cls(connection, passed)

    @property
    def gone(self) -> bool:
        """Whether it has ended, so that nobody accepts."""
        try:
            return not self._connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    async def replace(self, keeps: Collection[Identity]) -> None:
        """Returns when it has let go, or is gone, or has had its time to."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_RELEASE_S):
                await loop.sock_sendall(self._connection, _line(_Ready(list(keeps))))
                if await _read_line(self._connection) is None:
                    _log.warning("the predecessor ended before it let go")
        except (OSError, TimeoutError) as error:
            _log.warning("the predecessor did not let go", reason=str(error) or "timed out")
        finally:
            self.close()

    def close(self) -> None:
        """Before `replace`: it goes on as if nothing had been."""
        self._connection.close()


def _is_hello(line: bytes) -> bool:
    try:
        return msgspec.json.decode(line, type=_Hello).prana == _VERSION
    except msgspec.DecodeError:
        return False


def _line(message: msgspec.Struct) -> bytes:
    return msgspec.json.encode(message) + b"\n"


async def _read_line(connection: socket.socket) -> bytes | None:
    """None when the other side closes before the line is complete."""
    loop, line = asyncio.get_running_loop(), b""
    while not line.endswith(b"\n"):
        if len(line) > _MAX_LINE_BYTES:
            raise ConnectionError("too long a line")
        data = await loop.sock_recv(connection, 65536)
        if not data:
            return None
        line += data
    return line
