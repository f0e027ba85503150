"""One attempt: which connection, within which time, and the one replay that is always safe."""

from math import inf

import pytest

from prana.errors import ConnectionBroken, ResponseTimeout
from prana.request import Request, Response
from prana.wire.body import BodyStream
from prana.wire.client import AttemptTimes, Client, authority
from prana.wire.limits import UPSTREAM_FRESH_IDLE_S
from prana.wire.pool import Address
from prana.wire.upgrade import Upgrade

from .conftest import Clock

HERE: Address = ("a", "10.0.0.1", 80, None)


class FakeConnection:
    """Breaks off, or answers, after taking the body."""

    def __init__(self, *, breaks: bool = False, answered: bool = False, unread: bool = False) -> None:
        self._breaks = breaks
        self._unread = unread
        self.closed = False
        self.answered = answered
        self.idle_timeout_s = 0.0
        self.once = False
        self.bodies: list[bytes] = []
        self.timeouts_s: list[float] = []

    def use_once(self) -> None:
        self.once = True

    def has_unread(self) -> bool:
        return self._unread

    def close(self) -> None:
        self.closed = True

    async def exchange(self, request: Request, head: bytes, timeout_s: float) -> Response:
        self.timeouts_s.append(timeout_s)
        if request.body is not None:
            self.bodies.append(request.body.take())
        if self._breaks:
            raise ConnectionBroken("closed", sent=True)
        return Response(200, b"OK", [], b"")


class FakePool:
    def __init__(self, *warm: FakeConnection) -> None:
        self.warm = list(warm)
        self.new = FakeConnection()
        self.asked_s: list[float] = []
        self.connects_s: list[float] = []

    def idle(self, address: Address, max_idle_s: float) -> FakeConnection | None:
        self.asked_s.append(max_idle_s)
        return self.warm.pop() if self.warm else None

    async def connect(self, address: Address, timeout_s: float) -> FakeConnection:
        self.connects_s.append(timeout_s)
        return self.new


class Line:
    def __init__(self, clock: Clock, *warm: FakeConnection) -> None:
        self.pool = FakePool(*warm)
        self.clock = clock
        self.client = Client(self.pool, clock)  # type: ignore[arg-type] # a fake

    async def send(
        self,
        method: bytes = b"GET",
        body: bytes = b"",
        retain: int = 10,
        time_s: float = 60.0,
        upgrade: Upgrade | None = None,
    ) -> Response:
        request = Request(method, b"/", [], 0.0)
        request.upgrade = upgrade
        request.deadline_s = self.clock() + time_s
        if body:
            request.body = BodyStream(lambda: None, lambda: None)
            request.body.retain(retain)
            request.body.feed(body)
            request.body.end()
        return await self.client.send(request, HERE, AttemptTimes(5.0, 1.0))


@pytest.mark.parametrize(("method", "body"), [(b"GET", b""), (b"PUT", b"abc")])
async def test_what_broke_on_a_warm_connection_is_replayed_on_a_new_one(
    clock: Clock, method: bytes, body: bytes
) -> None:
    line = Line(clock, FakeConnection(breaks=True))
    assert (await line.send(method, body)).status == 200
    assert line.pool.new.bodies == ([body] if body else [])


@pytest.mark.parametrize(
    ("method", "body", "retain", "answered"),
    [(b"POST", b"", 10, False), (b"POST", b"abc", 10, False), (b"PUT", b"abc", 2, False), (b"GET", b"", 10, True)],
)
async def test_but_not_what_could_be_seen_twice_is_gone_or_was_answered(
    clock: Clock, method: bytes, body: bytes, retain: int, answered: bool
) -> None:
    line = Line(clock, FakeConnection(breaks=True, answered=answered))
    with pytest.raises(ConnectionBroken):
        await line.send(method, body, retain)
    assert line.pool.connects_s == []


async def test_what_breaks_on_a_new_connection_is_not_replayed_here(clock: Clock) -> None:
    line = Line(clock)
    line.pool.new = FakeConnection(breaks=True)
    with pytest.raises(ConnectionBroken):
        await line.send()
    assert len(line.pool.connects_s) == 1


@pytest.mark.parametrize(
    ("method", "body", "idle_s"),
    [
        (b"GET", b"", inf),
        (b"DELETE", b"", inf),
        (b"POST", b"", UPSTREAM_FRESH_IDLE_S),
        (b"PUT", b"abc", UPSTREAM_FRESH_IDLE_S),
    ],
)
async def test_only_what_can_surely_be_replayed_trusts_any_connection_that_still_idles(
    clock: Clock, method: bytes, body: bytes, idle_s: float
) -> None:
    line = Line(clock)
    await line.send(method, body)
    assert line.pool.asked_s == [idle_s]


@pytest.mark.parametrize(("method", "body"), [(b"GET", b""), (b"POST", b""), (b"PUT", b"abc")])
async def test_nobody_takes_a_connection_on_which_something_has_arrived(
    clock: Clock, method: bytes, body: bytes
) -> None:
    good, *ended = FakeConnection(), FakeConnection(unread=True), FakeConnection(unread=True)
    line = Line(clock, good, *ended)
    await line.send(method, body)
    assert [each.closed for each in (good, *ended)] == [False, True, True]
    assert (len(good.timeouts_s), line.pool.connects_s) == (1, [])
    alone = Line(clock, FakeConnection(unread=True))
    await alone.send(method, body)
    assert len(alone.pool.connects_s) == 1


@pytest.mark.parametrize(("left_s", "connect_s", "exchange_s"), [(60.0, 1.0, 5.0), (3.0, 1.0, 3.0), (0.5, 0.5, 0.5)])
async def test_an_attempt_ends_with_its_own_time_or_the_requests(
    clock: Clock, left_s: float, connect_s: float, exchange_s: float
) -> None:
    line = Line(clock)
    await line.send(time_s=left_s)
    assert (line.pool.connects_s, line.pool.new.timeouts_s) == ([connect_s], [exchange_s])


async def test_no_attempt_begins_after_the_deadline(clock: Clock) -> None:
    line = Line(clock)
    with pytest.raises(ResponseTimeout) as raised:
        await line.send(time_s=0.0)
    assert not raised.value.sent
    assert line.pool.connects_s == []


async def test_a_handshake_has_a_connection_for_itself_and_once(clock: Clock) -> None:
    line = Line(clock, FakeConnection())
    await line.send(time_s=0.5, upgrade=Upgrade(b"key"))
    assert line.pool.new.once
    assert (line.pool.asked_s, line.pool.connects_s, line.pool.new.timeouts_s) == ([], [0.5], [0.5])


def test_an_authority_is_host_and_port() -> None:
    assert (authority(HERE), authority(("::1", "", 8, None))) == (b"a:80", b"[::1]:8")
