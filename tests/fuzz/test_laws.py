"""The laws of the fuzzer, quickly: on its seeds, on what it once found, and on what hypothesis makes of them."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import fuzz
from tests.fuzz.oracles import check_requests, check_responses
from tests.fuzz.seeds import DICTIONARY, REQUESTS, RESPONSES

LIMITS = {
    "line": b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n" % (b"a" * 9000),
    "field": b"GET / HTTP/1.1\r\nHost: h\r\nX: %b\r\n\r\n" % (b"a" * 9000),
    "fields": b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 101 + b"\r\n",
    "head": b"GET / HTTP/1.1\r\nHost: h\r\n" + (b"X: " + b"y" * 8000 + b"\r\n") * 5 + b"\r\n",
}


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.mark.parametrize("data", REQUESTS.values(), ids=REQUESTS.keys())
def test_a_seed_of_a_caller_obeys_however_it_is_cut(data: bytes, loop: asyncio.AbstractEventLoop) -> None:
    check_requests(data, range(len(data)), loop)
    for cut in range(1, len(data), 3):
        check_requests(data, [cut], loop)


@pytest.mark.parametrize("data", RESPONSES.values(), ids=RESPONSES.keys())
def test_a_seed_of_an_instance_obeys_however_it_is_cut(data: bytes, loop: asyncio.AbstractEventLoop) -> None:
    check_responses(data, range(len(data)), loop)
    for cut in range(1, len(data), 3):
        check_responses(data, [cut], loop)


@pytest.mark.parametrize("data", LIMITS.values(), ids=LIMITS.keys())
def test_what_is_beyond_a_limit_obeys(data: bytes, loop: asyncio.AbstractEventLoop) -> None:
    check_requests(data, (), loop)
    check_responses(b"HTTP/1.1 200 OK\r\n" + data.partition(b"\r\n")[2], (), loop)


@pytest.mark.parametrize("target", ["requests", "responses"])
def test_what_the_fuzzer_once_found_obeys_now(target: str, loop: asyncio.AbstractEventLoop) -> None:
    assert fuzz.crashers(target)
    for path in fuzz.crashers(target):
        fuzz.check(target, path.read_bytes(), loop)


def mutants(seeds: dict[str, bytes]) -> st.SearchStrategy[bytes]:
    """Seeds in a row, with tokens of the dictionary and odd bytes put over and between them."""

    @st.composite
    def build(draw: st.DrawFn) -> bytes:
        data = bytearray(b"".join(draw(st.lists(st.sampled_from(list(seeds.values())), min_size=1, max_size=3))))
        for _ in range(draw(st.integers(0, 4))):
            start = draw(st.integers(0, len(data)))
            end = min(len(data), start + draw(st.integers(0, 3)))
            data[start:end] = draw(st.sampled_from(DICTIONARY) | st.binary(max_size=3))
        return bytes(data)

    return build()


cuts = st.lists(st.integers(0, 300), max_size=6)
quickly = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quickly
@given(mutants(REQUESTS), cuts)
def test_what_a_caller_may_send_obeys(loop: asyncio.AbstractEventLoop, data: bytes, cuts: list[int]) -> None:
    check_requests(data, cuts, loop)


@quickly
@given(mutants(RESPONSES), cuts)
def test_what_an_instance_may_answer_obeys(loop: asyncio.AbstractEventLoop, data: bytes, cuts: list[int]) -> None:
    check_responses(data, cuts, loop)
