"""Routes of a service over real sockets: what happens on one of them stays there, but for what the nodes are to all."""

import asyncio
import json

import pytest

from prana.config.settings import Breaker, CommandRetry, Eureka, Fallback, Retry, RoutePolicy
from prana.wire.upgrade import accept_value

from .conftest import (
    NO_RETRY,
    Answer,
    Caller,
    Peer,
    Recorded,
    Running,
    StartSidecar,
    Upstream,
    answering,
    get,
    policy_of,
    post,
    response,
    silent,
    until,
)

BAD = response(b"oops", status=b"500 Oops")
BUSY = response(b"busy", status=b"503 Service Unavailable")
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


def failing_below(prefix: bytes, upstream: Upstream, answer: bytes = BAD) -> None:
    """An instance that is well but for some paths."""

    def chosen(recorded: Recorded) -> bytes:
        return answer if recorded.line.split()[1].startswith(prefix) else response()

    async def serve(peer: Peer) -> None:
        await answering(peer, chosen)

    upstream.serve = serve


def states(running: Running) -> dict[str, str]:
    return {command.key: command.breaker.state for command in running.service().commands}


async def statuses(running: Running, target: bytes, count: int) -> list[int]:
    caller = await running.open()
    return [(await caller.ask(get(target))).status for _ in range(count)]


async def test_a_failing_route_opens_its_own_circuit_and_no_other(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    failing_below(b"/bad", upstream)
    breaker = Breaker(request_volume=5, sleep_window=60.0)
    routes = (RoutePolicy(prefix="/bad", breaker=breaker), RoutePolicy(prefix="/good", breaker=breaker))
    running = await start_sidecar(upstream.port, retry=NO_RETRY, breaker=breaker, routes=routes)
    assert await statuses(running, b"/orders/good/a", 5) == [200] * 5
    assert await statuses(running, b"/orders/bad/a", 7) == [500] * 5 + [503] * 2
    assert await statuses(running, b"/orders/good/a", 5) == [200] * 5
    assert await statuses(running, b"/orders/other", 5) == [200] * 5
    assert states(running) == {"orders": "closed", "orders:bad": "open", "orders:good": "closed"}
    assert len(upstream.requests) == 20


async def test_nor_does_the_services_open_circuit_concern_a_route(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    failing_below(b"/other", upstream)
    breaker = Breaker(request_volume=5, sleep_window=60.0)
    routes = (RoutePolicy(prefix="/good", breaker=breaker),)
    running = await start_sidecar(upstream.port, retry=NO_RETRY, breaker=breaker, routes=routes)
    assert await statuses(running, b"/orders/other", 6) == [500] * 5 + [503]
    assert await statuses(running, b"/orders/good", 5) == [200] * 5
    assert states(running) == {"orders": "open", "orders:good": "closed"}


async def test_a_problem_names_the_route_that_it_happened_on(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    upstream.serve = silent
    routes = (RoutePolicy(name="slow", prefix="/slow", timeout=0.05),)
    running = await start_sidecar(upstream.port, retry=NO_RETRY, timeout=0.05, routes=routes)
    on_route, on_none = await running.ask(get(b"/orders/slow")), await running.ask(get(b"/orders/x"))
    assert on_route.problem == on_none.problem == (504, "http_response_timeout")
    assert (on_route.json["service"], on_route.json["route"]) == ("orders", "slow")
    assert "route" not in on_none.json


async def test_each_route_has_its_own_timeouts(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    go_on = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.request()
        await go_on.wait()
        await peer.send(response())

    upstream.serve = serve
    routes = (RoutePolicy(prefix="/patient"), RoutePolicy(prefix="/hasty", attempt_timeout=0.05))
    running = await start_sidecar(upstream.port, retry=NO_RETRY, timeout=0.05, routes=routes)
    patient = asyncio.create_task(running.ask(get(b"/orders/patient")))
    assert (await running.ask(get(b"/orders/hasty"))).problem == (504, "http_response_timeout")
    assert (await running.ask(get(b"/orders/own"))).problem == (504, "http_response_timeout")
    go_on.set()
    assert (await patient).status == 200


async def test_each_route_has_its_own_idle_timeout(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        await peer.ended()

    upstream.serve = serve
    routes = (RoutePolicy(prefix="/stream", idle_timeout=60.0),)
    running = await start_sidecar(upstream.port, idle_timeout=0.05, routes=routes)
    streaming, cut = await running.open(), await running.open()
    for caller, target in ((streaming, b"/orders/stream"), (cut, b"/orders/x")):
        await caller.send(get(target))
    assert await cut.ended() == "reset"
    assert (await streaming._until(b"ab")).startswith(b"HTTP/1.1 200 OK")
    assert not streaming.reader.at_eof()


async def test_a_route_may_do_without_retries(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    failing_below(b"/", upstream, BUSY)
    routes = (RoutePolicy(prefix="/once", retry=CommandRetry(max_retries=0)),)
    running = await start_sidecar(upstream.port, routes=routes)
    assert (await running.ask(get(b"/orders/once"))).status == 503
    assert len(upstream.requests) == 1
    assert (await running.ask(get(b"/orders/again"))).status == 503
    assert len(upstream.requests) == 1 + 3


async def test_retries_of_all_routes_come_out_of_one_budget(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    failing_below(b"/", upstream, BUSY)
    routes = tuple(RoutePolicy(prefix=prefix) for prefix in ("/a", "/b", "/c"))
    retry = Retry(budget_ratio=0.5, budget_floor_per_s=0.0)
    running = await start_sidecar(upstream.port, routes=routes, retry=retry)
    budget = running.service().budget
    for _ in range(20):
        budget.deposit()
    assert budget.balance == 10
    for target in (b"/orders/a", b"/orders/b", b"/orders/c", b"/orders/d"):
        await running.ask(get(target))
    assert running.service().metrics.retries == 8
    assert budget.balance == 3.5, "eight less, half of one more for each request but the first, which found it full"


async def test_each_route_has_its_own_fallback(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    failing_below(b"/", upstream)
    routes = (
        RoutePolicy(prefix="/own", fallback=(Fallback(body="own"),)),
        RoutePolicy(prefix="/none", fallback=()),
    )
    running = await start_sidecar(upstream.port, fallback=(Fallback(body="service"),), routes=routes)
    answers = [await running.ask(get(b"/orders" + path)) for path in (b"/own", b"/none", b"/x")]
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"own"), (500, b"oops"), (200, b"service")]


async def test_the_fallback_of_a_route_answers_for_a_service_that_nobody_registered(
    start_sidecar: StartSidecar,
) -> None:
    routes = (RoutePolicy(prefix="/a", fallback=(Fallback(json={"a": 1}),)),)
    running = await start_sidecar(more={"gone": policy_of(routes=routes)})
    assert (await running.ask(get(b"/gone/a"))).json == {"a": 1}
    assert (await running.ask(get(b"/gone/b"))).problem == (503, "destination_unavailable")


async def test_a_full_route_leaves_the_others_their_places(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    go_on = asyncio.Event()

    async def serve(peer: Peer) -> None:
        while True:
            recorded = await peer.request()
            if b"/slow" in recorded.line:
                await go_on.wait()
            await peer.send(response())

    upstream.serve = serve
    routes = (RoutePolicy(prefix="/slow", max_concurrent=1),)
    running = await start_sidecar(upstream.port, max_concurrent=1, routes=routes)
    held = asyncio.create_task(running.ask(get(b"/orders/slow")))
    await until(lambda: upstream.requests)
    assert (await running.ask(get(b"/orders/slow"))).problem == (503, "connection_limit_reached")
    assert (await running.ask(get(b"/orders/x"))).status == 200
    go_on.set()
    assert (await held).status == 200


async def test_methods_and_patterns_choose_and_the_target_reaches_the_instance_as_sent(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    routes = (
        RoutePolicy(name="posts", methods=frozenset({"POST"}), prefix="/a%20b"),
        RoutePolicy(name="users", pattern="/users/[0-9]+"),
    )
    running = await start_sidecar(upstream.port, routes=routes)
    sent = [
        (post(b"/orders/a%20b/c?d", b"x"), b"POST /a%20b/c?d HTTP/1.1", [b"posts"]),
        (get(b"/orders/a%20b/c?d"), b"GET /a%20b/c?d HTTP/1.1", []),
        (get(b"/ORDERS/users/17?x=/y"), b"GET /users/17?x=/y HTTP/1.1", [b"users"]),
        (get(b"/orders/users/17/"), b"GET /users/17/ HTTP/1.1", []),
    ]
    for raw, line, route in sent:
        answer = await running.ask(raw.replace(b"\r\n", b"\r\nX-Prana-Explain: 1\r\n", 1))
        assert (upstream.requests[-1].line, answer.values(b"X-Prana-Route")) == (line, route)


@pytest.mark.parametrize(
    "raw",
    [
        get(b"/slow/x?y"),
        get(b"/slow/x?y", b"X-Prana-Service: Orders"),
        get(b"/orders/slow/x?y"),
        get(b"/proxy?vip=orders&path=%2Fslow%2Fx%3Fy"),
    ],
)
async def test_a_route_is_reached_however_its_service_is_addressed(
    raw: bytes, start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    routes = (RoutePolicy(prefix="/slow"),)
    running = await start_sidecar(upstream.port, proxy={"default_service": "orders"}, routes=routes)
    assert (await running.ask(raw)).status == 200
    assert upstream.requests[0].line == b"GET /slow/x?y HTTP/1.1"
    assert [sum(command.metrics.events) for command in running.service().commands] == [0, 1]


async def test_websockets_may_be_allowed_on_one_route(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    async def serve(peer: Peer) -> None:
        recorded = await peer.request()
        if recorded.values(b"Upgrade"):
            accept = b"Sec-WebSocket-Accept: " + accept_value(KEY)
            lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade", accept]
            await peer.send(b"\r\n".join(lines) + b"\r\n\r\n")
            await peer.send(await peer._exactly(4))
            await peer.ended()
        else:
            await peer.send(response())

    upstream.serve = serve
    running = await start_sidecar(upstream.port, routes=(RoutePolicy(prefix="/chat", websocket=True),))
    assert b"Upgrade" not in (await handshake(running, b"/orders/other")).head
    caller = await running.open()
    await caller.send(shake(b"/orders/chat/7"))
    await caller.send(b"ping")
    assert (await caller._until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    assert await caller._exactly(4) == b"ping"
    own, chat = running.service().commands
    assert (own.bulkhead.in_use, chat.bulkhead.in_use) == (0, 1)
    caller.close()


def shake(target: bytes) -> bytes:
    return get(
        target,
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: " + KEY,
    )


async def handshake(running: Running, target: bytes) -> Answer:
    return await running.ask(shake(target))


async def test_operators_see_each_route_as_a_command(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    failing_below(b"/bad", upstream)
    routes = (RoutePolicy(prefix="/bad", breaker=Breaker(request_volume=2), timeout=3.0, attempt_timeout=2.0),)
    running = await start_sidecar(upstream.port, retry=NO_RETRY, routes=routes)
    assert await statuses(running, b"/orders/bad", 3) == [500, 500, 503]
    assert await statuses(running, b"/orders/x", 1) == [200]
    hystrix = json.loads((await admin(running, b"/metrics.json")).body)["hystrix"]
    assert set(hystrix) == {"orders", "orders:bad"}
    assert [hystrix[key]["isCircuitBreakerOpen"] for key in ("orders", "orders:bad")] == [False, True]
    assert [hystrix[key]["requestCount"] for key in ("orders", "orders:bad")] == [1, 2]
    (route,) = json.loads((await admin(running, b"/services/orders")).body)["routes"]
    assert (route["key"], route["timeout_s"], route["breaker"]["state"]) == ("orders:bad", 3.0, "open")
    lines = (await admin(running, b"/prometheus")).body.splitlines()
    assert b'prana_circuit_state{service="orders",state="closed"} 1' in lines
    assert b'prana_circuit_state{service="orders:bad",state="open"} 1' in lines


async def admin(running: Running, path: bytes) -> Answer:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.sidecar.admin_port)
    caller = Caller(reader, writer)
    answer = await caller.ask(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    caller.close()
    return answer


async def test_before_the_registry_is_read_a_call_waits_as_long_as_its_route_allows(
    start_sidecar: StartSidecar,
) -> None:
    unread = {"eureka": Eureka(urls=("http://127.0.0.1:1/eureka/",), register=False)}
    routes = (RoutePolicy(prefix="/hasty", timeout=0.05), RoutePolicy(prefix="/patient", timeout=60.0))
    running = await start_sidecar(more={"orders": policy_of(timeout=0.05, routes=routes)}, settings=unread)
    patient = await running.open()
    await patient.send(get(b"/orders/patient"))
    for target in (b"/orders/hasty/x?y", b"/orders/other"):
        answer = await running.ask(get(target))
        assert answer.problem == (503, "destination_unavailable")
        assert b"no Eureka server has answered yet" in answer.body
    assert not patient.reader._buffer  # type: ignore[attr-defined] # nothing has come, and nothing is awaited


async def test_so_does_a_fallback_that_asks_another_service(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    failing_below(b"/", upstream)
    unread = {"eureka": Eureka(urls=("http://127.0.0.1:1/eureka/",), register=False)}
    routes = (RoutePolicy(prefix="/hasty", timeout=0.05),)
    running = await start_sidecar(
        upstream.port,
        more={"other": policy_of(timeout=60.0, routes=routes)},
        settings=unread,
        retry=NO_RETRY,
        fallback=(Fallback(service="other"), Fallback(body="neither")),
    )
    assert (await running.ask(get(b"/orders/hasty"))).body == b"neither"
