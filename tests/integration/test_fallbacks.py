"""Fallback chains seen from outside."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from admin.metrics import Event
from prana.config.settings import Fallback, Retry, RoutePolicy

from .conftest import (
    NO_RETRY,
    Peer,
    StartSidecar,
    StartUpstream,
    Upstream,
    answering,
    get,
    policy_of,
    post,
    response,
    silent,
    until,
)
from .test_proxy_upgrade import HANDSHAKE


async def test_a_file_is_read_at_start_and_answers(
    start_sidecar: StartSidecar, upstream: Upstream, tmp_path: Path
) -> None:
    file = tmp_path / "users.json"
    file.write_text('{"users": []}')
    running = await start_sidecar(upstream.port, retry=NO_RETRY, fallback=(Fallback(file=str(file), status=203),))
    file.unlink()
    await upstream.stop()
    answer = await running.ask(get(b"/orders/"))
    assert (answer.status, answer.json) == (203, {"users": []})
    assert answer.value(b"Content-Type") == b"application/json"
    assert answer.value(b"X-Prana-Fallback") == b"file; reason=connect_failed"
    assert answer.value(b"Proxy-Status") == b"prana; error=connection_refused"


async def test_a_head_request_gets_the_head_of_the_fallback(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    running = await start_sidecar(upstream.port, retry=NO_RETRY, fallback=(Fallback(body="instead"),))
    await upstream.stop()
    caller = await running.open()
    await caller.send(get(b"/orders/", method=b"HEAD"))
    answer = await caller.answer(bodiless=True)
    assert (answer.status, answer.value(b"Content-Length")) == (200, b"7")
    assert (await caller.ask(get(b"/orders/"))).body == b"instead"


LAST_GOOD = Fallback(last_good=True)


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nETag: e\r\nContent-Length: 4\r\n\r\ngood",
        b"HTTP/1.1 200 OK\r\nETag: e\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ngo\r\n2\r\nod\r\n0\r\n\r\n",
    ],
)
async def test_the_last_good_answer_stands_in_for_the_next_one(
    start_sidecar: StartSidecar, upstream: Upstream, sent: bytes
) -> None:
    upstream.serve = partial(answering, answer=sent)
    running = await start_sidecar(upstream.port, retry=NO_RETRY, fallback=(LAST_GOOD,))
    first = await running.ask(get(b"/orders/a?b=1"))
    assert (first.body, first.values(b"Cache-Status"), first.values(b"Age")) == (b"good", [], [])
    await upstream.stop()
    answer = await running.ask(get(b"/orders/a?b=1"))
    assert (answer.status, answer.body, answer.value(b"ETag")) == (200, b"good", b"e")
    assert answer.value(b"Cache-Status") == b"prana; hit"
    assert answer.value(b"Age").isdigit()
    assert answer.value(b"X-Prana-Fallback") == b"last_good; reason=connect_failed"
    assert answer.value(b"Proxy-Status") == b"prana; error=connection_refused"
    assert answer.value(b"X-Request-Id") != first.value(b"X-Request-Id")
    assert (await running.ask(get(b"/orders/a?b=2"))).problem == (502, "connection_refused")
    assert (await running.ask(get(b"/orders/a?b=1", b"Cookie: a=b"))).problem == (502, "connection_refused")
    metrics = running.service().metrics
    assert (metrics.fallbacks_by_kind, metrics.fallback_failures_by_kind) == ({"last_good": 1}, {"last_good": 2})
    (view,) = running.sidecar._views.services()
    assert view.last_good is not None
    assert view.last_good.answers == 1
    assert 0 < view.last_good.size_bytes < 4096


OTHER = Fallback(service="backup")
SERVER_ERROR = response(b"oops", status=b"500 Oops")
failing = partial(answering, answer=SERVER_ERROR)


async def slowly_failing(peer: Peer) -> None:
    await asyncio.sleep(0.1)
    await failing(peer)


async def test_another_service_is_asked_for_the_same(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    primary, backup = await start_upstream(failing), await start_upstream(partial(answering, answer=response(b"b")))
    running = await start_sidecar(
        primary.port, retry=NO_RETRY, fallback=(OTHER,), more={"backup": policy_of(backup.port)}
    )
    asked = get(b"/orders/a?b=%2F", b"X-Own: 1", b"Authorization: x", b"X-Prana-Explain: 1")
    answer = await running.ask(asked)
    assert (answer.status, answer.body) == (200, b"b")
    assert answer.value(b"X-Prana-Fallback") == b"service; reason=http_500"
    assert answer.values(b"Proxy-Status") == [], "an instance answered"
    (there,) = backup.requests
    assert there.line == b"GET /a?b=%2F HTTP/1.1"
    assert [there.values(name) for name in (b"X-Own", b"Authorization")] == [[b"1"], [b"x"]]
    assert there.values(b"X-Request-Id") == primary.requests[0].values(b"X-Request-Id")
    assert answer.value(b"X-Prana-Attempts") == b"2"
    assert answer.value(b"X-Prana-Instance") == b"127.0.0.1:%d" % backup.port
    own, other = (running.service(name).own for name in ("orders", "backup"))
    health = other.breaker.health
    assert (own.breaker.health.error_count, health.request_count, health.error_count) == (1, 1, 0)
    assert own.metrics.fallbacks_by_kind == {"service": 1}


async def test_each_that_shared_a_failure_tells_of_its_own_fallback_only(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    primary, backup = await start_upstream(slowly_failing), await start_upstream(partial(answering, answer=response()))
    running = await start_sidecar(
        primary.port, retry=NO_RETRY, fallback=(OTHER,), single_flight=True, more={"backup": policy_of(backup.port)}
    )
    asked = get(b"/orders/a", b"X-Prana-Explain: 1")
    answers = await asyncio.gather(*(running.ask(asked) for _ in range(3)))
    assert (len(primary.requests), len(backup.requests)) == (1, 3)
    assert [answer.value(b"X-Prana-Attempts") for answer in answers] == [b"2"] * 3


async def test_the_chain_is_walked_to_the_first_that_answers(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    primary, backup = await start_upstream(), await start_upstream()
    running = await start_sidecar(
        primary.port,
        retry=NO_RETRY,
        fallback=(OTHER, LAST_GOOD, Fallback(body="static")),
        more={"backup": policy_of(backup.port, retry=NO_RETRY, fallback=(Fallback(body="never"),))},
    )

    async def told(path: bytes = b"/orders/a") -> bytes:
        answer = await running.ask(get(path))
        assert answer.status == 200
        return b"".join(answer.values(b"X-Prana-Fallback"))

    assert await told() == b""
    await primary.stop()
    assert await told() == b"service; reason=connect_failed"
    backup.serve = failing
    for peer in backup.peers:
        peer.close()
    assert await told() == b"last_good; reason=connect_failed"
    await backup.stop()
    assert await told() == b"last_good; reason=connect_failed"
    assert await told(b"/orders/new") == b"static; reason=connect_failed"
    metrics = running.service().metrics
    assert metrics.fallbacks_by_kind == {"service": 1, "last_good": 2, "static": 1}
    assert metrics.fallback_failures_by_kind == {"service": 3, "last_good": 1}


async def test_two_services_that_stand_in_for_each_other_are_each_asked_once(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    primary, backup = await start_upstream(failing), await start_upstream(failing)
    mutual = policy_of(backup.port, retry=NO_RETRY, fallback=(Fallback(service="orders"),))
    running = await start_sidecar(primary.port, retry=NO_RETRY, fallback=(OTHER,), more={"backup": mutual})
    answer = await running.ask(get(b"/orders/"))
    assert (answer.line, answer.body) == (b"HTTP/1.1 500 Oops", b"oops"), "the first failure reaches the caller"
    assert answer.values(b"X-Prana-Fallback") == []
    assert (len(primary.requests), len(backup.requests)) == (1, 1)
    events = [running.service(name).metrics.events for name in ("orders", "backup")]
    assert [each[Event.FALLBACK_FAILURE] for each in events] == [1, 0]


async def test_a_service_that_was_too_slow_leaves_the_other_its_own_timeout(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    primary, backup = await start_upstream(silent), await start_upstream()
    running = await start_sidecar(
        primary.port,
        retry=NO_RETRY,
        timeout=0.5,
        fallback=(OTHER,),
        more={"backup": policy_of(backup.port, timeout=0.5)},
    )
    answer = await running.ask(get(b"/orders/"))
    assert (answer.status, answer.value(b"X-Prana-Fallback")) == (200, b"service; reason=timeout")


async def test_a_deadline_of_the_caller_counts_on(start_sidecar: StartSidecar, start_upstream: StartUpstream) -> None:
    primary, backup = await start_upstream(silent), await start_upstream(silent)
    running = await start_sidecar(
        primary.port, fallback=(OTHER, Fallback(body="static")), more={"backup": policy_of(backup.port)}
    )
    answer = await running.ask(get(b"/orders/", b"X-Request-Timeout: 0.1"))
    assert answer.value(b"X-Prana-Fallback").startswith(b"static; reason=")
    assert backup.requests == [], "there was no time left for it"


async def test_a_body_goes_there_again_if_it_is_still_at_hand(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    primary, backup = await start_upstream(failing), await start_upstream()
    running = await start_sidecar(
        primary.port, retry=Retry(replay_bytes=10), fallback=(OTHER,), more={"backup": policy_of(backup.port)}
    )
    assert (await running.ask(post(b"/orders/", b"x" * 10))).status == 200
    assert (await running.ask(post(b"/orders/", b"x" * 11))).status == 500
    assert [recorded.body for recorded in backup.requests] == [b"x" * 10]
    await primary.stop()
    assert (await running.ask(post(b"/orders/", b"x" * 1000))).status == 200, "nothing was sent yet"


async def test_a_service_that_refuses_an_upload_gets_no_more_of_it_and_the_other_gets_all(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    async def refusing(peer: Peer) -> None:
        await peer.head()
        assert await peer._exactly(5) == b"first"
        await peer.send(response(b"", status=b"503 No"))
        peer.requests[-1].body = await peer.rest_or_nothing()

    async def eager(peer: Peer) -> None:
        recorded = await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        recorded.body = await peer._exactly(len(b"first and last"))
        await peer.send(b"k")

    primary, backup = await start_upstream(refusing), await start_upstream(eager)
    running = await start_sidecar(
        primary.port, retry=NO_RETRY, fallback=(OTHER,), more={"backup": policy_of(backup.port)}
    )
    caller = await running.open()
    await caller.send(post(b"/orders/", b"first and last")[: -len(b" and last")])
    await caller._until(b"reason=http_503\r\n")
    await caller.send(b" and last")
    await caller._until(b"ok")
    assert backup.requests[0].body == b"first and last"
    await until(lambda: primary.ends == 1)
    assert primary.requests[0].body == b""


async def test_a_caller_that_hangs_up_is_asked_for_nowhere_else(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    primary, backup = await start_upstream(failing), await start_upstream(silent)
    running = await start_sidecar(
        primary.port,
        retry=NO_RETRY,
        fallback=(OTHER, Fallback(body="never")),
        more={"backup": policy_of(backup.port)},
    )
    caller = await running.open()
    await caller.send(get(b"/orders/"))
    await until(lambda: backup.requests)
    assert running.service().own.fallback_bulkhead.in_use == 1
    caller.reset()
    await until(lambda: running.idle and backup.ends == 1)
    assert running.service().own.fallback_bulkhead.in_use == 0
    assert running.service().metrics.fallbacks_by_kind == {}


async def test_a_handshake_is_not_made_elsewhere(start_sidecar: StartSidecar, start_upstream: StartUpstream) -> None:
    primary, backup = await start_upstream(failing), await start_upstream()
    running = await start_sidecar(
        primary.port,
        websocket=True,
        fallback=(OTHER, Fallback(body="static")),
        more={"backup": policy_of(backup.port, websocket=True)},
    )
    answer = await running.ask(get(b"/orders/chat", *HANDSHAKE))
    assert (answer.body, backup.connections) == (b"static", 0)


async def test_the_bytes_of_the_other_service_may_take_as_long_as_it_is_allowed(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    async def hesitating(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        await asyncio.sleep(0.2)
        await peer.send(b"k")

    primary, backup = await start_upstream(failing), await start_upstream(hesitating)
    running = await start_sidecar(
        primary.port, retry=NO_RETRY, idle_timeout=0.05, fallback=(OTHER,), more={"backup": policy_of(backup.port)}
    )
    assert (await running.ask(get(b"/orders/"))).body == b"ok"


async def test_a_service_that_nobody_has_has_no_answer(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    running = await start_sidecar(upstream.port, retry=NO_RETRY, fallback=(OTHER, Fallback(body="static")))
    await upstream.stop()
    assert (await running.ask(get(b"/orders/"))).body == b"static"


async def test_the_other_service_chooses_among_its_own_routes(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    primary, backup = await start_upstream(failing), await start_upstream()
    routed = policy_of(backup.port, routes=(RoutePolicy(prefix="/a", name="here"),))
    running = await start_sidecar(primary.port, retry=NO_RETRY, fallback=(OTHER,), more={"backup": routed})
    for path in (b"/orders/a", b"/orders/b", b"/orders/a/b"):
        assert (await running.ask(get(path))).status == 200
    counts = {each.key: each.metrics.events[Event.SUCCESS] for each in running.service("backup").commands}
    assert counts == {"backup": 1, "backup:here": 2}


async def test_routes_keep_last_good_answers_with_the_service_whose_chain_they_have(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    routes = RoutePolicy(prefix="/a", fallback=(chain := (LAST_GOOD,))), RoutePolicy(prefix="/b", fallback=())
    running = await start_sidecar(upstream.port, retry=NO_RETRY, fallback=chain, routes=routes)
    paths = b"/orders/a", b"/orders/b", b"/orders/c"
    assert [(await running.ask(get(path))).status for path in paths] == [200, 200, 200]
    await upstream.stop()
    assert [(await running.ask(get(path))).status for path in paths] == [200, 502, 200]
    own, first, second = running.service().commands
    assert own.last_good is first.last_good is not None
    assert second.last_good is None


async def test_a_request_holds_one_place_of_its_service_whatever_becomes_of_the_other(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    primary, backup = await start_upstream(failing), await start_upstream()
    running = await start_sidecar(
        primary.port,
        retry=NO_RETRY,
        max_concurrent=1,
        fallback=(OTHER, Fallback(body="static")),
        more={"backup": policy_of(backup.port, max_concurrent=1)},
    )
    backup_breaker = running.service("backup").own.breaker
    for force, kind in (("open", b"static"), ("none", b"service")):
        backup_breaker.force = force  # type: ignore[assignment] # one of its words
        for _ in range(3):
            answer = await running.ask(get(b"/orders/"))
            assert answer.value(b"X-Prana-Fallback") == kind + b"; reason=http_500"
            await until(lambda: running.idle)


async def test_a_caller_that_stops_sending_its_body_learns_that_and_gets_no_fallback(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    async def refusing(peer: Peer) -> None:
        await peer.head()
        await peer.send(response(b"", status=b"503 No"))
        await peer.ended()

    primary, backup = await start_upstream(refusing), await start_upstream()
    running = await start_sidecar(
        primary.port,
        retry=NO_RETRY,
        fallback=(OTHER, Fallback(body="never")),
        more={"backup": policy_of(backup.port, idle_timeout=0.1)},
    )
    caller = await running.open()
    answer = await caller.ask(post(b"/orders/", b"first and last")[: -len(b" and last")])
    assert answer.problem == (408, "http_request_error")
    await until(lambda: running.idle)
    assert running.service().metrics.fallbacks_by_kind == {}
