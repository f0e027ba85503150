"""An app as it might stand beside a sidecar: asyncio and the standard library, told by each request how to answer it.

`python app.py PORT NAME LEDGER`. Every path is answered with JSON about the request, but for:

- `GET /health`: the status set with `POST /control?health=STATUS`, or no answer at all for `hang`
- `GET /control`: how many requests came in, those to /health and /control not counted
- `GET /bytes?count=N[&chunked=1]`: that many bytes
- `PUT ANY`: takes a body of any size and says its length and CRC

Elsewhere `?status=500` and `?delay_s=0.5` are obeyed. The X-Id of each POST goes to the file LEDGER before it is
answered, so that whoever joins the ledgers knows what was done twice.
"""

import asyncio
import contextlib
import json
import os
import sys
import zlib
from collections.abc import AsyncIterator, Mapping
from random import Random
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

BLOCK = Random(0).randbytes(1024 * 1024)  # what /bytes sends, again and again
_READ_BYTES = 256 * 1024


class Head(NamedTuple):
    method: str
    path: str
    query: Mapping[str, str]
    fields: Mapping[str, str]  # by lower-case name


class App:
    def __init__(self, name: str, ledger: int) -> None:
        self._name = name
        self._ledger = ledger
        self._health = "200"
        self._seen = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept alive."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = _parsed(await reader.readuntil(b"\r\n\r\n"))
                await self._answer(head, reader, writer)
                await writer.drain()
        writer.close()

    async def _answer(self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size, crc = 0, 0
        async for data in _body(head, reader):
            size, crc = size + len(data), zlib.crc32(data, crc)
        if head.path == "/control":
            self._health = head.query.get("health", self._health)
            _write(writer, 200, {"seen": self._seen})
        elif head.path == "/health":
            if self._health == "hang":
                await asyncio.Event().wait()
            _write(writer, int(self._health), {"health": self._health})
        elif head.path == "/bytes":
            await _stream(writer, int(head.query["count"]), "chunked" in head.query)
        else:
            self._seen += 1
            if head.method == "POST":
                os.write(self._ledger, head.fields.get("x-id", "").encode() + b"\n")
            await asyncio.sleep(float(head.query.get("delay_s", "0")))
            told = {"app": self._name, "method": head.method, "path": head.path, "size": size, "crc": crc}
            _write(writer, int(head.query.get("status", "200")), told)


def _parsed(head: bytes) -> Head:
    line, *fields = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = line.split(" ")
    parts = urlsplit(target)
    pairs = (field.split(": ", 1) for field in fields)
    return Head(method, parts.path, dict(parse_qsl(parts.query)), {name.lower(): value for name, value in pairs})


async def _body(head: Head, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    if head.fields.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            async for data in _counted(reader, size):
                yield data
            await reader.readexactly(2)
        await reader.readuntil(b"\r\n")
    else:
        async for data in _counted(reader, int(head.fields.get("content-length", "0"))):
            yield data


async def _counted(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size:
        data = await reader.read(min(size, _READ_BYTES))
        if not data:
            raise asyncio.IncompleteReadError(data, size)
        size -= len(data)
        yield data


def _write(writer: asyncio.StreamWriter, status: int, document: Mapping[str, object]) -> None:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status} Told So\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


async def _stream(writer: asyncio.StreamWriter, count: int, chunked: bool) -> None:
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {count}"
    writer.write(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode())
    while count:
        data = BLOCK[:count]
        count -= len(data)
        writer.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
        await writer.drain()
    if chunked:
        writer.write(b"0\r\n\r\n")


async def main(port: int, name: str, ledger: str) -> None:
    app = App(name, os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    server = await asyncio.start_server(app.serve, "127.0.0.1", port, limit=_READ_BYTES)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
