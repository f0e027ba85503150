"""The bounded stream between a protocol and a task."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana.errors import ConnectionBroken
from prana.wire.body import BodyStream
from prana.wire.limits import BODY_HIGH_WATER_BYTES

NEVER_S = 60.0


class Producer:
    def __init__(self) -> None:
        self.paused = 0

    def pause(self) -> None:
        self.paused += 1

    def resume(self) -> None:
        self.paused -= 1


@pytest.fixture
def producer() -> Producer:
    return Producer()


@pytest.fixture
def body(producer: Producer) -> BodyStream:
    return BodyStream(producer.pause, producer.resume)


def test_what_is_fed_is_taken_once_and_in_order(body: BodyStream) -> None:
    assert body.take() == b""
    body.feed(b"a")
    body.feed(b"bc")
    assert (body.take(), body.take()) == (b"abc", b"")


def test_it_is_whole_when_the_end_has_come_and_no_failure(body: BodyStream) -> None:
    body.feed(b"a")
    assert not body.whole
    body.end()
    assert body.whole
    body.fail(ConnectionBroken("late"))
    assert body.whole, "what is complete cannot break any more"
    assert body.take() == b"a"


def test_a_failure_comes_before_what_is_buffered(body: BodyStream) -> None:
    body.feed(b"a")
    body.fail(ConnectionBroken("first"))
    body.fail(ConnectionBroken("second"))
    with pytest.raises(ConnectionBroken, match="first"):
        body.take()
    assert not body.whole
    assert not body.replayable


@given(st.lists(st.one_of(st.none(), st.integers(1, BODY_HIGH_WATER_BYTES))))
def test_the_producer_is_paused_exactly_while_too_much_is_buffered(steps: list[int | None]) -> None:
    """None takes, a number feeds so many bytes. Once paused, it stays so until the consumer comes for more than is
    there: what it took before that may still be waiting to be written."""
    producer = Producer()
    body = BodyStream(producer.pause, producer.resume)
    buffered, paused = 0, False
    for step in steps:
        if step is None:
            assert len(body.take()) == buffered
            buffered, paused = 0, paused and buffered > 0
        else:
            body.feed(bytes(step))
            buffered += step
            paused = paused or buffered > BODY_HIGH_WATER_BYTES
        assert producer.paused == paused


def test_the_last_bytes_let_the_producer_go_on_at_once(body: BodyStream, producer: Producer) -> None:
    body.feed(bytes(BODY_HIGH_WATER_BYTES + 1))
    body.end()
    body.take()
    assert not producer.paused


async def test_a_reader_that_comes_for_more_lets_the_producer_go_on(body: BodyStream, producer: Producer) -> None:
    body.feed(bytes(BODY_HIGH_WATER_BYTES + 1))
    await body.read(NEVER_S)
    assert producer.paused
    reading = asyncio.create_task(body.read(NEVER_S))
    await asyncio.sleep(0)
    assert not producer.paused
    body.end()
    assert await reading == b""


def test_a_discarded_body_lets_the_producer_go_on(body: BodyStream, producer: Producer) -> None:
    body.feed(bytes(BODY_HIGH_WATER_BYTES + 1))
    body.end()
    assert producer.paused
    body.discard()
    assert not producer.paused
    assert body.take() == b""


async def test_a_reader_waits_for_bytes_then_for_the_end(body: BodyStream) -> None:
    reading = asyncio.create_task(body.read(NEVER_S))
    await asyncio.sleep(0)
    body.feed(b"a")
    assert await reading == b"a"
    reading = asyncio.create_task(body.read(NEVER_S))
    await asyncio.sleep(0)
    body.end()
    assert await reading == b""


async def test_a_waiting_reader_learns_of_the_failure(body: BodyStream) -> None:
    reading = asyncio.create_task(body.read(NEVER_S))
    await asyncio.sleep(0)
    body.fail(ConnectionBroken("gone"))
    with pytest.raises(ConnectionBroken):
        await reading


async def test_a_reader_does_not_wait_for_ever(body: BodyStream) -> None:
    with pytest.raises(TimeoutError):
        await body.read(0.001)
    body.feed(b"a")
    assert await body.read(0.001) == b"a", "and may try again"


async def test_a_cancelled_reader_leaves_the_stream_usable(body: BodyStream) -> None:
    reading = asyncio.create_task(body.read(NEVER_S))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    body.feed(b"a")
    assert await body.read(NEVER_S) == b"a"


@given(st.lists(st.binary(min_size=1, max_size=4)), st.lists(st.binary(min_size=1, max_size=4)), st.integers(0, 40))
def test_a_retained_body_can_be_read_again_from_the_start(taken: list[bytes], later: list[bytes], limit: int) -> None:
    body = BodyStream(lambda: None, lambda: None)
    body.retain(limit)
    for piece in taken:
        body.feed(piece)
        body.take()
    for piece in later:
        body.feed(piece)
    body.end()
    size = sum(map(len, taken))
    assert body.replayable == (size <= limit)
    for _ in range(2):
        if not body.replayable:
            break
        body.rewind()
        assert body.take() == b"".join(taken + later)


def test_without_retention_only_an_untouched_body_is_replayable(body: BodyStream) -> None:
    body.feed(b"a")
    assert body.replayable
    body.take()
    assert not body.replayable


def test_what_was_put_back_counts_as_buffered(body: BodyStream, producer: Producer) -> None:
    body.retain(BODY_HIGH_WATER_BYTES)
    body.feed(bytes(BODY_HIGH_WATER_BYTES))
    body.take()
    body.rewind()
    body.feed(b"x")
    assert producer.paused
    assert len(body.take()) == BODY_HIGH_WATER_BYTES + 1
