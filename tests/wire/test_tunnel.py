"""A tunnel between two fake transports: what passes, who is held up, and how it ends."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from prana.request import End
from prana.wire.tunnel import Tunnel

from .conftest import FakeTransport, settle

HEAD = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


class Transport(FakeTransport):
    """Closes when the test says so."""

    def __init__(self, *, half_closes: bool = True) -> None:
        super().__init__()
        self.protocol: asyncio.Protocol | None = None
        self.half_closes = half_closes

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = cast(asyncio.Protocol, protocol)

    def can_write_eof(self) -> bool:
        return self.half_closes

    def receive(self, data: bytes) -> None:
        assert self.protocol is not None
        self.protocol.data_received(data)

    def receive_eof(self) -> bool | None:
        assert self.protocol is not None
        return self.protocol.eof_received()

    def fill(self) -> None:
        assert self.protocol is not None
        self.protocol.pause_writing()

    def drain(self) -> None:
        assert self.protocol is not None
        self.protocol.resume_writing()

    def lose(self, error: Exception | None = None) -> None:
        assert self.protocol is not None
        self.closing = self.closing or "lost"
        self.protocol.connection_lost(error)


class Pair:
    """A tunnel, and its ends."""

    def __init__(self, received: bytes = b"", *, tls: bool = False) -> None:
        self.caller = Transport()
        self.instance = Transport(half_closes=not tls)
        self.losses: list[Exception | None] = []
        self.tunnel = Tunnel(self.instance, received, self.losses.append)
        self.run: asyncio.Task[End] | None = None

    async def join(self, early: bytes = b"", *, half_closed: bool = False) -> "Pair":
        self.caller.reading = False  # because of bytes that came too early
        self.run = asyncio.create_task(self.tunnel.run(self.caller, HEAD, early, half_closed, 10.0))
        await settle()
        return self

    async def end(self) -> End:
        assert self.run is not None
        async with asyncio.timeout(5):
            return await self.run


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    yield await Pair().join()


async def test_nothing_is_read_of_the_instance_before_there_is_a_caller() -> None:
    pair = Pair(b"first")
    assert not pair.instance.reading
    await pair.join(b"early")
    assert pair.caller.written == HEAD + b"first"
    assert pair.instance.written == b"early"
    assert pair.caller.reading
    assert pair.instance.reading
    assert (pair.tunnel.received_bytes, pair.tunnel.sent_bytes) == (5, 5)


async def test_bytes_pass_both_ways_and_are_counted(pair: Pair) -> None:
    pair.caller.receive(b"abc")
    pair.instance.receive(b"de")
    pair.instance.receive(b"fg")
    assert (pair.instance.written, pair.caller.written) == (b"abc", HEAD + b"defg")
    assert (pair.tunnel.received_bytes, pair.tunnel.sent_bytes) == (3, 4)


async def test_a_side_that_cannot_write_stops_the_reading_of_the_other(pair: Pair) -> None:
    for one, other in ((pair.caller, pair.instance), (pair.instance, pair.caller)):
        one.fill()
        assert (one.reading, other.reading) == (True, False)
        one.drain()
        assert other.reading


async def test_early_bytes_that_fill_the_instance_hold_the_caller_up() -> None:
    pair = Pair()

    class Narrow(Transport):
        def write(self, data: Any) -> None:
            super().write(data)
            self.fill()

    pair.instance.__class__ = Narrow
    await pair.join(b"early")
    assert not pair.caller.reading


async def test_a_side_that_is_through_is_not_read_again(pair: Pair) -> None:
    pair.caller.receive(b"abc")
    pair.instance.fill()
    pair.caller.receive_eof()
    pair.instance.drain()
    assert not pair.caller.reading


async def test_each_direction_ends_for_itself(pair: Pair) -> None:
    assert pair.caller.receive_eof()
    assert (pair.instance.eof, pair.instance.closing, pair.caller.closing) == (True, "", "")
    pair.instance.receive(b"still")
    assert pair.caller.written == HEAD + b"still"
    assert pair.instance.receive_eof()
    assert (pair.caller.closing, pair.instance.closing) == ("close", "close")
    pair.instance.lose()
    assert pair.run is not None
    await settle()
    assert not pair.run.done(), "the caller has not had all yet"
    pair.caller.lose()
    assert await pair.end() is End.COMPLETE
    assert pair.losses == [None]


async def test_a_caller_that_was_through_before_is_through_behind_its_early_bytes() -> None:
    pair = await Pair().join(b"early", half_closed=True)
    assert (pair.instance.written, pair.instance.eof) == (b"early", True)
    assert pair.instance.closing == ""


async def test_tls_cannot_end_one_direction_only() -> None:
    pair = await Pair(tls=True).join()
    pair.caller.receive_eof()
    assert (pair.caller.closing, pair.instance.closing) == ("close", "close")
    pair.instance.lose()
    pair.caller.lose()
    assert await pair.end() is End.COMPLETE
    pair = await Pair(tls=True).join()
    assert not pair.instance.receive_eof(), "asyncio closes the connection now"
    assert pair.caller.eof
    pair.instance.lose()
    assert pair.caller.closing == "close"
    pair.caller.lose()
    assert await pair.end() is End.COMPLETE


@pytest.mark.parametrize("error", [None, ConnectionResetError("gone")])
@pytest.mark.parametrize("who", ["caller", "instance"])
async def test_a_side_that_breaks_off_resets_the_other(pair: Pair, who: str, error: Exception | None) -> None:
    one, other = (pair.caller, pair.instance) if who == "caller" else (pair.instance, pair.caller)
    one.lose(error)
    assert other.closing == "abort"
    other.lose()
    assert await pair.end() is (End.ABANDONED if who == "caller" else End.BROKEN)
    assert len(pair.losses) == 1


async def test_a_side_that_has_said_all_may_break_off(pair: Pair) -> None:
    pair.instance.receive(b"bye")
    pair.instance.receive_eof()
    pair.instance.lose(ConnectionResetError("it wanted no more"))
    assert pair.caller.closing == "close", "which writes what is waiting"
    pair.caller.lose()
    assert await pair.end() is End.COMPLETE


async def test_nothing_is_written_to_a_side_that_closes(pair: Pair) -> None:
    pair.instance.close()
    pair.caller.receive(b"abc")
    pair.caller.receive_eof()
    pair.caller.fill()
    pair.caller.drain()
    assert (pair.instance.written, pair.instance.eof) == (b"", False)


async def test_an_instance_lost_before_the_tunnel_was_joined_ends_it() -> None:
    pair = Pair(b"first")
    pair.instance.lose()
    assert pair.losses == [None]
    await pair.join()
    assert pair.caller.closing == "abort"
    pair.caller.lose()
    assert await pair.end() is End.BROKEN


async def test_an_instance_that_ended_before_the_tunnel_was_joined_ends_its_direction() -> None:
    pair = Pair(b"first")
    assert pair.instance.receive_eof()
    await pair.join()
    assert (pair.caller.written, pair.caller.eof, pair.caller.closing) == (HEAD + b"first", True, "")
    pair = Pair(b"first", tls=True)
    assert not pair.instance.receive_eof()
    pair.instance.lose()
    await pair.join()
    assert (pair.caller.written, pair.caller.closing) == (HEAD + b"first", "close")
    pair.caller.lose()
    assert await pair.end() is End.COMPLETE


async def test_a_quiet_tunnel_is_closed_and_then_cut(pair: Pair) -> None:
    for now_s, byte in ((100.0, b""), (109.9, b"x"), (110.0, b""), (119.8, b"")):
        pair.instance.receive(byte)
        pair.tunnel.expire(now_s)
    pair.caller.receive(b"y")
    pair.tunnel.expire(129.0)
    pair.tunnel.expire(138.9)
    assert (pair.caller.closing, pair.instance.closing) == ("", "")
    pair.tunnel.expire(139.0)
    assert (pair.caller.closing, pair.instance.closing) == ("close", "close")
    pair.tunnel.expire(140.0)
    assert (pair.caller.closing, pair.instance.closing) == ("abort", "abort"), "the last bytes were not read in time"
    pair.caller.lose()
    pair.instance.lose()
    assert await pair.end() is End.COMPLETE


async def test_a_cancelled_tunnel_leaves_no_connection_open(pair: Pair) -> None:
    assert pair.run is not None
    pair.run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pair.end()
    assert (pair.caller.closing, pair.instance.closing) == ("abort", "abort")
    pair.caller.lose()
    pair.instance.lose()
