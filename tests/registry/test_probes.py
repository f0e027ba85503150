import gzip
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from registry.healthstate import Verdict
from registry.probes import HttpProbe, TcpProbe

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[str]]
ServeBytes = Callable[[bytes], Awaitable[str]]

OK = range(200, 300)


def answer(status: int, body: bytes = b"", **headers: str) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers=headers)

    return handle


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, b"", Verdict(True, "HTTP 200")),
        (204, b"", Verdict(True, "HTTP 204")),
        (200, b"fine", Verdict(True, "HTTP 200")),
        (200, b'{"status":"UP"}', Verdict(True, "HTTP 200")),
        (200, b'{"status":{"code":"UP"}}', Verdict(True, "HTTP 200")),
        (200, b'{"status":"DOWN"}', Verdict(False, "HTTP 200, status DOWN")),
        (200, b'{"status":"down"}', Verdict(False, "HTTP 200, status DOWN")),
        (200, b'{"status":{"code":"DOWN"}}', Verdict(False, "HTTP 200, status DOWN")),
        (200, b'{"status":"OUT_OF_SERVICE"}', Verdict(False, "HTTP 200, status OUT_OF_SERVICE")),
        (200, b'{"status":7}', Verdict(True, "HTTP 200")),
        (200, b'["DOWN"]', Verdict(True, "HTTP 200")),
        (200, b"\xff\xfe", Verdict(True, "HTTP 200")),
        (200, b"[" * 50_000, Verdict(True, "HTTP 200")),
        (200, b'{"status":"DOWN","pad":"%s"}' % (b"x" * 70_000), Verdict(True, "HTTP 200")),
        (503, b'{"status":"UP"}', Verdict(False, "HTTP 503")),
        (302, b"", Verdict(False, "HTTP 302")),
        (300, b"", Verdict(False, "HTTP 300")),
    ],
)
async def test_status_and_body_decide_about_an_http_probe(
    status: int, body: bytes, verdict: Verdict, serve: Serve
) -> None:
    url = await serve(answer(status, body, Location="/elsewhere"))
    got = await HttpProbe(url, OK).check()
    assert got.healthy is verdict.healthy
    assert got.reason == verdict.reason


async def test_a_json_body_is_understood_when_packed(serve: Serve) -> None:
    packed = gzip.compress(b'{"status":"DOWN"}')
    url = await serve(answer(200, packed, **{"Content-Encoding": "gzip"}))
    assert not (await HttpProbe(url, OK).check()).healthy


async def test_an_endless_body_is_judged_by_its_status(serve: Serve) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 10_000)

    assert (await HttpProbe(await serve(stream), OK).check()).healthy


@pytest.mark.parametrize("garbage", [b"", b"no http\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
async def test_garbage_is_unhealthy_and_said_in_one_line(garbage: bytes, serve_bytes: ServeBytes) -> None:
    verdict = await HttpProbe(await serve_bytes(garbage), OK).check()
    assert not verdict.healthy
    assert verdict.reason
    assert "\n" not in verdict.reason


async def test_nobody_listening_is_unhealthy() -> None:
    over_http = await HttpProbe("http://127.0.0.1:1/", OK).check()
    assert not over_http.healthy
    assert over_http.reason.startswith("cannot connect to 127.0.0.1:1")
    over_tcp = await TcpProbe("127.0.0.1", 1).check()
    assert not over_tcp.healthy
    assert over_tcp.reason.startswith("port 1: ")
    assert "Errno" not in over_http.reason + over_tcp.reason


async def test_a_name_that_the_dns_has_no_form_for_is_unhealthy() -> None:
    name = "a" * 64
    for probe in (HttpProbe(f"http://{name}:1/", OK), TcpProbe(name, 1)):
        assert not (await probe.check()).healthy


async def test_a_url_that_is_none_does_not_show_its_credentials() -> None:
    verdict = await HttpProbe("http://user:canary@:99999999/", OK).check()
    assert not verdict.healthy
    assert "canary" not in verdict.reason


async def test_a_port_that_accepts_is_healthy(serve: Serve) -> None:
    port = int((await serve(answer(200))).split(":")[2].split("/")[0])
    assert await TcpProbe("127.0.0.1", port).check() == Verdict(True, f"port {port} accepts")
