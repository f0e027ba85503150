"""Connections: reuse on both sides, pipelining, and what ends them."""

import asyncio

from prana.wire.limits import MAX_PIPELINED

from .conftest import Peer, Recorded, Running, StartSidecar, Upstream, answering, get, response, until


async def test_sequential_requests_share_one_connection_on_both_sides(running: Running, upstream: Upstream) -> None:
    caller = await running.open()
    for number in range(5):
        answer = await caller.ask(get(b"/orders/%d" % number))
        assert (answer.status, answer.body) == (200, b"ok")
    assert upstream.connections == 1
    assert [request.line for request in upstream.requests] == [b"GET /%d HTTP/1.1" % n for n in range(5)]


async def test_callers_take_turns_on_one_upstream_connection(running: Running, upstream: Upstream) -> None:
    for _ in range(3):
        assert (await running.ask(get(b"/orders/"))).status == 200
    assert upstream.connections == 1


async def test_a_pipelining_caller_is_not_read_far_ahead_of_its_answers(running: Running, upstream: Upstream) -> None:
    go_on = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.request()
        await go_on.wait()
        await peer.send(response())
        await answering(peer)

    upstream.serve = serve
    caller = await running.open()
    count = 40_000
    await caller.send(get(b"/orders/"))
    sending = asyncio.create_task(caller.send(get(b"/orders/0") * count))
    (connection,) = running.sidecar._server._connections
    await until(lambda: connection._held, "the sidecar to stop reading")
    buffered = sum(map(len, connection._unread))
    assert len(connection._waiting) < MAX_PIPELINED + 65536 // len(get(b"/orders/0")) + 2
    assert buffered <= 512 * 1024
    go_on.set()
    for _ in range(200):
        assert (await caller.answer()).status == 200
    caller.reset()
    sending.cancel()


async def test_a_keep_alive_header_with_a_short_timeout_is_believed(running: Running, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        await answering(peer, response(b"x", b"Keep-Alive: timeout=1"))

    upstream.serve = serve
    for _ in range(2):
        await running.ask(get(b"/orders/"))
        await until(lambda: running.idle)
    assert upstream.connections == 1
    (idle,) = running.sidecar._pool._open
    idle.idle_since_s -= 0.5
    await running.ask(get(b"/orders/"))
    assert upstream.connections == 2


async def test_what_the_server_calls_its_last_answer_is_the_last_on_its_connection(
    running: Running, upstream: Upstream
) -> None:
    async def serve(peer: Peer) -> None:
        await answering(peer, response(b"x", b"Keep-Alive: timeout=5, max=0"))

    upstream.serve = serve
    for count in (1, 2):
        await running.ask(get(b"/orders/"))
        await until(lambda: running.upstream_connections == 0)
        assert upstream.connections == count


async def test_more_callers_than_max_connections_are_turned_away(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    running = await start_sidecar(upstream.port, proxy={"max_connections": 2})
    first, second = await running.open(), await running.open()
    await first.ask(get(b"/orders/"))
    await second.ask(get(b"/orders/"))
    third = await running.open()
    answer = await third.ask(get(b"/orders/"))
    assert (answer.status, answer.value(b"Proxy-Status")) == (503, b"prana; error=connection_limit_reached")
    assert (answer.value(b"Retry-After"), answer.value(b"Content-Type")) == (b"1", b"application/problem+json")
    assert answer.json["status"] == 503
    assert await third.ended() in ("closed", "reset")
    first.close()
    await until(lambda: len(running.sidecar._server) == 1)
    assert (await running.ask(get(b"/orders/"))).status == 200


async def test_callers_that_come_all_at_once_are_counted_one_by_one(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    running = await start_sidecar(upstream.port, proxy={"max_connections": 3})
    callers = [await running.open() for _ in range(100)]
    for caller in callers:
        await caller.send(get(b"/orders/"))
    statuses = [(await caller.answer()).status for caller in callers]
    assert sorted(statuses) == [200] * 3 + [503] * 97
    for caller in callers:
        caller.close()
    await until(lambda: len(running.sidecar._server) == 0 and not running.sidecar._server._refusals)


async def test_the_recorder_sees_one_request_per_accepted_request(running: Running, upstream: Upstream) -> None:
    answers = await asyncio.gather(*(running.ask(get(b"/orders/%d" % n, b"X-Id: %d" % n)) for n in range(50)))
    assert {answer.status for answer in answers} == {200}
    seen = sorted(int(request.values(b"X-Id")[0]) for request in upstream.requests)
    assert seen == list(range(50))


def test_a_recorded_request_is_parsed_as_it_is() -> None:
    recorded = Recorded(b"GET / HTTP/1.1\r\nA: b\r\na: c\r\n\r\n")
    assert (recorded.line, recorded.values(b"A")) == (b"GET / HTTP/1.1", [b"b", b"c"])
