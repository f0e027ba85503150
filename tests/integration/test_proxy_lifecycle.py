"""Listeners, draining, loops, and the answers Prana makes itself."""

import asyncio
import socket
from pathlib import Path

import pytest

from prana.config.settings import ServicePolicy
from prana.config.units import Address
from prana.startup import StartupError
from prana.wire import limits

from .conftest import Caller, Peer, Running, StartSidecar, Upstream, answering, get, policy_of, response, until


async def test_while_draining_answers_close_and_what_is_in_flight_finishes(
    running: Running, upstream: Upstream
) -> None:
    go_on = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.request()
        await go_on.wait()
        await peer.send(response(b"finished"))

    idle, busy = await running.open(), await running.open()
    assert (await idle.ask(get(b"/orders/"))).values(b"Connection") == []
    for peer in upstream.peers:
        peer.close()
    await until(lambda: running.upstream_connections == 0)
    upstream.serve = serve
    await busy.send(get(b"/orders/"))
    await until(lambda: len(upstream.requests) == 2)
    running.stop.requested.set()
    assert await idle.rest() == b"", "an idle connection ends at once"
    with pytest.raises(ConnectionError):
        await running.open()
    assert not running.task.done()
    go_on.set()
    answer = await busy.answer()
    assert (answer.body, answer.value(b"Connection")) == (b"finished", b"close")
    await running.task


async def test_new_calls_are_still_served_during_the_drain_delay(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    running = await start_sidecar(upstream.port)
    running.stop.drain_delay_s = 0.8
    running.stop.requested.set()
    await until(lambda: running.sidecar._server.draining)
    answer = await running.ask(get(b"/orders/"))
    assert (answer.status, answer.value(b"Connection")) == (200, b"close")


async def test_a_connection_that_has_just_come_may_still_send_its_request(running: Running) -> None:
    used, fresh = await running.open(), await running.open()
    await used.ask(get(b"/orders/"))
    running.stop.requested.set()
    await until(lambda: not running.sidecar._server.addresses)
    for caller in (used, fresh):
        answer = await caller.ask(get(b"/orders/"))
        assert (answer.status, answer.value(b"Connection")) == (200, b"close")
    await running.task


async def test_a_request_whose_head_has_begun_is_waited_for(running: Running) -> None:
    caller, idle = await running.open(), await running.open()
    await caller.send(b"GET /orders/ HTTP/1.1\r\n")
    running.stop.requested.set()
    assert await idle.rest() == b"", "which takes longer than any connection counts as used"
    answer = await caller.ask(b"Host: a\r\n\r\n")
    assert (answer.status, answer.value(b"Connection")) == (200, b"close")
    await running.task


async def test_an_answer_that_said_nothing_of_a_close_is_not_followed_by_one(
    running: Running, upstream: Upstream
) -> None:
    """Draining begins between an answer's head and its end."""
    go_on = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        await go_on.wait()
        await peer.send(b"cd")

    upstream.serve = serve
    caller = await running.open()
    await caller.send(get(b"/orders/"))
    head = await caller._until(b"ab")
    assert b"Connection:" not in head
    running.stop.requested.set()
    await until(lambda: running.sidecar._server.draining)
    go_on.set()
    await caller._until(b"cd")
    upstream.serve = answering
    assert (await caller.ask(get(b"/orders/"))).value(b"Connection") == b"close"
    await running.task


async def test_what_exceeds_the_grace_is_cut_off_visibly(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nstart")
        await peer.ended()

    upstream.serve = serve
    running = await start_sidecar(upstream.port, grace_s=0.1)
    caller = await running.open()
    await caller.send(get(b"/orders/"))
    await caller._until(b"start")
    running.stop.requested.set()
    assert not (await caller.rest_or_nothing()).endswith(b"0\r\n\r\n")
    await running.task


async def test_a_unix_socket_serves_like_a_port(
    start_sidecar: StartSidecar, upstream: Upstream, tmp_path: Path
) -> None:
    path = tmp_path / "prana.sock"
    listen = (Address("127.0.0.1", 0), Address(unix_path=str(path)))
    running = await start_sidecar(upstream.port, proxy={"listen": listen})
    caller = Caller(*await asyncio.open_unix_connection(str(path)))
    for _ in range(2):
        answer = await caller.ask(get(b"/orders/a", b"X-Forwarded-For: 203.0.113.7", b"X-Prana-Explain: 1"))
        assert answer.status == 200
        assert answer.value(b"X-Prana-Attempts") == b"1", "whoever may open the socket is on this machine"
    recorded = upstream.requests[0]
    assert recorded.values(b"X-Forwarded-For") == [b"203.0.113.7, 127.0.0.1"]
    assert recorded.values(b"X-Forwarded-Port") == [b"80"]
    caller.close()
    running.stop.requested.set()
    await running.task
    assert not path.exists()


async def test_a_unix_socket_belongs_to_the_one_that_answers_on_it(
    start_sidecar: StartSidecar, upstream: Upstream, tmp_path: Path
) -> None:
    path = tmp_path / "prana.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    listen = (Address("127.0.0.1", 0), Address(unix_path=str(path)))
    first = await start_sidecar(upstream.port, proxy={"listen": listen})
    with pytest.raises(StartupError, match=r"prana\.sock is taken"):
        await start_sidecar(upstream.port, proxy={"listen": listen})
    Caller(*await asyncio.open_unix_connection(str(path))).close()
    path.unlink()
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(str(path))
        first.stop.requested.set()
        await first.task
        assert path.exists(), "it is another's by now"


async def test_an_instance_that_is_this_very_sidecar_is_a_loop(start_sidecar: StartSidecar) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    running = await start_sidecar(port, proxy={"listen": (Address("127.0.0.1", port),)})
    answer = await running.ask(get(b"/orders/orders/orders/x"))
    assert answer.problem == (508, "proxy_loop_detected")
    assert running.sidecar.metrics.connections_total == 2, "one turn is enough to see it"


async def test_an_unknown_service_is_404_in_any_case_of_the_letters(running: Running) -> None:
    answer = await running.ask(get(b"/No-Body/x"))
    assert answer.problem == (404, "destination_not_found")
    assert answer.json["service"] == "no-body"
    assert answer.json["attempts"] == 0
    assert "no-body" in answer.json["detail"]
    others = {series.name for series in running.sidecar.metrics.all_series()}
    assert others == {"other", "prana:compat"}, "callers cannot make series"


async def test_a_host_name_that_does_not_resolve_is_a_failed_connection(start_sidecar: StartSidecar) -> None:
    instances = (Address("no-such-host.invalid", 80),)
    running = await start_sidecar(more={"orders": ServicePolicy(instances=instances)})
    assert (await running.ask(get(b"/orders/"))).problem == (502, "connection_refused")


async def test_an_instance_may_be_given_by_host_name(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    instances = (Address("localhost", upstream.port),)
    running = await start_sidecar(more={"orders": ServicePolicy(instances=instances)})
    assert (await running.ask(get(b"/orders/"))).status == 200
    assert upstream.requests[0].values(b"Host") == [b"localhost:%d" % upstream.port]


async def test_services_are_kept_apart(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    running = await start_sidecar(upstream.port, more={"other": policy_of(1)})
    assert (await running.ask(get(b"/orders/"))).status == 200
    assert (await running.ask(get(b"/other/"))).problem == (502, "connection_refused")
    assert running.service("orders").commands[0].breaker.health.error_count == 0
    assert running.service("other").commands[0].breaker.health.error_count == 1


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become tenths: the clockwork that is not configurable."""
    monkeypatch.setattr("prana.wire.server.SWEEP_INTERVAL_S", 0.02)
    for name in ("HEAD_TIMEOUT_S", "KEEP_ALIVE_TIMEOUT_S", "LINGER_TIMEOUT_S"):
        monkeypatch.setattr(f"prana.wire.downstream.{name}", 0.3)
    monkeypatch.setattr("prana.wire.pool.UPSTREAM_IDLE_TIMEOUT_S", 0.1)
    assert limits.HEAD_TIMEOUT_S > 1


@pytest.mark.usefixtures("hurry")
async def test_a_head_that_comes_byte_by_byte_gets_408_in_the_end(running: Running, upstream: Upstream) -> None:
    caller = await running.open()
    await caller.send(b"GET /orders/")
    while running.sidecar.metrics.other.requests_total == 0:
        await caller.send(b"a")  # which buys no time
        await asyncio.sleep(0.02)
    assert (await caller.answer()).problem == (408, "http_request_error")
    assert await caller.ended() in ("closed", "reset")
    assert upstream.connections == 0


@pytest.mark.usefixtures("hurry")
async def test_a_head_that_began_behind_another_request_has_its_time_too(running: Running, upstream: Upstream) -> None:
    caller = await running.open()
    await caller.send(get(b"/orders/") + b"GET /orders/ HT")
    assert (await caller.answer()).status == 200
    assert (await caller.answer()).problem == (408, "http_request_error")
    assert len(upstream.requests) == 1


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("raw", [b"", get(b"/orders/")], ids=["never used", "after an answer"])
async def test_an_idle_connection_is_closed(running: Running, raw: bytes) -> None:
    caller = await running.open()
    if raw:
        await caller.ask(raw)
    assert await caller.ended() in ("closed", "reset")


@pytest.mark.usefixtures("hurry")
async def test_a_caller_that_never_stops_sending_after_its_answer_is_cut_off(running: Running) -> None:
    caller = await running.open()
    await caller.send(get(b"/nobody/", b"Content-Length: 1000000000", method=b"POST"))
    assert (await caller.answer()).status == 404
    with pytest.raises(ConnectionError):
        async with asyncio.timeout(5):
            while True:
                await caller.send(bytes(1000))
                await asyncio.sleep(0.005)
    await until(lambda: len(running.sidecar._server) == 0)


@pytest.mark.usefixtures("hurry")
async def test_idle_upstream_connections_are_closed(running: Running, upstream: Upstream) -> None:
    await running.ask(get(b"/orders/"))
    await until(lambda: upstream.ends == 1)
    assert running.upstream_connections == 0
    upstream.serve = answering
    assert (await running.ask(get(b"/orders/"))).status == 200
