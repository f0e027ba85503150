"""The admin port over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import uvloop
from aiohttp import http_parser, web

from admin import server
from admin.metrics import ProxyMetrics
from admin.server import AdminServer, serve
from admin.views import AppView, ProxyView, ServiceView, Sources

from .conftest import FixedSources
from .ports import on

LOCAL = "Host: localhost"
FOREIGN = "Host: evil.example"


class Answer:
    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        status_line, *lines = head.decode().split("\r\n")
        self.status = int(status_line.split(" ")[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Ask = Callable[..., Awaitable[Answer]]
Open = Callable[..., Awaitable[AdminServer]]


@pytest.fixture
async def open_admin(sources_of: Callable[..., FixedSources], metrics: ProxyMetrics) -> AsyncIterator[Open]:
    opened: list[AdminServer] = []

    async def build(sources: Sources | None = None, token: str = "", host: str = "127.0.0.1") -> AdminServer:
        opened.append(await serve(sources or sources_of(), sources_of(), metrics, token, on(host)))
        return opened[-1]

    yield build
    for each in opened:
        await each.close()


async def exchange(admin: AdminServer, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", admin.port)
    try:
        writer.write(sent)
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()
        await writer.wait_closed()


async def ask(admin: AdminServer, path: str, *headers: str, method: str = "GET") -> Answer:
    lines = [f"{method} {path} HTTP/1.1", *(headers or (LOCAL,)), "Connection: close", "", ""]
    return Answer(await exchange(admin, "\r\n".join(lines).encode()))


@pytest.mark.parametrize(
    "path", ["/health", "/livez", "/readyz", "/info", "/metrics", "/metrics.json", "/prometheus", "/services"]
)
async def test_every_page_answers_get_and_head_with_safe_headers(open_admin: Open, path: str) -> None:
    admin = await open_admin()
    for method in ("GET", "HEAD"):
        answer = await ask(admin, path, method=method)
        assert answer.status == 200
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["server"] == "prana"
        assert int(answer.headers["content-length"]) > 0
        assert (answer.body == b"") == (method == "HEAD")


async def test_livez_answers_while_draining_and_readyz_does_not(
    open_admin: Open, sources_of: Callable[..., FixedSources], proxy: ProxyView
) -> None:
    admin = await open_admin(sources_of(proxy=replace(proxy, draining=True)))
    assert (await ask(admin, "/livez")).status == 200
    ready = await ask(admin, "/readyz")
    assert ready.status == 503
    assert ready.body.decode().splitlines() == [
        "[+]listening ok",
        "[+]registered ok",
        "[+]registry-read ok",
        "[+]warmed-up ok",
        "[-]not-draining failed",
        "readyz check failed",
    ]
    health = await ask(admin, "/health")
    assert (health.status, health.json["status"]) == (503, "OUT_OF_SERVICE")


async def test_readyz_lists_its_conditions_when_asked(open_admin: Open) -> None:
    admin = await open_admin()
    assert (await ask(admin, "/readyz")).body == b"ok\n"
    assert b"[+]registry-read ok\n" in (await ask(admin, "/readyz?verbose")).body


@pytest.mark.parametrize(
    ("path", "accept", "content_type"),
    [
        ("/metrics", "*/*", "application/json"),
        ("/metrics", "text/plain", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "/metrics",
            "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        ("/metrics?format=json", "text/plain", "application/json"),
        ("/metrics?format=prometheus", "*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("/metrics?format=openmetrics", "*/*", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("/metrics.json", "text/plain", "application/json"),
        ("/prometheus", "application/json", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
async def test_metrics_come_in_the_form_asked_for(open_admin: Open, path: str, accept: str, content_type: str) -> None:
    answer = await ask(await open_admin(), path, LOCAL, f"Accept: {accept}")
    assert answer.status == 200
    assert answer.headers["content-type"] == content_type
    assert answer.headers.get("vary") == ("Accept" if path.startswith("/metrics") and path != "/metrics.json" else None)
    if content_type == "application/json":
        assert list(answer.json) == ["hystrix", "ribbon", "eureka", "proxy"]
    else:
        assert b"prana_eureka_registered 1\n" in answer.body
        assert answer.body.endswith(b"# EOF\n") == content_type.startswith("application/openmetrics")


async def test_metrics_without_accept_are_json_and_several_accept_lines_count_as_one(open_admin: Open) -> None:
    admin = await open_admin()
    assert (await ask(admin, "/metrics", LOCAL)).headers["content-type"] == "application/json"
    two_lines = await ask(admin, "/metrics", LOCAL, "Accept: application/json;q=0.1", "Accept: text/plain")
    assert two_lines.headers["content-type"].startswith("text/plain")


async def test_an_unknown_format_is_told_which_there_are(open_admin: Open) -> None:
    answer = await ask(await open_admin(), "/metrics?format=xml")
    assert (answer.status, answer.json["formats"]) == (400, ["json", "prometheus", "openmetrics"])


async def test_a_service_is_found_by_name_in_any_case(open_admin: Open) -> None:
    admin = await open_admin()
    assert (await ask(admin, "/services/USERS")).json["name"] == "users"
    unknown = await ask(admin, "/services/%3Cscript%3E")
    assert (unknown.status, unknown.json["services"]) == (404, ["users"])
    assert unknown.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/config"),
        ("GET", "/openapi.json"),
        ("GET", "/requests/abc-1"),
        ("POST", "/drain"),
        ("POST", "/undrain"),
        ("POST", "/reload"),
        ("POST", "/log-level"),
    ],
)
async def test_pages_to_come_say_so(open_admin: Open, method: str, path: str) -> None:
    answer = await ask(await open_admin(), path, method=method)
    assert (answer.status, answer.json["detail"]) == (404, "not available yet")


@pytest.mark.parametrize("path", ["/nowhere", "/services/users/breaker/smash", "/health/", "/configs"])
async def test_other_pages_do_not_exist_and_the_answer_lists_those_that_do(open_admin: Open, path: str) -> None:
    answer = await ask(await open_admin(), path)
    assert (answer.status, answer.json["detail"]) == (404, "no such page")
    assert {"/health", "/metrics", "/services", "/services/{name}"} <= set(answer.json["pages"])
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_pages_can_only_be_read(open_admin: Open, method: str) -> None:
    answer = await ask(await open_admin(), "/health", method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.json["title"] == "Method Not Allowed"


@pytest.mark.parametrize("path", ["/services", "/services/users", "/nowhere", "/config", "/"])
async def test_a_foreign_host_header_opens_only_the_open_pages(open_admin: Open, path: str) -> None:
    admin = await open_admin()
    assert (await ask(admin, path, FOREIGN)).status == 403
    assert (await ask(admin, "/health", FOREIGN)).status == 200


async def test_health_details_are_for_those_who_may_see_everything(open_admin: Open) -> None:
    admin = await open_admin(token="secret")
    trusted = (await ask(admin, "/health", LOCAL)).json["components"]
    rebound = (await ask(admin, "/health", FOREIGN)).json["components"]
    token = (await ask(admin, "/health", FOREIGN, "Authorization: Bearer secret")).json["components"]
    assert trusted["eureka"]["details"]["servers"] == ["http://***@eureka-1:8761/eureka/"]
    assert rebound["eureka"] == {"status": "UP"}
    assert token == trusted


async def test_one_of_several_apps_has_a_health_page_of_its_own(
    open_admin: Open, sources_of: Callable[..., FixedSources], app: AppView
) -> None:
    admin = await open_admin(sources_of(apps=[app, replace(app, port=5001, status="DOWN")]))
    assert (await ask(admin, "/health")).status == 503
    well, ill = await ask(admin, "/health?app=orders:5000"), await ask(admin, "/health?app=orders:5001")
    assert (well.status, well.json["status"], well.json["components"]["app"]["status"]) == (200, "UP", "UP")
    assert (ill.status, ill.json["components"]["app"]["status"]) == (503, "DOWN")
    unknown = await ask(admin, "/health?app=orders")
    assert (unknown.status, unknown.json["apps"]) == (404, ["orders:5000", "orders:5001"])


async def test_beyond_loopback_only_the_token_opens_the_rest(open_admin: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiohttp.web.Request.remote", "10.0.0.7")
    closed = await open_admin()
    guarded = await open_admin(token="secret")
    assert (await ask(closed, "/metrics")).status == 200
    assert (await ask(closed, "/services")).status == 403
    refused = await ask(guarded, "/services", LOCAL, "Authorization: Bearer wrong")
    assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Bearer realm="prana admin"')
    assert (await ask(guarded, "/services", FOREIGN, "Authorization: Bearer secret")).status == 200


class BrokenSources:
    """Sources whose services cannot be read."""

    def __init__(self, sources: Sources) -> None:
        self.apps, self.eureka, self.proxy, self.info = sources.apps, sources.eureka, sources.proxy, sources.info

    def services(self) -> Sequence[ServiceView]:
        raise ZeroDivisionError("canary in the traceback")

    def service(self, name: str) -> ServiceView | None:
        raise TimeoutError


async def test_a_page_that_fails_answers_500_without_a_traceback(
    open_admin: Open, sources_of: Callable[..., FixedSources]
) -> None:
    admin = await open_admin(BrokenSources(sources_of()))
    answer = await ask(admin, "/services", LOCAL, "Accept: text/html")
    assert (answer.status, answer.headers["content-type"]) == (500, "application/problem+json")
    assert b"canary" not in answer.body
    assert b"Traceback" not in answer.body
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await ask(admin, "/health")).status == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"NOT HTTP AT ALL\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 10_000 + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
async def test_what_is_not_http_or_too_large_is_refused_as_a_problem_and_the_connection_closed(
    open_admin: Open, sent: bytes
) -> None:
    answer = Answer(await exchange(await open_admin(), sent))
    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")


async def test_a_header_block_that_never_ends_is_cut_off(open_admin: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_KEEPALIVE_S", 0.05)
    admin = await open_admin()
    assert await exchange(admin, b"GET /health HTTP/1.1\r\nHost: loc") == b""


@pytest.mark.parametrize("new_event_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_reader_that_never_reads_is_cut_off(
    sources_of: Callable[..., FixedSources],
    service: ServiceView,
    metrics: ProxyMetrics,
    monkeypatch: pytest.MonkeyPatch,
    new_event_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    monkeypatch.setattr(server, "_STALL_S", 0.05)
    large = replace(service, nodes=tuple(service.nodes) * 50_000)

    async def stall() -> int:
        admin = await serve(sources_of(services=[large]), sources_of(), metrics, "", on())
        cut_off = asyncio.Event()
        abort = server._Connection._abort_if_stalled

        def watched(connection: server._Connection) -> None:
            abort(connection)
            if connection._asyncio_transport.is_closing():
                cut_off.set()

        monkeypatch.setattr(server._Connection, "_abort_if_stalled", watched)
        reader, writer = await asyncio.open_connection("127.0.0.1", admin.port, limit=1024)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        await asyncio.wait_for(cut_off.wait(), 10)
        received = 0
        with suppress(ConnectionError):
            while data := await asyncio.wait_for(reader.read(1_000_000), 5):
                received += len(data)
        writer.close()
        await admin.close()
        return received

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        assert runner.run(stall()) < 8_000_000  # of about 10 MB


class SlowlyReadTransport(asyncio.Transport):
    """Has so many bytes unsent whenever it is asked."""

    def __init__(self, unsent_bytes: list[int]) -> None:
        super().__init__()
        self._left = unsent_bytes
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self._left.pop(0)

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize(
    ("unsent_bytes", "aborted"),
    [([0, 0, 0], False), ([300, 200, 100], False), ([300, 0, 300], False), ([0, 300, 300], True), ([300, 400], True)],
)
async def test_a_connection_is_cut_off_when_nothing_was_read_between_two_looks(
    unsent_bytes: list[int], aborted: bool
) -> None:
    async def no_page(request: web.BaseRequest) -> web.StreamResponse:
        raise NotImplementedError

    connection = server._Connection(web.Server(no_page), asyncio.get_running_loop())
    transport = SlowlyReadTransport(unsent_bytes)
    connection._asyncio_transport = transport
    while unsent_bytes:
        assert not transport.aborted
        connection._abort_if_stalled()
        if not transport.aborted:
            connection._check.cancel()
    assert transport.aborted == aborted


async def test_who_reads_slowly_but_steadily_is_not_cut_off() -> None:
    """However much of the next part of a stream is unsent again by the second look."""

    async def no_page(request: web.BaseRequest) -> web.StreamResponse:
        raise NotImplementedError

    connection = server._Connection(web.Server(no_page), asyncio.get_running_loop())
    transport = SlowlyReadTransport([300, 400, 400])
    connection._asyncio_transport = transport
    connection.pause_writing()
    connection._abort_if_stalled()
    connection._check.cancel()
    connection.resume_writing()
    connection.pause_writing()
    connection._abort_if_stalled()
    connection._check.cancel()
    assert not transport.aborted
    connection._abort_if_stalled()
    assert transport.aborted


async def test_one_connection_too_many_is_closed_at_once(open_admin: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_MAX_CONNECTIONS", 1)
    admin = await open_admin()
    _, writer = await asyncio.open_connection("127.0.0.1", admin.port)
    assert await exchange(admin, b"") == b""
    writer.close()
    await writer.wait_closed()


async def test_a_taken_port_raises(
    open_admin: Open, sources_of: Callable[..., FixedSources], metrics: ProxyMetrics
) -> None:
    admin = await open_admin()
    with pytest.raises(OSError, match="address already in use"):
        await serve(sources_of(), sources_of(), metrics, "", on(port=admin.port))


async def test_after_close_nobody_listens(sources_of: Callable[..., FixedSources], metrics: ProxyMetrics) -> None:
    admin = await serve(sources_of(), sources_of(), metrics, "", on())
    port = admin.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await admin.close()
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_the_pure_python_parser_is_refused(
    sources_of: Callable[..., FixedSources], metrics: ProxyMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    with pytest.raises(RuntimeError, match="pure-Python"):
        await serve(sources_of(), sources_of(), metrics, "", on())
