"""Which answers are kept, and how they are given again."""

import pytest

from prana.fallback.last_good import LastGood
from prana.filters.remember import Remember
from prana.request import End, Request, Response
from prana.wire.body import BodyStream
from prana.wire.fields import IN_REQUESTS, IN_RESPONSES, Field, FieldLines, Meaning
from tests.filters.conftest import Clock, Next
from tests.wire.conftest import pairs

REQUEST_LINES, LINES = FieldLines(IN_REQUESTS), FieldLines(IN_RESPONSES)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def last_good(clock: Clock) -> LastGood:
    return LastGood(60.0, 100, 100_000, clock)


def asking(method: bytes = b"GET", *headers: tuple[bytes, bytes], path: bytes = b"/a") -> Request:
    request = Request(method, b"/orders" + path, [Field(*header) for header in headers], 1000.0)
    request.path = path
    return request


def answer(*headers: bytes, status: int = 200, body: bytes | BodyStream = b"good") -> Response:
    return Response(status, b"Fine", [LINES[header] for header in headers], body)


async def pass_on(last_good: LastGood, request: Request, response: Response, end: End = End.COMPLETE) -> None:
    """Through the stage, and on to a caller."""
    assert await Remember(last_good)(request, Next(response)) is response
    response.headers.append(Field(b"X-Prana-Attempts", b"1"))  # as stages above do
    if isinstance(response.body, BodyStream) and end is not End.ABANDONED:
        await response.body.read(0)
        if end is End.COMPLETE:
            response.body.end()
    response.finish(end)


def stream(*chunks: bytes) -> BodyStream:
    """Not ended yet."""
    body = BodyStream(lambda: None, lambda: None)
    for chunk in chunks:
        body.feed(chunk)
    return body


async def test_a_good_answer_is_given_again_with_its_age(last_good: LastGood, clock: Clock) -> None:
    sent = answer(
        b"Date: D", b"Content-Type: text/a", b"Connection: X-Hop", b"X-Hop: 1", b"Content-Length: 4", b"ETag: e"
    )
    await pass_on(last_good, asking(), sent)
    clock.now_s += 7.9
    for method in (b"GET", b"HEAD", b"GET"):
        again = await last_good(asking(method))
        assert again is not None
        assert (again.status, again.reason, again.body) == (200, b"Fine", b"good")
        assert pairs(again.headers) == [
            (b"Date", b"D"),
            (b"Content-Type", b"text/a"),
            (b"ETag", b"e"),
            (b"Age", b"7"),
            (b"Cache-Status", b"prana; hit"),
        ]


async def test_a_later_answer_replaces_an_earlier_one_and_a_failure_does_not(last_good: LastGood) -> None:
    for response in (answer(body=b"1"), answer(body=b"2"), answer(status=503), answer(status=404)):
        await pass_on(last_good, asking(), response)
    again = await last_good(asking())
    assert again is not None and again.body == b"2"


async def test_one_without_a_date_gets_that_of_its_arrival(clock: Clock) -> None:
    epoch = Clock()
    last_good = LastGood(60.0, 100, 100_000, clock, epoch)
    await pass_on(last_good, asking(), answer())
    epoch.now_s += 30.0
    again = await last_good(asking())
    assert again is not None
    assert pairs(again.headers)[0] == (b"Date", b"Thu, 01 Jan 1970 00:16:40 GMT")
    assert again.headers[0].meaning is Meaning.DATE, "else it would get a second one on its way out"


async def test_it_grows_older_on_its_way(last_good: LastGood, clock: Clock) -> None:
    request, body = asking(), stream(b"x")
    response = answer(b"Age: 1", body=body)
    clock.now_s += 2.0  # since the request came
    await Remember(last_good)(request, Next(response))
    clock.now_s += 4.0
    body.take()
    body.end()
    response.finish(End.COMPLETE)
    again = await last_good(request)
    assert again is not None
    assert [field.value for field in again.headers if field.lower == b"age"] == [b"7"]


def for_uri(*headers: bytes, host: bytes = b"localhost:8078", method: bytes = b"GET") -> Request:
    request = asking(method)
    request.host = host
    request.headers = [REQUEST_LINES[header] for header in headers]
    request.rewritten = request.headers
    return request


@pytest.mark.parametrize(
    "other",
    [
        for_uri(host=b"evil.example"),
        for_uri(b"X-Forwarded-Host: evil.example"),
        for_uri(b"X-Forwarded-Proto: https"),
        for_uri(b"X-Forwarded-Port: 1"),
        for_uri(b"Forwarded: for=10.0.0.1;Host=evil.example"),
        for_uri(b"Forwarded: proto=https"),
    ],
)
async def test_an_answer_is_that_to_its_whole_uri(last_good: LastGood, other: Request) -> None:
    """An app may make links of it: nobody shall get those to another's host."""
    await pass_on(last_good, other, answer())
    assert await last_good(for_uri()) is None
    assert await last_good(other) is not None


async def test_whom_a_request_was_forwarded_for_is_no_part_of_the_uri(last_good: LastGood) -> None:
    await pass_on(last_good, for_uri(b"X-Forwarded-For: 1.1.1.1", b"Forwarded: for=1.1.1.1;host=a"), answer())
    assert await last_good(for_uri(b"X-Forwarded-For: 2.2.2.2", b"Forwarded: for=2.2.2.2;host=a")) is not None


@pytest.mark.parametrize("method", [b"PUT", b"DELETE", b"POST", b"PATCH", b"PURGE"])
@pytest.mark.parametrize(("status", "left"), [(200, False), (204, False), (303, False), (400, True), (500, True)])
async def test_what_changes_a_resource_ends_what_is_kept_of_it(
    last_good: LastGood, method: bytes, status: int, left: bool
) -> None:
    for request in (asking(), asking(path=b"/b"), asking(method)):
        await pass_on(last_good, request, answer(status=200 if request.method == b"GET" else status))
    assert (await last_good(asking()) is not None) is left
    assert await last_good(asking(path=b"/b")) is not None


async def test_an_age_that_it_had_already_is_added(last_good: LastGood, clock: Clock) -> None:
    await pass_on(last_good, asking(), answer(b"Age: 50"))
    clock.now_s += 10
    again = await last_good(asking())
    assert again is not None
    assert [field.value for field in again.headers if field.lower == b"age"] == [b"60"]
    clock.now_s += 1
    assert await last_good(asking()) is None


async def test_a_streamed_answer_is_kept_once_its_caller_has_all_of_it(last_good: LastGood) -> None:
    response = answer(body=stream(b"one ", b"two"))
    await Remember(last_good)(asking(), Next(response))
    assert await last_good(asking()) is None
    response.finish(End.ABANDONED)
    assert await last_good(asking()) is None
    await pass_on(last_good, asking(path=b"/b"), answer(body=stream(b"one ", b"two")))
    again = await last_good(asking(path=b"/b"))
    assert again is not None and again.body == b"one two"


async def test_one_that_is_whole_already_is_kept_whatever_its_caller_does(last_good: LastGood) -> None:
    body = stream(b"one ", b"two")
    body.end()
    await pass_on(last_good, asking(), answer(body=body), End.ABANDONED)
    again = await last_good(asking())
    assert again is not None and again.body == b"one two"


async def test_its_own_limit_holds_where_others_keep_more(last_good: LastGood) -> None:
    body = stream(bytes(60), bytes(41))
    body.retain(1000)
    await pass_on(last_good, asking(), answer(body=body))
    assert await last_good(asking()) is None


def too_long_to_tell() -> Response:
    response = answer(body=stream(b"x"))
    response.content_length = 101
    return response


def with_trailers() -> Response:
    body = stream(b"x")
    body.trailers = [Field(b"X-Sum", b"1")]
    return answer(body=body)


@pytest.mark.parametrize(
    ("response", "end"),
    [
        (answer(body=stream(b"x")), End.ABANDONED),
        (answer(body=stream(b"x")), End.BROKEN),
        (answer(body=stream(bytes(60), bytes(41))), End.COMPLETE),
        (answer(body=bytes(101)), End.COMPLETE),
        (too_long_to_tell(), End.COMPLETE),
        (with_trailers(), End.COMPLETE),
        (answer(status=201), End.COMPLETE),
        (answer(status=206), End.COMPLETE),
        (answer(b"Set-Cookie: a=b"), End.COMPLETE),
        (answer(b"Vary: Accept, *"), End.COMPLETE),
        (answer(b"Vary: X-Forwarded-For"), End.COMPLETE),
        (answer(b"Vary: X-Request-Id"), End.COMPLETE),
        (answer(b"Vary: Via"), End.COMPLETE),
        (answer(b"Cache-Control: max-age=0, No-Store"), End.COMPLETE),
        (answer(b"Cache-Control: private"), End.COMPLETE),
        (answer(b'Cache-Control: no-cache="x"'), End.COMPLETE),
        (answer(b"Cache-Control: public, must-revalidate"), End.COMPLETE),
        (answer(b"Cache-Control: s-maxage=5"), End.COMPLETE),
    ],
)
async def test_what_may_not_be_kept_is_not(last_good: LastGood, response: Response, end: End) -> None:
    await pass_on(last_good, asking(), response, end)
    assert await last_good(asking()) is None


async def test_exactly_what_is_allowed_is_kept(last_good: LastGood) -> None:
    await pass_on(last_good, asking(), answer(b"Cache-Control: max-age=0", body=stream(bytes(60), bytes(40))))
    assert await last_good(asking()) is not None


PERSONAL = [
    (b"Authorization", b"Bearer x"),
    (b"Cookie", b"a=b"),
    (b"X-Api-Key", b"k"),
    (b"X-Auth-Token", b"k"),
    (b"Range", b"bytes=0-1"),
    (b"Cache-Control", b"no-store"),
    (b"Cache-Control", b"max-age=0, no-cache"),
    (b"Pragma", b"no-cache"),
]


@pytest.mark.parametrize("header", PERSONAL)
async def test_the_answer_to_a_request_of_its_own_kind_is_neither_kept_nor_given(
    last_good: LastGood, header: tuple[bytes, bytes]
) -> None:
    await pass_on(last_good, asking(b"GET", header), answer())
    assert await last_good(asking()) is None
    await pass_on(last_good, asking(), answer())
    assert await last_good(asking(b"GET", header)) is None
    assert await last_good(asking()) is not None


async def test_only_gets_are_kept_and_only_gets_and_heads_are_answered(last_good: LastGood) -> None:
    for method in (b"HEAD", b"POST", b"OPTIONS", b"DELETE", b"get"):
        await pass_on(last_good, asking(method), answer())
        assert await last_good(asking()) is None
    await pass_on(last_good, asking(), answer())
    assert [await last_good(asking(method)) for method in (b"POST", b"OPTIONS", b"DELETE", b"get")] == [None] * 4


async def test_a_get_with_a_body_or_headers_that_it_takes_back_is_not_concerned(last_good: LastGood) -> None:
    with_body, taking_back = asking(), asking()
    with_body.body = stream(b"x")
    taking_back.connection_tokens = frozenset([b"close", b"x-user"])
    for request in (with_body, taking_back):
        await pass_on(last_good, request, answer())
        assert await last_good(request) is None
    ordinary = asking()
    ordinary.connection_tokens = frozenset([b"keep-alive", b"upgrade", b"http2-settings"])
    await pass_on(last_good, ordinary, answer())
    assert await last_good(ordinary) is not None
