"""An instance that means no good: what its path says, it does."""

import asyncio
import contextlib

_BLOCK = bytes(64 * 1024)
_OK = b"HTTP/1.1 200 OK\r\n"
ENDLESS = {
    "/headers": (_OK, b"X-A: b\r\n"),
    "/line": (_OK + b"X-A: ", b"b"),
    "/reason": (b"HTTP/1.1 200 ", b"b"),
    "/interim": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    "/extension": (_OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x"),
    "/trailers": (_OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"X-A: b\r\n"),
}
GIB = 1024**3
ONE_BYTE_CHUNKS = b"1\r\nx\r\n" * 1000


class HostileInstance:
    """Listens on `port`; every connection is for one request."""

    def __init__(self) -> None:
        self.port = 0
        self.sent_bytes = 0  # of the latest endless answer
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None, "not started"
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            await self._answer(head.split(b" ")[1].decode(), head, reader, writer)
        writer.close()
        self._tasks.discard(task)

    async def _answer(self, path: str, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        what, _, count = path.partition("?")
        if what in ENDLESS:
            await self._endless(*ENDLESS[what], writer)
        elif what == "/gib":
            writer.write(_OK + b"Content-Length: %d\r\n\r\n" % GIB)
            for _ in range(GIB // len(_BLOCK)):
                writer.write(_BLOCK)
                await writer.drain()
        elif what == "/chunks":
            writer.write(_OK + b"Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(int(count) // 1000):
                writer.write(ONE_BYTE_CHUNKS)
                await writer.drain()
            writer.write(b"0\r\n\r\n")
        elif what == "/never":
            await reader.read(-1)
        else:
            await self._swallow(head, reader)
            writer.write(_OK + b"Content-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()

    async def _endless(self, start: bytes, piece: bytes, writer: asyncio.StreamWriter) -> None:
        self.sent_bytes = 0
        writer.write(start)
        block = piece * (len(_BLOCK) // len(piece))
        while self.sent_bytes < GIB:
            writer.write(block)
            await writer.drain()
            self.sent_bytes += len(block)

    async def _swallow(self, head: bytes, reader: asyncio.StreamReader) -> None:
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            tail = b""
            while not tail.endswith(b"0\r\n\r\n"):
                data = await reader.read(65536)
                if not data:
                    return
                tail = (tail + data)[-5:]
        elif b"content-length: " in lower:
            length = int(lower.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            while length > 0 and (data := await reader.read(65536)):
                length -= len(data)
