"""WebSocket handshakes over raw sockets: which reach an instance as such, and who gets the bytes behind them."""

import asyncio
from collections.abc import Sequence

import pytest

from prana.config.settings import Breaker
from prana.wire.upgrade import accept_value

from .conftest import (
    NO_RETRY,
    OK,
    PATIENCE_S,
    Caller,
    Peer,
    Recorded,
    Running,
    StartSidecar,
    StartUpstream,
    Upstream,
    answering,
    get,
    policy_of,
    response,
    until,
)

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE: tuple[bytes, ...] = (
    b"Connection: keep-alive, Upgrade",
    b"Upgrade: WebSocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: " + KEY,
)
ASK = get(b"/orders/chat?a=%20b", *HANDSHAKE)
EARLY = get(b"/orders/evil")


def accepted(*headers: bytes, accept: bytes = accept_value(KEY)) -> bytes:
    lines = [b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Accept: " + accept, *headers]
    return b"HTTP/1.1 101 Switching Protocols\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


ACCEPTED = accepted()


class Instance:
    """Answers a handshake when told to; the test has the connection then."""

    def __init__(self, upstream: Upstream, answer: bytes = ACCEPTED) -> None:
        self.answer = answer
        self.may_answer = asyncio.Event()
        self.peers: list[Peer] = []
        self.over = asyncio.Event()
        upstream.serve = self.serve

    async def serve(self, peer: Peer) -> None:
        recorded = await peer.request()
        if not recorded.values(b"Upgrade"):
            await peer.send(OK)
            await answering(peer)
            return
        self.peers.append(peer)
        await self.may_answer.wait()
        await peer.send(self.answer)
        await self.over.wait()

    @property
    def peer(self) -> Peer:
        (peer,) = self.peers
        return peer


@pytest.fixture
async def instance(upstream: Upstream) -> Instance:
    return Instance(upstream)


@pytest.fixture
async def running(start_sidecar: StartSidecar, upstream: Upstream) -> Running:
    """WebSocket is allowed, and nothing is tried twice."""
    return await start_sidecar(upstream.port, websocket=True, retry=NO_RETRY)


async def switched(caller: Caller) -> Recorded:
    """The 101 that a caller waits for."""
    head = Recorded(await caller._until(b"\r\n\r\n"))
    assert head.line == b"HTTP/1.1 101 Switching Protocols"
    return head


async def join(running: Running, instance: Instance) -> tuple[Caller, Peer]:
    """Both ends of a tunnel that stands."""
    before = len(instance.peers)
    instance.may_answer.set()
    caller = await running.open()
    await caller.send(ASK)
    await switched(caller)
    return caller, instance.peers[before]


async def passes(caller: Caller, peer: Peer) -> None:
    await caller.send(b"ping")
    assert await peer._exactly(4) == b"ping"
    await peer.send(b"pong")
    assert await caller._exactly(4) == b"pong"


def offers(upstream: Upstream) -> list[bytes]:
    """Everything that reached an instance and could make it leave HTTP."""
    return [value for each in upstream.requests for name in (b"Upgrade", b"Connection") for value in each.values(name)]


async def test_a_handshake_and_its_answer_pass_with_what_belongs_to_them(running: Running, instance: Instance) -> None:
    extra = [
        b"Sec-WebSocket-Protocol: chat, x",
        b"Sec-WebSocket-Extensions: permessage-deflate; a=1",
        b"Origin: http://o",
    ]
    chosen = [b"Sec-WebSocket-Protocol: x", b"Sec-WebSocket-Extensions: permessage-deflate", b"Set-Cookie: a=b"]
    instance.answer = accepted(
        *chosen, b"Connection: X-Hop", b"X-Hop: 1", b"Keep-Alive: timeout=5", b"Content-Length: 5"
    )
    instance.may_answer.set()
    caller = await running.open()
    await caller.send(get(b"/orders/chat?a=%20b", *HANDSHAKE, *extra, b"Content-Length: 0"))
    answer = await switched(caller)
    sent = instance.peer.requests[0]
    assert sent.line == b"GET /chat?a=%20b HTTP/1.1"
    assert (sent.values(b"Connection"), sent.values(b"Upgrade")) == ([b"Upgrade"], [b"websocket"])
    assert (sent.values(b"Sec-WebSocket-Key"), sent.values(b"Sec-WebSocket-Version")) == ([KEY], [b"13"])
    assert not {line for line in extra if line not in sent.head}
    assert not {line for line in chosen if line not in answer.head}
    assert (answer.values(b"Connection"), answer.values(b"Upgrade")) == ([b"Upgrade"], [b"websocket"])
    assert answer.values(b"Sec-WebSocket-Accept") == [accept_value(KEY)]
    assert answer.values(b"X-Request-Id") == sent.values(b"X-Request-Id")
    assert not {b"x-hop", b"keep-alive", b"content-length", b"transfer-encoding"} & {
        n.lower() for n, _ in answer.headers
    }
    await passes(caller, instance.peer)


@pytest.mark.parametrize("step", [1, 7, 10_000])
async def test_bytes_behind_a_handshake_wait_for_its_answer(
    running: Running, upstream: Upstream, instance: Instance, step: int
) -> None:
    caller = await running.open()
    raw = get(b"/orders/1") + ASK + EARLY
    for at in range(0, len(raw), step):
        await caller.send(raw[at : at + step])
        await asyncio.sleep(0)
    assert (await caller.answer()).status == 200
    await until(lambda: instance.peers, "the handshake")
    await asyncio.sleep(0.05)
    assert instance.peer.reader._buffer == b""  # type: ignore[attr-defined] # nothing behind the head
    assert [each.line for each in upstream.requests] == [b"GET /1 HTTP/1.1", b"GET /chat?a=%20b HTTP/1.1"]
    instance.may_answer.set()
    await switched(caller)
    assert await instance.peer._exactly(len(EARLY)) == EARLY
    await passes(caller, instance.peer)


async def test_what_a_caller_sends_too_early_is_bounded_and_not_lost(running: Running, instance: Instance) -> None:
    caller = await running.open()
    await caller.send(ASK)
    data = bytes(range(256)) * 2**16
    sending = asyncio.create_task(caller.send(data))
    await until(lambda: instance.peers, "the handshake")
    done, _ = await asyncio.wait([sending], timeout=0.2)
    assert not done, "nobody reads 16 MiB before the answer"
    instance.may_answer.set()
    await switched(caller)
    assert await instance.peer._exactly(len(data)) == data
    await sending


async def test_the_first_bytes_of_the_instance_come_with_its_answer(running: Running, instance: Instance) -> None:
    instance.answer = ACCEPTED + b"HTTP/1.1 200 OK\r\n\r\n"
    caller, peer = await join(running, instance)
    assert await caller._exactly(19) == b"HTTP/1.1 200 OK\r\n\r\n"
    await passes(caller, peer)


async def test_interim_answers_may_come_before_the_switch(running: Running, instance: Instance) -> None:
    instance.answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + ACCEPTED
    instance.may_answer.set()
    caller = await running.open()
    await caller.send(ASK)
    assert await caller._until(b"\r\n\r\n") == b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
    await switched(caller)


def without(*names: bytes) -> list[bytes]:
    return [line for line in HANDSHAKE if not line.startswith(names)]


NO_HANDSHAKE: dict[str, bytes] = {
    "method": get(b"/orders/", *HANDSHAKE, method=b"POST"),
    "head": get(b"/orders/", *HANDSHAKE, method=b"HEAD"),
    "old version of the protocol": get(b"/orders/", *without(b"Sec-WebSocket-V"), b"Sec-WebSocket-Version: 8"),
    "no version of the protocol": get(b"/orders/", *without(b"Sec-WebSocket-V")),
    "two versions of the protocol": get(b"/orders/", *HANDSHAKE, b"Sec-WebSocket-Version: 13"),
    "no key": get(b"/orders/", *without(b"Sec-WebSocket-K")),
    "two keys": get(b"/orders/", *HANDSHAKE, b"Sec-WebSocket-Key: " + KEY),
    "short key": get(b"/orders/", *without(b"Sec-WebSocket-K"), b"Sec-WebSocket-Key: dGhl"),
    "key of other bytes": get(b"/orders/", *without(b"Sec-WebSocket-K"), b"Sec-WebSocket-Key: " + b"\xff" * 22 + b"=="),
    "not nominated": get(b"/orders/", *without(b"Connection"), b"Connection: keep-alive"),
    "no connection": get(b"/orders/", *without(b"Connection")),
    "nothing offered": get(b"/orders/", *without(b"Upgrade")),
    "h2c": get(b"/orders/", *without(b"Upgrade"), b"Upgrade: h2c"),
    "two protocols": get(b"/orders/", *without(b"Upgrade"), b"Upgrade: websocket, h2c"),
    "two offers": get(b"/orders/", *HANDSHAKE, b"Upgrade: h2c"),
    "the same twice": get(b"/orders/", *HANDSHAKE, b"Upgrade: websocket"),
    "a look-alike of Unicode": get(b"/orders/", *without(b"Upgrade"), "Upgrade: web\u017focket".encode()),
    "key nominated": get(b"/orders/", *HANDSHAKE, b"Connection: Sec-WebSocket-Key"),
    "body": get(b"/orders/", *HANDSHAKE, b"Content-Length: 5") + b"GET /",
    "chunked body": get(b"/orders/", *HANDSHAKE, b"Transfer-Encoding: chunked") + b"5\r\nGET /\r\n0\r\n\r\n",
    "empty chunked body": get(b"/orders/", *HANDSHAKE, b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
}


@pytest.mark.parametrize("case", NO_HANDSHAKE)
async def test_what_is_no_whole_handshake_is_an_ordinary_request(
    running: Running, upstream: Upstream, case: str
) -> None:
    caller = await running.open()
    await caller.send(NO_HANDSHAKE[case] + get(b"/orders/next"))
    assert (await caller.answer(bodiless=case == "head")).status == 200
    assert (await caller.answer()).status == 200
    assert offers(upstream) == []
    assert [each.line for each in upstream.requests][1:] == [b"GET /next HTTP/1.1"]
    assert upstream.requests[0].body == (b"GET /" if case in ("body", "chunked body") else b"")


@pytest.mark.parametrize(
    "raw", [ASK.replace(b"keep-alive", b"close"), ASK.replace(b"HTTP/1.1", b"HTTP/1.0")], ids=["close", "HTTP/1.0"]
)
async def test_a_connection_that_ends_with_its_answer_is_not_switched(
    running: Running, upstream: Upstream, raw: bytes
) -> None:
    caller = await running.open()
    await caller.send(raw + EARLY)
    assert (await caller.answer()).status == 200
    assert await caller.rest() == b""
    assert offers(upstream) == []
    assert len(upstream.requests) == 1


async def test_a_malformed_handshake_is_refused(running: Running, upstream: Upstream) -> None:
    for bad in (b"Host: two", b"Content-Length: 1\r\nTransfer-Encoding: chunked", b"Connection: Host"):
        assert (await running.ask(get(b"/orders/", *HANDSHAKE, bad))).status == 400
    assert upstream.requests == []


async def test_a_service_that_did_not_opt_in_never_sees_the_offer(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    running = await start_sidecar(upstream.port)
    caller = await running.open()
    for _ in range(2):
        assert (await caller.ask(ASK)).status == 200
    assert offers(upstream) == []
    await caller.send(ASK + EARLY)
    answer = await caller.answer()
    assert (answer.status, answer.value(b"Connection")) == (200, b"close")
    assert await caller.rest() == b""
    assert [each.line for each in upstream.requests] == [b"GET /chat?a=%20b HTTP/1.1"] * 3


REFUSALS: dict[str, bytes] = {
    "200": OK,
    "200 that looks like one": response(b"ok", b"Upgrade: websocket", b"Connection: upgrade"),
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "401": response(b"who?", status=b"401 Unauthorized"),
    "426": response(b"", b"Sec-WebSocket-Version: 8", status=b"426 Upgrade Required"),
    "503": response(b"", status=b"503 Service Unavailable"),
}


@pytest.mark.parametrize("case", REFUSALS)
@pytest.mark.parametrize("early", [b"", EARLY], ids=["patient", "impatient"])
async def test_a_refused_handshake_is_an_ordinary_answer_on_a_connection_for_this_once(
    running: Running, upstream: Upstream, instance: Instance, case: str, early: bytes
) -> None:
    caller = await running.open()
    instance.answer = REFUSALS[case]
    await caller.send(ASK + early)
    await until(lambda: instance.peers, "the handshake")
    await asyncio.sleep(0.01)
    instance.may_answer.set()
    answer = await caller.answer()
    assert answer.line == REFUSALS[case].partition(b"\r\n")[0]
    assert answer.values(b"Upgrade") == []
    assert answer.values(b"Connection") == ([b"close"] if early else [])
    if early:
        assert await caller.rest() == b""
    else:
        assert (await caller.ask(get(b"/orders/next"))).status == 200
    await instance.peer.ended()
    assert [each.line for each in upstream.requests][1:] == ([] if early else [b"GET /next HTTP/1.1"])
    assert upstream.connections == (1 if early else 2)


async def test_a_caller_that_sent_much_too_early_can_still_read_its_refusal(
    running: Running, instance: Instance
) -> None:
    instance.answer = response(b"no" * 1000, status=b"403 Forbidden")
    instance.may_answer.set()
    caller = await running.open()
    caller.writer.write(ASK + b"x" * 2**22)
    await until(lambda: instance.peers, "the handshake")
    await asyncio.sleep(0.2)
    answer = await caller.answer()
    assert (answer.status, answer.body) == (403, b"no" * 1000)
    assert instance.peer.requests[1:] == []


BAD_ACCEPTANCES: dict[str, bytes] = {
    "wrong accept": accepted(accept=b"a" * 27 + b"="),
    "two accepts": accepted(b"Sec-WebSocket-Accept: " + accept_value(KEY)),
    "no accept": ACCEPTED.replace(b"Sec-WebSocket-Accept", b"X"),
    "no upgrade": ACCEPTED.replace(b"Upgrade: websocket", b"X: y"),
    "another protocol": ACCEPTED.replace(b"Upgrade: websocket", b"Upgrade: h2c"),
    "two protocols": accepted(b"Upgrade: h2c"),
    "not nominated": ACCEPTED.replace(b"Connection: Upgrade", b"Connection: keep-alive"),
    "no connection": ACCEPTED.replace(b"Connection: Upgrade", b"X: y"),
}


@pytest.mark.parametrize("case", BAD_ACCEPTANCES)
async def test_a_101_must_switch_to_what_was_asked_for(running: Running, instance: Instance, case: str) -> None:
    instance.answer = BAD_ACCEPTANCES[case] + b"evil"
    instance.may_answer.set()
    caller = await running.open()
    assert (await caller.ask(ASK)).problem == (502, "http_protocol_error")
    assert await instance.peer.rest_or_nothing() == b""
    assert (await caller.ask(get(b"/orders/"))).status == 200


async def test_a_101_to_a_handshake_that_was_not_passed_on_is_garbage(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    async def switch(peer: Peer) -> None:
        await peer.request()
        await peer.send(ACCEPTED + b"evil")
        await peer.rest()

    upstream.serve = switch
    running = await start_sidecar(upstream.port, retry=NO_RETRY)
    assert (await running.ask(ASK)).problem == (502, "http_protocol_error")


async def test_a_101_behind_a_complete_answer_is_nobodys(running: Running, upstream: Upstream) -> None:
    async def twice(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + ACCEPTED + b"evil")
        await peer.rest()

    upstream.serve = twice
    caller = await running.open()
    for raw in (get(b"/orders/"), get(b"/orders/"), ASK):
        answer = await caller.ask(raw)
        assert (answer.status, answer.body) == (200, b"ok")
    assert upstream.connections == 3


async def test_two_callers_never_see_each_others_bytes_after_refused_handshakes(
    running: Running, upstream: Upstream
) -> None:
    """CVE-2026-73548: what an instance adds to a refusal waits on the connection for the next caller."""

    async def refuse(peer: Peer) -> None:
        while True:
            recorded = await peer.request()
            poison = response(b"poison") if recorded.values(b"Upgrade") else b""
            await peer.send(response(recorded.line.split()[1]) + poison)

    upstream.serve = refuse
    one, other = await running.open(), await running.open()
    for number in range(5):
        await one.send(get(b"/orders/one-%d" % number, *HANDSHAKE))
        assert (await one.answer()).body == b"/one-%d" % number
        assert (await other.ask(get(b"/orders/other-%d" % number))).body == b"/other-%d" % number
        assert (await one.ask(get(b"/orders/again-%d" % number))).body == b"/again-%d" % number


async def test_each_direction_ends_for_itself(running: Running, instance: Instance) -> None:
    data = bytes(range(256)) * 2**12
    for first in (True, False):
        caller, peer = await join(running, instance)
        one, other = (caller, peer) if first else (peer, caller)
        await one.send(b"last words")
        one.half_close()
        assert await other.rest() == b"last words"
        sending = asyncio.create_task(other.send(data))
        assert await one._exactly(len(data)) == data
        await sending
        other.half_close()
        assert await one.rest() == b""
        await until(lambda: running.idle and running.upstream_connections == 0, "the tunnel to end")
        assert running.service().metrics.requests_failed == 0
        instance.peers.clear()


async def test_what_is_written_last_is_not_lost_when_both_have_ended(running: Running, instance: Instance) -> None:
    caller, peer = await join(running, instance)
    caller.half_close()
    await peer.rest()
    data = bytes(range(256)) * 2**14
    peer.writer.write(data)
    peer.half_close()
    await asyncio.sleep(0.1)
    assert await caller.rest() == data


async def test_a_caller_that_has_said_all_before_the_switch_is_told_the_rest(
    running: Running, instance: Instance
) -> None:
    caller = await running.open()
    await caller.send(ASK)
    await until(lambda: instance.peers, "the handshake")
    caller.half_close()
    await asyncio.sleep(0.05)
    instance.may_answer.set()
    while (head := await caller._until(b"\r\n\r\n")) == b"HTTP/1.1 100 Continue\r\n\r\n":
        pass  # which asks whether it is still there
    assert head.startswith(b"HTTP/1.1 101 ")
    assert await instance.peer.rest() == b""
    await instance.peer.send(b"bye")
    instance.over.set()
    assert await caller.rest() == b"bye"


@pytest.mark.parametrize("who", ["caller", "instance"])
async def test_a_reset_of_one_side_is_seen_by_the_other(running: Running, instance: Instance, who: str) -> None:
    caller, peer = await join(running, instance)
    await passes(caller, peer)
    one, other = (caller, peer) if who == "caller" else (peer, caller)
    one.reset()
    assert await other.ended() == "reset"
    await until(lambda: running.idle and running.upstream_connections == 0, "the tunnel to end")
    metrics = running.service().metrics
    outcomes = {count.outcome.label: count.total for count in metrics.requests()}
    assert outcomes == ({"cancelled": 1} if who == "caller" else {"failure": 1})


async def test_a_caller_that_leaves_before_the_answer_takes_its_handshake_along(
    running: Running, instance: Instance
) -> None:
    caller = await running.open()
    await caller.send(ASK)
    await until(lambda: instance.peers, "the handshake")
    caller.reset()
    await instance.peer.ended()
    await until(lambda: running.idle and running.upstream_connections == 0, "the handshake to end")


@pytest.mark.parametrize("who", ["caller", "instance"])
async def test_a_side_that_does_not_read_holds_the_other_up(running: Running, instance: Instance, who: str) -> None:
    caller, peer = await join(running, instance)
    writer, reader = (peer, caller) if who == "caller" else (caller, peer)
    reader.reader._limit = 2**10  # type: ignore[attr-defined] # so that it stops reading itself
    data = bytes(range(256)) * 2**18
    sending = asyncio.create_task(writer.send(data))
    done, _ = await asyncio.wait([sending], timeout=0.3)
    assert not done, "64 MiB went somewhere"
    (connection,) = running.sidecar._server._connections
    tunnel = connection._tunnel
    assert tunnel is not None
    passed = tunnel.sent_bytes if who == "caller" else tunnel.received_bytes
    assert passed < 2**24, "what the kernel takes, and no more"
    got = bytearray()
    async with asyncio.timeout(PATIENCE_S):
        while len(got) < len(data):
            got += await reader.reader.read(2**20)
    assert got == data
    await sending
    await passes(caller, peer)


async def test_a_tunnel_through_which_nothing_goes_is_closed(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    instance = Instance(upstream)
    running = await start_sidecar(upstream.port, websocket=True, tunnel_idle_timeout=1.0)
    caller, peer = await join(running, instance)
    assert await caller.ended() == await peer.ended() == "closed"
    await until(lambda: running.idle, "the tunnel to end")
    assert running.service().metrics.requests_failed == 0


async def test_the_deadline_counts_until_the_switch(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    instance = Instance(upstream)
    times = {"timeout": 0.3, "attempt_timeout": 0.3, "idle_timeout": 0.1}
    running = await start_sidecar(upstream.port, websocket=True, retry=NO_RETRY, **times)
    assert (await running.ask(ASK)).problem == (504, "http_response_timeout")
    instance.peers.clear()
    caller, peer = await join(running, instance)
    await asyncio.sleep(0.5)
    await passes(caller, peer)


async def test_a_tunnel_holds_its_place_and_its_pick_and_is_counted(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    instance = Instance(upstream)
    running = await start_sidecar(upstream.port, websocket=True, max_concurrent=1, breaker=Breaker(request_volume=1))
    caller, peer = await join(running, instance)
    service = running.service()
    metrics = service.metrics
    assert (await running.ask(ASK)).problem == (503, "connection_limit_reached")
    assert [node.pending for node in service.balancer.nodes] == [1]
    assert [node.successes for node in service.balancer.nodes] == [1]
    assert (metrics.tunnels, metrics.tunnels_total, metrics.in_flight) == (1, 1, 1)
    assert running.sidecar.metrics.tunnels == 1
    await passes(caller, peer)
    await asyncio.sleep(0.3)
    caller.half_close()
    instance.over.set()
    assert await caller.rest() == b""
    await until(lambda: running.idle, "the tunnel to end")
    assert (metrics.tunnels, metrics.tunnels_total) == (0, 1)
    assert (metrics.tunnel_received_bytes, metrics.tunnel_sent_bytes) == (4, 4)
    assert metrics.duration.sum_s < 0.2, "the life of a tunnel is no latency"


async def test_a_handshake_goes_elsewhere_when_an_instance_cannot_be_reached_or_dies(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    async def die(peer: Peer) -> None:
        await peer.head()

    gone, dying, good = await start_upstream(), await start_upstream(die), await start_upstream()
    await gone.stop()
    instance = Instance(good)
    running = await start_sidecar(gone.port, dying.port, good.port, websocket=True)
    for _ in range(6):
        caller, peer = await join(running, instance)
        await passes(caller, peer)
    assert len(instance.peers) == 6
    assert running.service().metrics.retries > 0


async def test_tunnels_go_on_while_draining_and_are_cut_when_the_grace_ends(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    instance = Instance(upstream)
    running = await start_sidecar(upstream.port, websocket=True, grace_s=0.5)
    caller, peer = await join(running, instance)
    running.stop.requested.set()
    await until(lambda: running.sidecar._server.draining, "the drain")
    await asyncio.sleep(0.1)
    await passes(caller, peer)
    await caller.ended()
    await peer.ended()
    await running.task


async def test_a_drain_ends_with_the_last_tunnel(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    instance = Instance(upstream)
    running = await start_sidecar(upstream.port, websocket=True, grace_s=PATIENCE_S * 10)
    caller, _ = await join(running, instance)
    running.stop.requested.set()
    await until(lambda: running.sidecar._server.draining, "the drain")
    caller.half_close()
    instance.over.set()
    assert await caller.rest() == b""
    async with asyncio.timeout(PATIENCE_S):
        await running.task


async def test_each_service_opts_in_for_itself(start_sidecar: StartSidecar, start_upstream: StartUpstream) -> None:
    one, other = await start_upstream(), await start_upstream()
    instances: Sequence[Instance] = [Instance(one), Instance(other)]
    running = await start_sidecar(more={"orders": policy_of(one.port, websocket=True), "users": policy_of(other.port)})
    caller, peer = await join(running, instances[0])
    await passes(caller, peer)
    assert (await running.ask(ASK.replace(b"/orders/", b"/users/"))).status == 200
    assert instances[1].peers == []
