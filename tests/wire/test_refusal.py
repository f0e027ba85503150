"""What one caller too many gets."""

import asyncio

import pytest

from admin.metrics import ProxyMetrics
from prana.request import Request, Response
from prana.wire import refusal
from prana.wire.pool import Pool
from prana.wire.refusal import Refusal
from prana.wire.server import ProxyServer

from .conftest import Clock, FakeTransport


async def test_a_refusal_waits_for_the_caller_to_close_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusal, "_LINGER_S", 0.01)
    transport, ended = FakeTransport(), asyncio.Event()
    protocol = Refusal(lambda _: ended.set(), lingers=True)
    protocol.connection_made(transport)
    assert transport.written.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 1\r\n" in transport.written
    assert transport.eof
    protocol.data_received(b"GET / HTTP/1.1\r\n")
    assert not transport.is_closing()
    await asyncio.sleep(0.1)
    assert transport.closing == "abort"
    protocol.connection_lost(None)
    assert ended.is_set()


async def test_a_caller_that_closes_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusal, "_LINGER_S", 0.01)
    transport = FakeTransport()
    protocol = Refusal(lambda _: None, lingers=True)
    protocol.connection_made(transport)
    protocol.connection_lost(None)
    await asyncio.sleep(0.03)
    assert not transport.is_closing(), "its timer is gone with it"


async def test_only_so_many_linger_at_the_same_time(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_: Request) -> Response:
        raise AssertionError

    def refused() -> FakeTransport:
        transport = FakeTransport()
        server.accept().connection_made(transport)
        return transport

    monkeypatch.setattr("prana.wire.server.MAX_LINGERING", 2)
    server = ProxyServer(never, Pool(clock), clock, ProxyMetrics(clock), max_connections=0, min_upload_rate=0)
    assert [refused().is_closing() for _ in range(3)] == [False, False, True]


def test_where_many_linger_already_the_next_does_not() -> None:
    transport = FakeTransport()
    Refusal(lambda _: None, lingers=False).connection_made(transport)
    assert transport.written.startswith(b"HTTP/1.1 503 ")
    assert transport.closing == "close"
