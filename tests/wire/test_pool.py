"""Which connection a request gets, and how long one may idle."""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any

import pytest

from prana.errors import CertificateRefused, ConnectRefused
from prana.request import End, Request
from prana.wire.limits import UNUSED_IDLE_TIMEOUT_S, UPSTREAM_IDLE_TIMEOUT_S
from prana.wire.pool import Address, Pool, Usage, idle_timeout_s
from prana.wire.upstream import UpstreamConnection

from .conftest import Clock, FakeTransport

HERE: Address = ("a", "10.0.0.1", 80, None)
THERE: Address = ("b", "10.0.0.2", 80, None)


class Connections:
    """Connections of a pool without sockets: made, used and given back as the client does."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.made = 0

    def open(self, address: Address = HERE) -> UpstreamConnection:
        connection = UpstreamConnection(self.pool)
        self.made += 1
        connection.connection_made(FakeTransport(sockname=("127.0.0.1", self.made), peername=("10.0.0.1", 80)))
        self.pool._opened(connection, address)
        return connection

    def idle(self, address: Address = HERE, idle_timeout_s: float = UPSTREAM_IDLE_TIMEOUT_S) -> UpstreamConnection:
        connection = self.open(address)
        self.pool.done(connection, True)
        connection.idle_timeout_s = idle_timeout_s
        return connection


@pytest.fixture
def pool(clock: Clock) -> Pool:
    return Pool(clock)


@pytest.fixture
def connections(pool: Pool) -> Connections:
    return Connections(pool)


def test_an_empty_pool_has_nothing_to_offer(pool: Pool) -> None:
    assert pool.idle(HERE, 4) is None


def test_the_last_used_comes_first_and_only_once(pool: Pool, connections: Connections) -> None:
    first, second = connections.idle(), connections.idle()
    assert pool.idle(THERE, 4) is None
    assert (pool.idle(HERE, 4), pool.idle(HERE, 4), pool.idle(HERE, 4)) == (second, first, None)


def test_what_idled_too_long_is_closed_and_not_offered(pool: Pool, connections: Connections, clock: Clock) -> None:
    connection = connections.idle()
    clock.now_s += UPSTREAM_IDLE_TIMEOUT_S
    assert pool.idle(HERE, UPSTREAM_IDLE_TIMEOUT_S) is None
    assert connection.closed


def test_a_fastidious_request_leaves_older_ones_to_others(pool: Pool, connections: Connections, clock: Clock) -> None:
    connection = connections.idle()
    clock.now_s += 1
    assert pool.idle(HERE, 1) is None
    assert not connection.closed
    assert pool.idle(HERE, 4) is connection


def test_closed_ones_are_passed_over(pool: Pool, connections: Connections) -> None:
    good, bad = connections.idle(), connections.idle()
    bad.close()
    assert pool.idle(HERE, 4) is good


def test_an_announced_timeout_is_kept(pool: Pool, connections: Connections, clock: Clock) -> None:
    connection = connections.idle(idle_timeout_s=0.5)
    clock.now_s += 0.5
    assert pool.idle(HERE, 4) is None
    assert connection.closed


def test_a_sweep_closes_what_is_over_its_time(pool: Pool, connections: Connections, clock: Clock) -> None:
    old = connections.idle()
    clock.now_s += UPSTREAM_IDLE_TIMEOUT_S - 1
    young = connections.idle()
    clock.now_s += 1
    pool.sweep()
    assert (old.closed, young.closed) == (True, False)
    assert pool.idle(HERE, 4) is young
    pool.sweep()
    assert pool._idle == {}, "an address without connections is not kept"


def test_a_lost_connection_leaves_the_pool(pool: Pool, connections: Connections) -> None:
    connection = connections.idle()
    link = (("127.0.0.1", 1), ("10.0.0.1", 80))
    assert (len(pool), pool.is_own(link)) == (1, True)
    connection.connection_lost(None)
    assert (len(pool), pool.is_own(link)) == (0, False)
    assert pool.idle(HERE, 4) is None


def test_open_and_idle_connections_are_counted_for_each_instance(pool: Pool, connections: Connections) -> None:
    used, idle, _ = connections.open(), connections.idle(), connections.open(THERE)
    assert (pool.usage(HERE), pool.usage(THERE)) == (Usage(2, 1, 2), Usage(1, 0, 1))
    idle.connection_lost(None)
    assert pool.usage(HERE) == Usage(1, 0, 2)
    connections.open().connection_lost(None)
    assert pool.usage(HERE) == Usage(1, 0, 2), "the most at once, not of all times"
    used.connection_lost(None)
    assert pool.usage(HERE) == Usage(0, 0, 0)
    assert list(pool._counts) == [THERE], "an address without connections is not kept"


def test_a_connection_that_was_never_opened_can_be_lost(pool: Pool) -> None:
    UpstreamConnection(pool).connection_lost(None)
    assert pool.usage(HERE) == Usage(0, 0, 0)


def test_a_local_port_alone_does_not_make_a_connection_ours(pool: Pool, connections: Connections) -> None:
    """The kernel gives a caller the port of one of our connections to somebody else."""
    connections.open()
    assert not pool.is_own((("127.0.0.1", 1), ("127.0.0.1", 8078)))


def test_a_forgotten_instance_keeps_only_what_is_in_use(pool: Pool, connections: Connections) -> None:
    idle, used, other = connections.idle(), connections.open(), connections.idle(THERE)
    pool.forget(HERE)
    assert (idle.closed, used.closed, other.closed) == (True, False, False)


async def test_closing_the_pool_closes_all(pool: Pool, connections: Connections) -> None:
    opened = [connections.idle(), connections.open(), connections.idle(THERE)]
    await pool.close()
    assert all(connection.closed for connection in opened)


async def test_what_was_not_reusable_is_not_kept(pool: Pool, connections: Connections) -> None:
    connection = connections.open()
    connection._begin(Request(b"GET", b"/", [], 0.0))
    connection._finish(End.ABANDONED)
    assert pool.idle(HERE, 4) is None


async def test_a_connection_closed_at_once_was_refused(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def create(make: Callable[[], UpstreamConnection], *_: object) -> tuple[FakeTransport, UpstreamConnection]:
        connection, transport = make(), FakeTransport(sockname=("127.0.0.1", 1))
        connection.connection_made(transport)
        transport.abort()
        connection.connection_lost(ConnectionResetError())
        return transport, connection

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", create)
    with pytest.raises(ConnectRefused):
        await pool.connect(("10.0.0.1", "10.0.0.1", 80, None), 1.0)
    assert len(pool) == 0


class FakeTls:
    """Whose handshake fails with one address of the instance."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def secure(self, connection: UpstreamConnection, host: str) -> None:
        self.asked.append(host)
        if len(self.asked) == 1:
            raise CertificateRefused("expired")


async def test_an_address_that_fails_in_the_handshake_leaves_the_others(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def addresses(*_: object) -> list[str]:
        return ["10.0.0.1", "10.0.0.2", "10.0.0.3"]

    async def create(make: Callable[[], UpstreamConnection], *_: object) -> tuple[FakeTransport, UpstreamConnection]:
        connection, transport = make(), FakeTransport(sockname=("127.0.0.1", 1))
        connection.connection_made(transport)
        return transport, connection

    tls: Any = FakeTls()
    monkeypatch.setattr(pool._resolver, "addresses", addresses)
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", create)
    await pool.connect(("h", "10.0.0.1", 80, tls), 1.0)
    assert tls.asked == ["h", "h"]
    assert len(pool) == 1


async def test_a_warm_connection_waits_for_its_first_request_longer_than_for_another(
    pool: Pool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def create(make: Callable[[], UpstreamConnection], *_: object) -> tuple[FakeTransport, UpstreamConnection]:
        connection, transport = make(), FakeTransport(sockname=("127.0.0.1", 1))
        connection.connection_made(transport)
        return transport, connection

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", create)
    here: Address = ("10.0.0.1", "10.0.0.1", 80, None)
    await pool.warm(here, 1.0)
    clock.now_s += UNUSED_IDLE_TIMEOUT_S - 0.1
    pool.sweep()
    assert pool.usage(here) == Usage(1, 1, 1)
    connection = pool.idle(here, inf)
    assert connection is not None
    pool.done(connection, True)
    clock.now_s += UPSTREAM_IDLE_TIMEOUT_S
    pool.sweep()
    assert connection.closed, "once it was used it is as any other"
    await pool.warm(here, 1.0)
    clock.now_s += UNUSED_IDLE_TIMEOUT_S
    pool.sweep()
    assert pool.idle(here, inf) is None


@pytest.mark.parametrize(
    ("announced", "timeout_s"),
    [
        (b"", UPSTREAM_IDLE_TIMEOUT_S),
        (b"timeout=60, max=100", UPSTREAM_IDLE_TIMEOUT_S),
        (b"max=5, Timeout=3", 2.0),
        (b"timeout=2", 1.0),
        (b"timeout=1", 0.5),
        (b"timeout=0", 0.0),
        (b"timeout=3, max=0", 0.0),
        (b"max=1", UPSTREAM_IDLE_TIMEOUT_S),
        (b"timeout=soon", UPSTREAM_IDLE_TIMEOUT_S),
        (b"timeout=-1", UPSTREAM_IDLE_TIMEOUT_S),
        (b"timeout", UPSTREAM_IDLE_TIMEOUT_S),
        (b"timeout=" + b"9" * 5000, UPSTREAM_IDLE_TIMEOUT_S),
    ],
)
def test_the_server_is_left_a_second_or_half_of_the_time_it_announced(announced: bytes, timeout_s: float) -> None:
    assert idle_timeout_s(announced) == timeout_s


@pytest.mark.parametrize(("announced", "kept"), [(b"timeout=3", True), (b"timeout=0", False)])
async def test_a_connection_idles_as_long_as_its_server_keeps_it(
    pool: Pool, connections: Connections, announced: bytes, kept: bool
) -> None:
    connection = connections.open()
    answer = asyncio.create_task(connection.exchange(Request(b"GET", b"/", [], 0.0), b"head", 60.0))
    await asyncio.sleep(0)
    connection.data_received(b"HTTP/1.1 200 OK\r\nKeep-Alive: %b\r\nContent-Length: 0\r\n\r\n" % announced)
    (await answer).finish(End.COMPLETE)
    assert connection.closed is not kept
    assert (pool.idle(HERE, 1.9) is connection) is kept
    await pool.close()
