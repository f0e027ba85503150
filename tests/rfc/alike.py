"""How parsers that share no code read the same bytes: what two of them read differently is a way to smuggle."""

import asyncio
import http.client
import http.server
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from unittest import mock

import h11
import httptools
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy

LIMIT_BYTES = 2**20  # of every parser, for their limits are not the question here


@dataclass
class Reading:
    """A request as a parser understood it. Trailers are left out: two of the parsers drop them."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""


def read_alike(raw: bytes) -> list[Reading]:
    """The requests in `raw`, which every parser must read the same; one cut short at its end counts for none."""
    readings = {name: parse(raw) for name, parse in PARSERS.items()}
    first = readings["h11"]
    for name, reading in readings.items():
        assert reading == first, f"{name} reads otherwise than h11"
    return first


def _h11(raw: bytes) -> list[Reading]:
    readings: list[Reading] = []
    rest = raw
    while rest:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT_BYTES)
        connection.receive_data(rest)
        while (event := connection.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Request):
                reading = Reading(event.method, event.target, list(event.headers))
            elif isinstance(event, h11.Data):
                reading.body += event.data
            else:
                assert isinstance(event, h11.EndOfMessage), event
                readings.append(reading)
                break
        else:
            break
        rest = connection.trailing_data[0]
    return readings


class _Collected:
    """Callbacks of httptools."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.readings: list[Reading] = []

    def on_message_begin(self) -> None:
        self.reading = Reading(b"", b"")
        self.in_body = False

    def on_url(self, part: bytes) -> None:
        self.reading.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_body:
            self.reading.headers.append(_line(name, value))

    def on_headers_complete(self) -> None:
        self.reading.method = self.parser.get_method()
        self.in_body = True

    def on_body(self, part: bytes) -> None:
        self.reading.body += part

    def on_message_complete(self) -> None:
        self.readings.append(self.reading)


def _httptools(raw: bytes) -> list[Reading]:
    collected = _Collected()
    collected.parser.feed_data(raw)
    return collected.readings


def _aiohttp(parser_class: Any) -> Callable[[bytes], list[Reading]]:
    def parse(raw: bytes) -> list[Reading]:
        loop = asyncio.get_running_loop()
        protocol = BaseProtocol(loop)
        limits = {"max_line_size": LIMIT_BYTES, "max_field_size": LIMIT_BYTES, "max_headers": LIMIT_BYTES}
        parser = parser_class(protocol, loop, LIMIT_BYTES, auto_decompress=False, **limits)
        messages, upgraded, rest = parser.feed_data(raw)
        assert (upgraded, rest) == (False, b"")
        return [
            Reading(
                message.method.encode(),
                message.path.encode("utf-8", "surrogateescape"),
                [_line(name, value) for name, value in message.raw_headers],
                payload.read_nowait(),
            )
            for message, payload in messages
            if payload.is_eof()
        ]

    return parse


class _Handler(http.server.BaseHTTPRequestHandler):
    """The standard library's parser over bytes; it leaves bodies to whoever uses it."""

    protocol_version = "HTTP/1.1"

    def __init__(self, source: io.BytesIO) -> None:
        self.rfile = source

    def read(self) -> Reading | None:
        self.raw_requestline = self.rfile.readline()
        start = self.rfile.tell()
        if not self.raw_requestline or b"\r\n\r\n" not in self.rfile.getvalue()[start - 2 :]:  # type: ignore[attr-defined]
            return None
        assert self.parse_request()
        headers = [_line(name.encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        target = self.requestline.split(" ")[1]  # its own `path` has leading slashes merged
        reading = Reading(self.command.encode(), target.encode("latin-1"), headers)
        coding, length = self.headers.get("Transfer-Encoding"), int(self.headers.get("Content-Length", 0))
        body = self._chunks() if coding == "chunked" else self.rfile.read(length)
        if body is None or len(body) < length:
            return None
        reading.body = body
        return reading

    def _chunks(self) -> bytes | None:
        body = b""
        while (line := self.rfile.readline()).endswith(b"\r\n"):
            size = int(line, 16)
            data = self.rfile.read(size)
            body += data
            if size == 0:
                while (line := self.rfile.readline()) not in (b"\r\n", b""):
                    pass
                return body if line else None
            if len(data) < size or self.rfile.readline() != b"\r\n":
                break
        return None

    def handle_expect_100(self) -> bool:
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        raise AssertionError(f"{HTTPStatus(code)}: {message}")


def _http_server(raw: bytes) -> list[Reading]:
    source = io.BytesIO(raw)
    readings: list[Reading] = []
    with mock.patch.object(http.client, "_MAXHEADERS", LIMIT_BYTES):
        while (reading := _Handler(source).read()) is not None:
            readings.append(reading)
    return readings


def _line(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    return name.lower(), value.strip(b" \t")


PARSERS: dict[str, Callable[[bytes], list[Reading]]] = {
    "h11": _h11,
    "httptools": _httptools,
    "aiohttp": _aiohttp(HttpRequestParser),
    "aiohttp in pure Python": _aiohttp(HttpRequestParserPy),
    "http.server": _http_server,
}
