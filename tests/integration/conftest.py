"""A real sidecar between raw sockets: callers and instances send what a test says, and keep the exact bytes they got.

A status code is no evidence, so what counts is what reached the instance. The parsing here is naive on purpose: it is
a second opinion, not the parser under test.
"""

import asyncio
import contextlib
import json
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
import uvloop

from prana.app import Sidecar
from prana.config.settings import Admin, Eureka, Proxy, Retry, ServicePolicy, Settings, Shutdown
from prana.config.units import Address
from prana.service import Service
from prana.signals import Stop

PATIENCE_S = 10.0  # far more than anything here takes, so that a busy machine fails no test
Headers = list[tuple[bytes, bytes]]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Any]:
    """The loop of production."""
    return {"uvloop": uvloop.new_event_loop}


async def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Wait until `condition` holds, as briefly as possible."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - any condition, not only what has an event
                await asyncio.sleep(0.002)
    except TimeoutError:
        pytest.fail(f"waited {PATIENCE_S} s in vain for {what}")


def parsed_lines(head: bytes) -> tuple[bytes, Headers]:
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    return first, [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]


class Wire:
    """One end of a TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.received = bytearray()  # every byte read so far
        self.trailers: Headers = []  # of the latest chunked body

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def half_close(self) -> None:
        self.writer.write_eof()

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Close with RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def _exactly(self, count: int) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            data = await self.reader.readexactly(count)
        self.received += data
        return data

    async def _until(self, end: bytes) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            data = await self.reader.readuntil(end)
        self.received += data
        return data

    async def rest(self) -> bytes:
        """Everything until the end; raises ConnectionResetError when that is a reset."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.read()

    async def rest_or_nothing(self) -> bytes:
        """Everything until the end, or nothing when that is a reset."""
        try:
            return await self.rest()
        except ConnectionResetError:
            return b""

    async def ended(self) -> str:
        """How the other side ends the connection, whatever it sends before: "closed" or "reset"."""
        try:
            await self.rest()
        except ConnectionResetError:
            return "reset"
        return "closed"

    async def _body(self, headers: Headers) -> bytes:
        framing = {name.lower(): value for name, value in headers}
        if b"transfer-encoding" in framing:
            assert b"content-length" not in framing
            return await self._chunked()
        return await self._exactly(int(framing.get(b"content-length", b"0")))

    async def _chunked(self) -> bytes:
        body = b""
        while size := int(await self._until(b"\r\n"), 16):
            body += await self._exactly(size)
            assert await self._exactly(2) == b"\r\n"
        self.trailers = []
        while (line := await self._until(b"\r\n")) != b"\r\n":
            name, _, value = line.removesuffix(b"\r\n").partition(b": ")
            self.trailers.append((name, value))
        return body


@dataclass
class Recorded:
    """A request as it reached an instance."""

    head: bytes
    body: bytes = b""
    trailers: Headers = field(default_factory=list)
    whole: bool = False  # its body was read to the end
    line: bytes = b""
    headers: Headers = field(default_factory=list)

    def __post_init__(self) -> None:
        self.line, self.headers = parsed_lines(self.head)

    def values(self, name: bytes) -> list[bytes]:
        return [value for each, value in self.headers if each.lower() == name.lower()]


class Peer(Wire):
    """An instance's end of a connection."""

    requests: list[Recorded]
    upstream: "Upstream"

    async def head(self) -> Recorded:
        """The next request head; its body is left to the test."""
        recorded = Recorded(await self._until(b"\r\n\r\n"))
        self.requests.append(recorded)
        self.upstream.requests.append(recorded)
        return recorded

    async def request(self) -> Recorded:
        recorded = await self.head()
        recorded.body = await self._body(recorded.headers)
        recorded.trailers = self.trailers
        recorded.whole = True
        return recorded


Serve = Callable[[Peer], Awaitable[None]]


def response(body: bytes = b"ok", *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, *headers, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


OK = response()


async def answering(peer: Peer, answer: bytes | Callable[[Recorded], bytes] = OK) -> None:
    """Keep-alive: the same answer to every request."""
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            recorded = await peer.request()
            await peer.send(answer if isinstance(answer, bytes) else answer(recorded))


async def breaking_off(peer: Peer) -> None:
    """Takes a request and closes without an answer."""
    await peer.request()


async def silent(peer: Peer) -> None:
    await peer.request()
    await peer.ended()


async def unavailable(peer: Peer) -> None:
    await answering(peer, response(b"busy", status=b"503 Service Unavailable"))


class Upstream:
    """An instance that records. Each connection is served by `serve`, which a test may replace at any time."""

    def __init__(self, serve: Serve, tls: ssl.SSLContext | None = None) -> None:
        self.serve = serve
        self.tls = tls
        self.port = 0
        self.peers: list[Peer] = []
        self.ends = 0  # connections that are over
        self.requests: list[Recorded] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port, limit=2**16, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(reader, writer)
        peer.requests, peer.upstream = [], self
        self.peers.append(peer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self.serve(peer)
        self.ends += 1
        writer.close()
        self._tasks.discard(task)

    @property
    def connections(self) -> int:
        return len(self.peers)

    @property
    def heads(self) -> list[bytes]:
        return [recorded.head for recorded in self.requests]

    async def stop(self) -> None:
        """Close the port and all connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._tasks):
            task.cancel()
        await until(lambda: not self._tasks, "the instance's connections to end")


@dataclass
class Answer:
    """A response as a caller got it."""

    head: bytes
    body: bytes = b""
    trailers: Headers = field(default_factory=list)
    interims: list[bytes] = field(default_factory=list)
    line: bytes = b""
    headers: Headers = field(default_factory=list)

    def __post_init__(self) -> None:
        self.line, self.headers = parsed_lines(self.head)

    @property
    def status(self) -> int:
        match = re.fullmatch(rb"HTTP/1\.1 ([0-9]{3}) [^\r\n]*", self.line)
        assert match, self.line
        return int(match[1])

    def values(self, name: bytes) -> list[bytes]:
        return [value for each, value in self.headers if each.lower() == name.lower()]

    def value(self, name: bytes) -> bytes:
        values = self.values(name)
        assert len(values) == 1, (name, self.head)
        return values[0]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> tuple[int, str]:
        """Status and Proxy-Status of an answer Prana made itself, which must be complete."""
        assert self.value(b"Content-Type") == b"application/problem+json", self.head
        problem = self.json
        assert set(problem) - {"route"} == {"type", "title", "status", "detail", "service", "request_id", "attempts"}
        assert problem["status"] == self.status
        assert problem["request_id"].encode() == self.value(b"X-Request-Id")
        status = self.value(b"Proxy-Status").decode()
        assert status.startswith("prana; error=")
        return self.status, status.removeprefix("prana; error=")


class Caller(Wire):
    """A caller's end of a connection."""

    async def answer(self, *, bodiless: bool = False) -> Answer:
        """The next response with its body; `bodiless` for what answers HEAD."""
        interims: list[bytes] = []
        while True:
            answer = Answer(await self._until(b"\r\n\r\n"), interims=interims)
            if answer.status >= 200:
                break
            interims.append(answer.head)
        if answer.values(b"Transfer-Encoding") or answer.values(b"Content-Length"):
            if not bodiless and answer.status not in (204, 304):
                answer.body = await self._body(answer.headers)
                answer.trailers = self.trailers
        elif not bodiless and answer.status not in (204, 304):
            answer.body = await self.rest()
        return answer

    async def ask(self, raw: bytes) -> Answer:
        await self.send(raw)
        return await self.answer()


def get(target: bytes, *headers: bytes, method: bytes = b"GET") -> bytes:
    lines = [method + b" " + target + b" HTTP/1.1", b"Host: localhost:8078", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def post(target: bytes, body: bytes, *headers: bytes, method: bytes = b"POST") -> bytes:
    return get(target, *headers, b"Content-Length: %d" % len(body), method=method) + body


class Running:
    """A sidecar at work."""

    def __init__(self, sidecar: Sidecar, stop: Stop, task: "asyncio.Task[None]") -> None:
        self.sidecar = sidecar
        self.stop = stop
        self.task = task
        self.port = int(sidecar.proxy_addresses[0].rpartition(":")[2])
        self._callers: list[Caller] = []

    async def open(self) -> Caller:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._callers.append(Caller(reader, writer))
        return self._callers[-1]

    async def ask(self, raw: bytes) -> Answer:
        """One request on a connection of its own."""
        caller = await self.open()
        answer = await caller.ask(raw)
        caller.close()
        return answer

    def service(self, name: str = "orders") -> Service:
        service = self.sidecar._services.peek(name)
        assert service is not None
        return service

    @property
    def idle(self) -> bool:
        """Nothing in flight by any count."""
        services = self.sidecar._services.all_made()
        return (
            self.sidecar._server.in_flight == 0
            and all(series.in_flight == 0 for series in self.sidecar.metrics.all_series())
            and all(command.bulkhead.in_use == 0 for service in services for command in service.commands)
            and all(node.pending == 0 for service in services for node in service.balancer.nodes)
        )

    @property
    def upstream_connections(self) -> int:
        return len(self.sidecar._pool)

    async def finish(self) -> None:
        for caller in self._callers:
            caller.close()
        await until(lambda: self.idle or self.task.done(), "every count to return to zero")
        self.stop.requested.set()
        async with asyncio.timeout(PATIENCE_S):
            await self.task


StartUpstream = Callable[..., Awaitable[Upstream]]
StartSidecar = Callable[..., Awaitable[Running]]


@pytest.fixture
def started_upstreams() -> list[Upstream]:
    """Every instance of the test."""
    return []


@pytest.fixture
async def start_upstream(started_upstreams: list[Upstream]) -> AsyncIterator[StartUpstream]:
    async def start(serve: Serve = answering, port: int = 0, tls: ssl.SSLContext | None = None) -> Upstream:
        upstream = Upstream(serve, tls)
        await upstream.start(port)
        started_upstreams.append(upstream)
        return upstream

    yield start
    for upstream in started_upstreams:
        await upstream.stop()


@pytest.fixture
async def upstream(start_upstream: StartUpstream) -> Upstream:
    """The one instance of `orders`."""
    return await start_upstream()


@pytest.fixture
async def start_sidecar() -> AsyncIterator[StartSidecar]:
    """Start a sidecar; `instances` are the ports of the service `orders`, `policy` is that service's, `settings` are
    tables instead of those given here.

    When the test is over, all counts must return to zero and no exception may have gone unhandled.
    """
    running: list[Running] = []
    unhandled: list[Mapping[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))

    async def start(
        *instances: int,
        more: Mapping[str, ServicePolicy] | None = None,
        proxy: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        grace_s: float = PATIENCE_S,
        **policy: Any,
    ) -> Running:
        services = dict(more or {})
        if instances:
            services["orders"] = policy_of(*instances, **policy)
        parts: dict[str, Any] = {
            "eureka": Eureka(urls=()),
            "proxy": Proxy(**{"listen": (Address("127.0.0.1", 0),), **(proxy or {})}),
            "admin": Admin(listen=Address("127.0.0.1", 0)),
            "shutdown": Shutdown(drain_delay=0.0, grace=grace_s),
            "services": services,
        }
        sidecar, stop = Sidecar(Settings(**parts | dict(settings or {}))), Stop(0.0)
        await sidecar.start()
        running.append(Running(sidecar, stop, asyncio.create_task(sidecar.run(stop))))
        return running[-1]

    with structlog.testing.capture_logs() as logs:
        yield start
        for each in running:
            await each.finish()
    assert not unhandled
    assert not [line for line in logs if line["event"] == "internal error"]


def policy_of(*ports: int, **policy: Any) -> ServicePolicy:
    return ServicePolicy(instances=tuple(Address("127.0.0.1", port) for port in ports), **policy)


NO_RETRY = Retry(max_retries=0)


@pytest.fixture
async def running(start_sidecar: StartSidecar, upstream: Upstream) -> Running:
    """A sidecar with the service `orders` of one instance, `upstream`."""
    return await start_sidecar(upstream.port)
