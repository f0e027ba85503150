"""Who calls, who waits, and what those who wait get."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prana.filters.single_flight
from admin.metrics import CommandMetrics, Event
from prana.errors import (
    BadRequest,
    CircuitOpen,
    ConnectionBroken,
    ConnectTimeout,
    DeadlineExceeded,
    ProxyError,
    ResponseTimeout,
)
from prana.filters.single_flight import SingleFlight
from prana.request import End, Request, Response
from prana.wire.body import BodyStream
from prana.wire.fields import IN_REQUESTS, IN_RESPONSES, FieldLines, Meaning
from tests.wire.conftest import pairs

from .conftest import Clock

REQUEST_LINES, LINES = FieldLines(IN_REQUESTS), FieldLines(IN_RESPONSES)
COLLAPSED = b"Cache-Status", b"prana; fwd=miss; collapsed"


def asking(*headers: bytes, method: bytes = b"GET", path: bytes = b"/a") -> Request:
    request = Request(method, b"/orders" + path, [REQUEST_LINES[line] for line in headers], 1000.0)
    request.path = path
    request.rewritten = [field for field in request.headers if field.meaning is Meaning.FORWARDED]
    return request


def answer(*headers: bytes, status: int = 200, body: bytes | BodyStream = b"good") -> Response:
    return Response(status, b"Fine", [LINES[line] for line in headers], body)


class Bench:
    """The stage above calls that wait until the test answers them."""

    def __init__(self, clock: Clock, command: CommandMetrics) -> None:
        self.stage = SingleFlight(10.0, command, clock)
        self.command = command
        self.calls: list[asyncio.Future[Response]] = []

    async def _next(self, request: Request) -> Response:
        self.calls.append(asyncio.get_running_loop().create_future())
        return await self.calls[-1]

    async def ask(self, *requests: Request) -> list["asyncio.Task[Response]"]:
        """All of them at once, in this order."""
        tasks = [asyncio.create_task(self._one(request)) for request in requests]
        await turns()
        return tasks

    async def _one(self, request: Request) -> Response:
        return await self.stage(request, self._next)

    async def settle(self, number: int, result: Response | BaseException) -> None:
        if isinstance(result, Response):
            self.calls[number].set_result(result)
        else:
            self.calls[number].set_exception(result)
        await turns()

    @property
    def events(self) -> dict[Event, int]:
        return {event: count for event in Event if (count := self.command.events[event])}


async def turns() -> None:
    """Let everything happen that can."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def bench(clock: Clock, command: CommandMetrics) -> Bench:
    return Bench(clock, command)


async def test_the_first_calls_and_the_others_get_copies(bench: Bench) -> None:
    tasks = await bench.ask(*(asking(b"Accept: text/a") for _ in range(100)))
    assert len(bench.calls) == 1
    sent = answer(b"ETag: e", b"Connection: X-Hop", b"X-Hop: 1", b"Date: D")
    await bench.settle(0, sent)
    first, *others = [task.result() for task in tasks]
    assert first is sent
    for other in others:
        assert (other.status, other.reason, other.body) == (200, b"Fine", b"good")
        assert pairs(other.headers) == [(b"ETag", b"e"), (b"Date", b"D"), COLLAPSED]
    assert len({id(other.headers) for other in others}) == 99, "what is added to one is not the others'"
    assert bench.events == {Event.COLLAPSED: 99}


async def test_whoever_comes_after_the_answer_calls(bench: Bench) -> None:
    for number in range(2):
        (task,) = await bench.ask(asking())
        await bench.settle(number, answer())
        assert task.done()
    assert len(bench.calls) == 2


@pytest.mark.parametrize(
    "header",
    [
        b"Authorization: Bearer x",
        b"Cookie: a=b",
        b"X-Api-Key: k",
        b"X-Auth-Token: k",
        b"Range: bytes=0-1",
        b"Cache-Control: no-cache",
        b"Cache-Control: no-store",
        b"Pragma: no-cache",
    ],
)
async def test_requests_of_their_own_kind_each_call(bench: Bench, header: bytes) -> None:
    await bench.ask(asking(header), asking(header))
    assert len(bench.calls) == 2


def with_body() -> Request:
    request = asking()
    request.body = BodyStream(lambda: None, lambda: None)
    return request


def from_elsewhere(attribute: str, value: object) -> Request:
    request = asking()
    setattr(request, attribute, value)
    return request


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (asking(), asking(path=b"/a?")),
        (asking(), asking(path=b"/b")),
        (asking(), asking(b"Accept: text/a")),
        (asking(b"Accept: text/a"), asking(b"Accept: text/b")),
        (asking(b"X-User: 1"), asking(b"X-User: 2")),
        (asking(b"Baggage: a=1"), asking(b"Baggage: a=2")),
        (asking(b"A: 1", b"B: 2"), asking(b"B: 2", b"A: 1")),
        (asking(b"X-Forwarded-For: 10.0.0.1"), asking(b"X-Forwarded-For: 10.0.0.2")),
        (asking(), from_elsewhere("host", b"other:1")),
        (asking(), from_elsewhere("caller_ip", b"10.0.0.9")),
        (asking(), from_elsewhere("proxy_port", 9)),
        (asking(b"X-Own: 1"), from_elsewhere("connection_tokens", frozenset([b"x-own"]))),
        (asking(method=b"HEAD"), asking(method=b"HEAD")),
        (asking(method=b"POST"), asking(method=b"POST")),
        (with_body(), with_body()),
        (from_elsewhere("upgrade", object()), from_elsewhere("upgrade", object())),
    ],
)
async def test_requests_that_may_be_answered_otherwise_each_call(bench: Bench, one: Request, other: Request) -> None:
    await bench.ask(one, other)
    assert len(bench.calls) == 2


@pytest.mark.parametrize(
    "header", [b"traceparent: 00-%d", b"tracestate: %d", b"b3: %d", b"X-B3-SpanId: %d", b"User-Agent: %d"]
)
async def test_what_only_traces_a_request_makes_no_difference(bench: Bench, header: bytes) -> None:
    requests = [asking(header % number, b"X-Request-Id: %d" % number) for number in range(2)]
    await bench.ask(*requests)
    assert len(bench.calls) == 1


@pytest.mark.parametrize(
    "response",
    [
        answer(b"Set-Cookie: a=b"),
        answer(b"Cache-Control: private"),
        answer(b"Cache-Control: no-store"),
        answer(b"Cache-Control: no-cache"),
        answer(b"Vary: *"),
        answer(b"Vary: Accept, User-Agent"),
        answer(b"Content-Type: Text/Event-Stream; charset=utf-8", body=BodyStream(lambda: None, lambda: None)),
        answer(body=bytes(64 * 1024 + 1)),
    ],
)
async def test_an_answer_that_cannot_be_shared_sends_all_who_waited_at_once(bench: Bench, response: Response) -> None:
    tasks = await bench.ask(asking(), asking(), asking())
    await bench.settle(0, response)
    assert (len(bench.calls), tasks[0].done()) == (3, True)
    await bench.settle(1, answer(b"X: 1"))
    await bench.settle(2, answer(b"X: 2"))
    assert [pairs(task.result().headers) for task in tasks[1:]] == [[(b"X", b"1")], [(b"X", b"2")]]
    assert bench.events == {}


@pytest.mark.parametrize("status", [200, 302, 304, 404, 500, 503])
async def test_any_status_is_shared(bench: Bench, status: int) -> None:
    tasks = await bench.ask(asking(), asking())
    await bench.settle(0, answer(status=status))
    assert [task.result().status for task in tasks] == [status, status]


def stream() -> BodyStream:
    return BodyStream(lambda: None, lambda: None)


async def test_a_body_under_way_is_shared_once_the_first_caller_has_it(bench: Bench) -> None:
    body = stream()
    tasks = await bench.ask(asking(), asking())
    await bench.settle(0, answer(body=body))
    body.feed(b"one ")
    assert body.take() == b"one "
    late = await bench.ask(asking())
    body.feed(b"two")
    body.end()
    assert body.take() == b"two"
    tasks[0].result().finish(End.COMPLETE)
    await turns()
    assert [task.result().body for task in (*tasks[1:], *late)] == [b"one two", b"one two"]
    assert len(bench.calls) == 1


async def test_a_whole_body_is_shared_before_the_first_caller_has_read_it(bench: Bench) -> None:
    body = stream()
    body.feed(b"all")
    body.end()
    tasks = await bench.ask(asking(), asking())
    await bench.settle(0, answer(body=body))
    assert tasks[1].result().body == b"all" == body.take()


async def test_a_body_that_turns_out_too_large_sends_all_who_waited_at_once(bench: Bench) -> None:
    body = stream()
    tasks = await bench.ask(asking(), asking(), asking())
    await bench.settle(0, answer(body=body))
    for _ in range(2):
        body.feed(bytes(40_000))
        body.take()
    body.end()
    tasks[0].result().finish(End.COMPLETE)
    await turns()
    assert len(bench.calls) == 3


@pytest.mark.parametrize("end", [End.ABANDONED, End.BROKEN])
async def test_a_body_that_its_caller_gave_up_sends_the_next(bench: Bench, end: End) -> None:
    body = stream()
    tasks = await bench.ask(asking(), asking(), asking())
    await bench.settle(0, answer(body=body))
    body.feed(b"half")
    body.take()
    tasks[0].result().finish(end)
    await turns()
    assert len(bench.calls) == 2
    await bench.settle(1, answer())
    assert [task.result().body for task in tasks[1:]] == [b"good", b"good"]


@pytest.mark.parametrize("whole", [False, True])
async def test_of_a_failure_that_was_given_up_for_a_fallback_the_status_is_shared(bench: Bench, whole: bool) -> None:
    """Else those who wait would call one after another: nobody takes the bodies."""
    body = stream()
    tasks = await bench.ask(asking(), asking(), asking())
    await bench.settle(0, answer(b"Content-Type: text/a", status=500, body=body))
    body.feed(b"oops")
    if whole:
        body.end()
    tasks[0].result().discard()
    await turns()
    assert len(bench.calls) == 1
    assert [(task.result().status, task.result().body) for task in tasks[1:]] == [(500, b""), (500, b"")]
    assert pairs(tasks[1].result().headers) == [COLLAPSED]


async def test_nobody_waits_long_for_the_rest_of_a_body(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prana.filters.single_flight, "_BODY_PATIENCE_S", 0.0)
    tasks = await bench.ask(asking(), asking(), asking())
    await bench.settle(0, answer(body=stream()))
    await asyncio.sleep(0.01)
    assert (len(bench.calls), tasks[0].done()) == (3, True)


async def test_a_failure_is_shared(bench: Bench) -> None:
    error = CircuitOpen("why", retry_after_s=3.0, status=599)
    tasks = await bench.ask(*(asking() for _ in range(3)))
    await bench.settle(0, error)
    raised = [task.exception() for task in tasks]
    assert len(bench.calls) == 1
    assert len({id(each) for each in raised}) == 3
    for each in raised:
        assert isinstance(each, CircuitOpen)
        assert (each.detail, each.retry_after_s, each.status, each.sent) == ("why", 3.0, 599, False)
    assert bench.events == {Event.COLLAPSED: 2}


@pytest.mark.parametrize("error", [ResponseTimeout("x"), ConnectTimeout("x")])
async def test_a_timeout_that_leaves_time_is_a_failure_like_any_other(
    bench: Bench, clock: Clock, error: ProxyError
) -> None:
    """As that of an attempt: if the service hangs, each of them would wait as long, one after another."""
    requests = [asking() for _ in range(3)]
    for request in requests:
        request.deadline_s = clock.now_s + 0.02
    tasks = await bench.ask(*requests)
    await bench.settle(0, error)
    assert len(bench.calls) == 1
    assert {type(task.exception()) for task in tasks} == {type(error)}


async def test_a_caller_with_too_little_time_is_alone_with_that(bench: Bench, clock: Clock) -> None:
    hurried, patient = asking(), asking()
    hurried.deadline_s = clock.now_s + 5.0
    await bench.ask(hurried, patient)
    await bench.settle(0, DeadlineExceeded("x"))
    assert len(bench.calls) == 2


@pytest.mark.parametrize("error", [ResponseTimeout("x"), ConnectTimeout("x"), BadRequest("x"), ZeroDivisionError()])
async def test_what_concerns_one_caller_only_sends_the_next(bench: Bench, error: Exception) -> None:
    tasks = await bench.ask(*(asking() for _ in range(4)))
    await bench.settle(0, error)
    assert (tasks[0].exception(), len(bench.calls)) == (error, 2)
    await bench.settle(1, error)
    assert len(bench.calls) == 3
    await bench.settle(2, answer())
    assert tasks[2].result().headers == []
    assert pairs(tasks[3].result().headers) == [COLLAPSED]


async def test_a_caller_that_hangs_up_hands_over_to_the_next(bench: Bench) -> None:
    tasks = await bench.ask(*(asking() for _ in range(3)))
    tasks[0].cancel()
    await turns()
    assert len(bench.calls) == 2
    await bench.settle(1, answer())
    assert [task.result().body for task in tasks[1:]] == [b"good", b"good"]


async def test_one_that_waits_may_hang_up(bench: Bench) -> None:
    tasks = await bench.ask(*(asking() for _ in range(3)))
    tasks[1].cancel()
    await turns()
    (flight,) = bench.stage._flights.values()
    assert len(flight.waiters) == 1, "and is forgotten"
    await bench.settle(0, answer())
    assert (tasks[1].cancelled(), tasks[2].result().body, len(bench.calls)) == (True, b"good", 1)


async def test_nobody_waits_longer_than_its_own_timeout(bench: Bench, clock: Clock) -> None:
    (leader,) = await bench.ask(asking())
    clock.now_s += 9.999
    hurried = asking()
    patient = asking()
    patient.received_s = clock.now_s
    waiting = await bench.ask(hurried, patient)
    await asyncio.sleep(0.02)
    with pytest.raises(ResponseTimeout):
        waiting[0].result()
    assert bench.events == {Event.TIMEOUT: 1}
    await bench.settle(0, answer())
    assert waiting[1].result().body == leader.result().body == b"good"


async def test_nor_longer_than_it_asked_to(bench: Bench, clock: Clock) -> None:
    await bench.ask(asking())
    clock.now_s += 1.0
    hurried, patient = asking(), asking()
    hurried.asked_timeout_s, patient.asked_timeout_s = 1.001, 60.0
    waiting = await bench.ask(hurried, patient)
    await asyncio.sleep(0.02)
    assert [task.done() for task in waiting] == [True, False]
    assert isinstance(waiting[0].exception(), ResponseTimeout)


async def test_who_shared_an_answer_knows_whose_attempts_led_to_it(bench: Bench) -> None:
    first, second = asking(), asking()
    await bench.ask(first, second)
    await bench.settle(0, ConnectionBroken("x"))
    assert second.attempts is first.attempts


@pytest.mark.parametrize("result", [answer, lambda: ConnectionBroken("x"), lambda: answer(b"Vary: *")])
async def test_nothing_is_left_behind(bench: Bench, result: Callable[[], Response | ProxyError]) -> None:
    await bench.ask(*(asking() for _ in range(3)))
    for number in range(3):
        if number < len(bench.calls):
            await bench.settle(number, result())
    assert bench.stage._flights == {}


COME, HANG_UP, ANSWER, FAIL, TIME_OUT = "come", "hang up", "answer", "fail", "time out"
STEPS = st.lists(st.tuples(st.sampled_from([COME, COME, HANG_UP, ANSWER, FAIL, TIME_OUT]), st.integers(0, 9)))


@given(STEPS)
async def test_whatever_happens_one_at_a_time_calls_and_everybody_gets_an_end(
    steps: list[tuple[str, int]],
) -> None:
    bench = Bench(Clock(), CommandMetrics("orders", lambda: 0.0))
    tasks: list[asyncio.Task[Response]] = []
    outcomes = {ANSWER: answer, FAIL: lambda: ConnectionBroken("x"), TIME_OUT: lambda: ResponseTimeout("x")}
    for what, which in [*steps, *([(ANSWER, 0)] * (len(steps) + 1))]:
        under_way = [number for number, call in enumerate(bench.calls) if not call.done()]
        assert len(under_way) <= 1
        if what == COME:
            tasks += await bench.ask(asking())
        elif what == HANG_UP and tasks:
            tasks[which % len(tasks)].cancel()
            await turns()
        elif what in outcomes and under_way:
            await bench.settle(under_way[0], outcomes[what]())  # type: ignore[operator] # mypy joins the lambdas
    assert all(task.done() for task in tasks)
    assert bench.stage._flights == {}
    for task in tasks:
        if not task.cancelled():
            task.exception()
