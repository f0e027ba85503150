"""Callers that mean no good. Each returns how many seconds each of its connections lived."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

HEAD = b"%b %b HTTP/1.1\r\nHost: localhost\r\n"
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST
_BLOCK = bytes(64 * 1024)


@dataclass(frozen=True)
class Crowd:
    """So many connections, opened at this rate, for at most so long."""

    port: int
    connections: int
    rate_per_s: float
    seconds: float

    async def each(
        self, act: "Callable[[Connection], Awaitable[None]]", receive_bytes: int | None = None
    ) -> list[float]:
        """Let each connection act; the seconds each lived. Ended by the sidecar or after `seconds`."""
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number in range(self.connections):
                tasks.append(group.create_task(self._one(act, receive_bytes)))
                if number % 10 == 9:
                    await asyncio.sleep(10 / self.rate_per_s)
        return [task.result() for task in tasks]

    async def _one(self, act: "Callable[[Connection], Awaitable[None]]", receive_bytes: int | None) -> float:
        connection = await connect(self.port, receive_bytes)
        started_s = time.monotonic()
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(self.seconds):
                await act(connection)
        lived_s = time.monotonic() - started_s
        connection.close()
        return lived_s


class Connection:
    """A bare socket: an attacker reads and writes exactly when and what it wants."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._sock, data)

    async def read(self, count: int = 65536) -> bytes:
        return await self._loop.sock_recv(self._sock, count)

    async def ended(self) -> None:
        """Wait for the other side to end it, reading what it still says."""
        with contextlib.suppress(ConnectionError):
            while await self.read():
                pass

    @property
    def broken(self) -> bool:
        """The other side has reset it."""
        return self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0

    def close(self) -> None:
        self._sock.close()

    def reset(self) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._sock.close()


async def connect(port: int, receive_bytes: int | None = None) -> Connection:
    sock = socket.socket()
    sock.setblocking(False)
    if receive_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    return Connection(sock)


# slow ones


async def _drip(connection: Connection, piece: bytes, every_s: float) -> None:
    """Send a piece now and then until the other side ends the connection."""
    ended = asyncio.ensure_future(connection.ended())
    try:
        while not ended.done():
            await connection.send(piece)
            await asyncio.wait([ended], timeout=every_s)
    finally:
        ended.cancel()


async def slow_heads(crowd: Crowd, target: bytes) -> list[float]:
    """slowhttptest -H: a head that never ends, a line now and then."""

    async def act(connection: Connection) -> None:
        await connection.send(HEAD % (b"GET", target))
        await _drip(connection, b"X-A: b\r\n", 1.0)

    return await crowd.each(act)


async def slow_bodies(crowd: Crowd, target: bytes) -> list[float]:
    """slowhttptest -B: a body of a byte a second."""

    async def act(connection: Connection) -> None:
        await connection.send(HEAD % (b"POST", target) + b"Content-Length: 4096\r\n\r\n")
        await _drip(connection, b"x", 1.0)

    return await crowd.each(act)


async def announced_bodies(crowd: Crowd, target: bytes) -> list[float]:
    """Ten gibibytes announced, and nothing sent."""

    async def act(connection: Connection) -> None:
        await connection.send(HEAD % (b"PUT", target) + b"Content-Length: 10737418240\r\n\r\n")
        await connection.ended()

    return await crowd.each(act)


async def many_ranges(crowd: Crowd, target: bytes) -> list[float]:
    """slowhttptest -R: Apache Killer's overlapping ranges."""
    ranges = b",".join(b"5-%d" % end for end in range(1000))

    async def act(connection: Connection) -> None:
        await connection.send(
            HEAD % (b"HEAD", target) + b"Range: bytes=0-," + ranges + b"\r\nConnection: close\r\n\r\n"
        )
        await connection.ended()

    return await crowd.each(act)


async def slow_reads(crowd: Crowd, target: bytes) -> list[float]:
    """slowhttptest -X: ask for much through a tiny window, and read some bytes a second."""

    async def act(connection: Connection) -> None:
        await connection.send(HEAD % (b"GET", target) + b"Connection: close\r\n\r\n")
        while not connection.broken and await connection.read(32):  # noqa: ASYNC110 - slow on purpose
            await asyncio.sleep(1.0)

    return await crowd.each(act, receive_bytes=2048)


async def pipelining_without_reading(crowd: Crowd, target: bytes) -> list[float]:
    async def act(connection: Connection) -> None:
        request = HEAD % (b"GET", target) + b"\r\n"
        while True:
            await connection.send(request * 100)

    return await crowd.each(act)


# many


STORM_PER_S = 500.0  # faster would ask how much a processor can do, which is not the question here


async def connects_and_resets(port: int, count: int, request: bytes = b"", at_once: int = 50) -> None:
    """Connect, send, RST; so many, some at once."""
    left = iter(range(count))

    async def one_after_another() -> None:
        for _ in left:
            connection = await connect(port)
            with contextlib.suppress(ConnectionError):
                if request:
                    await connection.send(request)
            await asyncio.sleep(at_once / STORM_PER_S)
            connection.reset()

    await asyncio.gather(*(one_after_another() for _ in range(at_once)))


# endless


async def endless(port: int, start: bytes, piece: bytes, total_bytes: int) -> bytes:
    """Send a piece again and again, so many bytes in all or until the end; the answer."""
    connection = await connect(port)
    answer = b""

    async def listen() -> None:
        nonlocal answer
        while data := await connection.read():
            answer += data

    listening = asyncio.ensure_future(listen())
    block = piece * max(1, len(_BLOCK) // len(piece))
    sent = 0
    with contextlib.suppress(ConnectionError):
        await connection.send(start)
        while sent < total_bytes and not listening.done():
            await connection.send(block)
            sent += len(block)
    with contextlib.suppress(ConnectionError, TimeoutError):
        await asyncio.wait_for(listening, 10.0)
    listening.cancel()
    connection.close()
    return answer


async def chunks_of_one_byte(port: int, target: bytes, count: int) -> bytes:
    """Upload that many; the answer's head."""
    connection = await connect(port)
    await connection.send(HEAD % (b"PUT", target) + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
    block = b"1\r\nx\r\n" * 1000
    for _ in range(count // 1000):
        await connection.send(block)
    await connection.send(b"0\r\n\r\n")
    answer = await connection.read()
    connection.close()
    return answer


async def download(port: int, target: bytes) -> int:
    """The bytes of an answer, with its head."""
    connection = await connect(port)
    await connection.send(HEAD % (b"GET", target) + b"Connection: close\r\n\r\n")
    total = 0
    with contextlib.suppress(ConnectionError):
        while data := await connection.read():
            total += len(data)
    connection.close()
    return total


async def stalled_reader(port: int, target: bytes, seconds: float) -> float:
    """Ask for much and never read; how long the sidecar bears it."""
    connection = await connect(port)
    started_s = time.monotonic()
    await connection.send(HEAD % (b"GET", target) + b"\r\n")
    while not connection.broken and time.monotonic() - started_s < seconds:  # noqa: ASYNC110 - it must not read
        await asyncio.sleep(0.1)
    connection.close()
    return time.monotonic() - started_s
