"""The chunked coding, fed piece by piece."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana.wire.chunked import Chunked, MalformedChunk
from prana.wire.fields import IN_REQUESTS, FieldLines
from prana.wire.limits import CHUNKS_PER_TURN, MAX_LINE_BYTES

TINY = b"1\r\nx\r\n"
END = b"0\r\n\r\n"


@pytest.fixture
def body() -> Chunked:
    return Chunked(FieldLines(IN_REQUESTS))


def test_of_many_chunks_some_are_left_for_a_later_turn(body: Chunked) -> None:
    count = CHUNKS_PER_TURN + 1
    payload, rest = body.feed(TINY * count + END + b"GET")
    assert (payload, rest) == (b"x" * CHUNKS_PER_TURN, TINY + END + b"GET")
    assert not body.ended
    assert body.feed(rest) == (b"x", b"GET")
    assert body.ended


def test_how_much_one_turn_takes_depends_on_the_chunks_and_not_on_their_bytes(body: Chunked) -> None:
    count = CHUNKS_PER_TURN - 2  # and the two lines of the end
    payload, rest = body.feed(b"%x\r\n%b\r\n" % (4096, bytes(4096)) * count + END)
    assert (len(payload), rest, body.ended) == (4096 * count, b"", True)


@given(st.lists(st.binary(min_size=1, max_size=3), max_size=3 * CHUNKS_PER_TURN), st.integers(1, 8192))
def test_turns_and_splits_change_nothing(chunks: list[bytes], step: int) -> None:
    coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + END + b"behind"
    body = Chunked(FieldLines(IN_REQUESTS))
    payload = rest = b""
    for at in range(0, len(coded), step):
        rest += coded[at : at + step]
        while rest and not body.ended:
            piece, rest = body.feed(rest)
            payload += piece
    assert (payload, rest, body.ended) == (b"".join(chunks), b"behind", True)


@pytest.mark.parametrize("size", [b"0x1", b"+1", b"1_0", b" 1", b"1 ", b"", b"g"])
def test_a_size_is_hexadecimal_digits_also_behind_one_that_was(body: Chunked, size: bytes) -> None:
    assert body.feed(TINY * 2) == (b"xx", b"")
    with pytest.raises(MalformedChunk):
        body.feed(size + b"\r\n" + bytes(20))


@pytest.mark.parametrize("behind", [b"\r\r", b"\r\r\n", b"\n", b"xy", b"\rx", b"x\r\n"])
@pytest.mark.parametrize("split", [False, True])
def test_behind_the_data_of_a_chunk_is_a_line_end(body: Chunked, behind: bytes, split: bool) -> None:
    with pytest.raises(MalformedChunk):
        for piece in [b"1\r\nx" + behind] if not split else [b"1\r\nx", behind[:1], behind[1:] + b"1"]:
            body.feed(piece)


@pytest.mark.parametrize("step", [2**20, 1000])
def test_a_size_line_has_the_limit_of_any_line_however_it_comes(step: int) -> None:
    raw = b"8000;a=" + b"b" * MAX_LINE_BYTES + b"\r\n" + bytes(0x8000) + b"\r\n"
    chunked = Chunked(FieldLines(IN_REQUESTS))
    with pytest.raises(MalformedChunk, match="longer than"):
        for at in range(0, len(raw), step):
            chunked.feed(raw[at : at + step])
