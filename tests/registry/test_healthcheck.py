import asyncio
import gzip
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from registry.healthcheck import HealthCheck, HttpProbe, RiseFall, TcpProbe, Verdict

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[str]]
ServeBytes = Callable[[bytes], Awaitable[str]]

OK = range(200, 300)


@pytest.mark.parametrize(
    ("rise", "fall", "results", "ups"),
    [
        (1, 3, "+", "U"),
        (1, 3, "----+", "????U"),
        (2, 3, "+-++", "???U"),
        (1, 3, "+--+--+", "UUUUUUU"),
        (1, 3, "+---", "UUUD"),
        (1, 1, "+-+-", "UDUD"),
        (2, 2, "++--+-++", "?UUDDDDU"),
    ],
)
def test_rise_successes_bring_it_up_and_fall_failures_down(rise: int, fall: int, results: str, ups: str) -> None:
    state = RiseFall(rise, fall)
    before = "?"
    for result, expected in zip(results, ups, strict=True):
        changed = state.observe(result == "+")
        assert {None: "?", True: "U", False: "D"}[state.up] == expected
        assert changed is (before != expected)
        before = expected


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
    got = await HttpProbe(url, 5, OK).check()
    assert got.healthy is verdict.healthy
    assert got.reason == verdict.reason


async def test_a_json_body_is_understood_when_packed(serve: Serve) -> None:
    packed = gzip.compress(b'{"status":"DOWN"}')
    url = await serve(answer(200, packed, **{"Content-Encoding": "gzip"}))
    assert not (await HttpProbe(url, 5, OK).check()).healthy


async def test_an_app_that_hangs_is_unhealthy_after_the_timeout(serve: Serve) -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    assert await HttpProbe(await serve(hang), 0.05, OK).check() == Verdict(False, "timed out")


async def test_an_endless_body_is_judged_by_its_status(serve: Serve) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 10_000)

    assert (await HttpProbe(await serve(stream), 5, OK).check()).healthy


@pytest.mark.parametrize("garbage", [b"", b"no http\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
async def test_garbage_is_unhealthy_and_said_in_one_line(garbage: bytes, serve_bytes: ServeBytes) -> None:
    verdict = await HttpProbe(await serve_bytes(garbage), 5, OK).check()
    assert not verdict.healthy
    assert verdict.reason
    assert "\n" not in verdict.reason


async def test_nobody_listening_is_unhealthy() -> None:
    over_http = await HttpProbe("http://127.0.0.1:1/", 5, OK).check()
    assert not over_http.healthy
    assert over_http.reason.startswith("cannot connect to 127.0.0.1:1")
    over_tcp = await TcpProbe("127.0.0.1", 1, 5).check()
    assert not over_tcp.healthy
    assert over_tcp.reason.startswith("port 1: ")


async def test_a_url_that_is_none_does_not_show_its_credentials() -> None:
    verdict = await HttpProbe("http://user:canary@:99999999/", 5, OK).check()
    assert not verdict.healthy
    assert "canary" not in verdict.reason


async def test_a_port_that_accepts_is_healthy(serve: Serve) -> None:
    port = int((await serve(answer(200))).split(":")[2].split("/")[0])
    assert await TcpProbe("127.0.0.1", port, 5).check() == Verdict(True, f"port {port} accepts")


class Script:
    """A probe with prepared results, and the sleep between them; ends the check when it has no more."""

    def __init__(self, results: str) -> None:
        self._results = list(results)
        self.sleeps: list[float] = []

    async def check(self) -> Verdict:
        healthy = self._results.pop(0) == "+"
        return Verdict(healthy, "fine" if healthy else "broken")

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        if not self._results:
            raise asyncio.CancelledError


async def follow(results: str, interval_s: float) -> tuple[HealthCheck, list[bool], list[float]]:
    script, changes = Script(results), list[bool]()
    check = HealthCheck(script, interval_s=interval_s, rise=1, fall=2, on_change=changes.append, sleep=script.sleep)
    assert (check.up, check.last_reason) == (None, "not checked yet")
    with pytest.raises(asyncio.CancelledError):
        await check.run()
    return check, changes, script.sleeps


async def test_it_checks_at_once_and_every_second_until_the_app_is_first_up() -> None:
    check, changes, sleeps = await follow("---+--+", 10)
    assert sleeps == [1, 1, 1, 10, 10, 10, 10]
    assert changes == [True, False, True]
    assert (check.up, check.last_reason) == (True, "fine")


async def test_a_shorter_interval_is_kept_from_the_start() -> None:
    _, _, sleeps = await follow("-+", 0.5)
    assert sleeps == [0.5, 0.5]


async def test_the_last_reason_is_that_of_the_last_probe_even_without_a_change() -> None:
    check, changes, _ = await follow("+-", 10)
    assert changes == [True]
    assert (check.up, check.last_reason) == (True, "broken")


async def test_changes_are_logged_once() -> None:
    with capture_logs() as logs:
        await follow("++----++", 10)
    assert [(line["event"], line["reason"]) for line in logs] == [
        ("app up", "fine"),
        ("app down", "broken"),
        ("app up", "fine"),
    ]
