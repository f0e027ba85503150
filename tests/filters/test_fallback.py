"""When a chain is walked, in which order, and what its caller and its operator are told."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.metrics import CommandMetrics, Event, exceptions_thrown
from prana.errors import BadRequest, CircuitOpen, ConnectionBroken, NoInstance, Overloaded, ProxyError
from prana.fallback.fixed import Fixed
from prana.fallback.substitute import Kind
from prana.filters.fallback import Fallback
from prana.request import End, Instead, Request, Response
from prana.resilience.bulkhead import Bulkhead
from prana.wire.body import BodyStream
from tests.wire.conftest import pairs

from .conftest import Clock, Next, answer, request

STATIC = Fixed(Kind.STATIC, 203, "application/json", b"{}")


class Step:
    """A substitute that gives `result`, and counts how often it was asked."""

    def __init__(self, result: Response | BaseException | None = None, kind: Kind = Kind.LAST_GOOD) -> None:
        self.kind = kind
        self.result = result
        self.asked = 0

    async def __call__(self, request: Request) -> Response | None:
        self.asked += 1
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


@pytest.fixture
def asked() -> Request:
    return request()


@pytest.fixture
def bulkhead(clock: Clock) -> Bulkhead:
    return Bulkhead(2, clock)


def failed(ends: list[End]) -> Response:
    """A 500 whose body is under way."""
    bad = answer(500)
    body = bad.body = BodyStream(lambda: None, lambda: None)
    body.feed(b"under way")
    bad.on_finish(ends.append)
    return bad


@pytest.mark.parametrize(
    ("error", "reason", "status"),
    [
        (ConnectionBroken("x"), b"connection_broken", b"prana; error=connection_terminated"),
        (NoInstance("x"), b"no_instance", b"prana; error=destination_unavailable"),
        (Overloaded("x"), b"overload", b"prana; error=connection_limit_reached"),
        (CircuitOpen("x"), b"circuit_open", b"prana; error=destination_unavailable; details=circuit_open"),
    ],
)
async def test_an_error_is_answered_in_the_services_place(
    asked: Request, bulkhead: Bulkhead, command: CommandMetrics, error: ProxyError, reason: bytes, status: bytes
) -> None:
    response = await Fallback([STATIC], bulkhead, command)(asked, Next(error))
    assert (response.status, response.body, response.error) == (203, b"{}", error)
    assert response.fallback == Instead("static", reason.decode())
    assert pairs(response.headers) == [
        (b"Content-Type", b"application/json"),
        (b"X-Prana-Fallback", b"static; reason=" + reason),
        (b"Proxy-Status", status),
    ]
    assert command.events[Event.FALLBACK_SUCCESS] == command.fallbacks_by_kind["static"] == 1
    assert command.fallbacks_by_cause == {reason.decode(): 1}


async def test_a_5xx_is_replaced_and_given_up(asked: Request, bulkhead: Bulkhead, command: CommandMetrics) -> None:
    ends: list[End] = []
    response = await Fallback([STATIC], bulkhead, command)(asked, Next(failed(ends)))
    assert (b"X-Prana-Fallback", b"static; reason=http_500") in pairs(response.headers)
    assert (b"Proxy-Status", b"prana") in pairs(response.headers)
    assert ends == [End.DISCARDED]


@pytest.mark.parametrize("status", [200, 404, 429, 499])
async def test_other_answers_pass(asked: Request, bulkhead: Bulkhead, command: CommandMetrics, status: int) -> None:
    response = answer(status)
    assert await Fallback([STATIC], bulkhead, command)(asked, Next(response)) is response


async def test_the_callers_own_mistake_passes(asked: Request, bulkhead: Bulkhead, command: CommandMetrics) -> None:
    with pytest.raises(BadRequest):
        await Fallback([STATIC], bulkhead, command)(asked, Next(BadRequest("x")))
    assert not any(command.events)


async def test_without_one_configured_everything_passes_and_is_counted_as_missing(
    asked: Request, bulkhead: Bulkhead, command: CommandMetrics
) -> None:
    bad = answer(503)
    assert await Fallback([], bulkhead, command)(asked, Next(bad)) is bad
    with pytest.raises(ConnectionBroken):
        await Fallback([], bulkhead, command)(asked, Next(ConnectionBroken("x")))
    assert command.events[Event.FALLBACK_MISSING] == 2
    assert command.events[Event.FALLBACK_SUCCESS] == 0


@given(st.lists(st.booleans(), min_size=1, max_size=5))
async def test_the_first_in_the_chain_that_has_an_answer_answers(has_answer: list[bool]) -> None:
    command = CommandMetrics("orders", lambda: 0.0)
    chain = [Step(answer(200) if has else None) for has in has_answer]
    bad = answer(503)
    response = await Fallback(chain, Bulkhead(1, lambda: 0.0), command)(request(), Next(bad))
    first = has_answer.index(True) if any(has_answer) else None
    assert response is (bad if first is None else chain[first].result)
    reached = len(chain) if first is None else first + 1
    assert [step.asked for step in chain] == [1] * reached + [0] * (len(chain) - reached)
    assert command.events[Event.FALLBACK_SUCCESS] == int(first is not None)
    assert command.events[Event.FALLBACK_FAILURE] == int(first is None)
    assert command.fallback_failures_by_kind["last_good"] == (len(chain) if first is None else first)


async def test_when_all_fail_the_caller_gets_what_was_the_matter_at_first(
    asked: Request, bulkhead: Bulkhead, command: CommandMetrics
) -> None:
    error = ConnectionBroken("x")
    with pytest.raises(ConnectionBroken) as raised:
        await Fallback([Step()], bulkhead, command)(asked, Next(error))
    assert raised.value is error
    ends: list[End] = []
    bad = failed(ends)
    assert await Fallback([Step()], bulkhead, command)(asked, Next(bad)) is bad
    assert (bad.headers, bad.fallback, ends) == ([], None, [])
    assert command.events[Event.FALLBACK_FAILURE] == 2


async def test_a_caller_that_hangs_up_ends_the_walk(
    asked: Request, bulkhead: Bulkhead, command: CommandMetrics
) -> None:
    ends: list[End] = []
    last = Step(answer())
    with pytest.raises(asyncio.CancelledError):
        await Fallback([Step(asyncio.CancelledError()), last], bulkhead, command)(asked, Next(failed(ends)))
    assert (last.asked, ends) == (0, [End.DISCARDED])
    assert not any(command.events)


async def test_a_fallback_holds_its_place_until_its_last_byte_is_out(
    asked: Request, bulkhead: Bulkhead, command: CommandMetrics
) -> None:
    response = await Fallback([STATIC], bulkhead, command)(asked, Next(NoInstance("x")))
    assert bulkhead.in_use == 1
    response.finish(End.ABANDONED)
    assert bulkhead.in_use == 0


@pytest.mark.parametrize("result", [None, asyncio.CancelledError()])
async def test_a_chain_without_an_answer_gives_its_place_back_at_once(
    asked: Request, bulkhead: Bulkhead, command: CommandMetrics, result: BaseException | None
) -> None:
    with pytest.raises((NoInstance, asyncio.CancelledError)):
        await Fallback([Step(result)], bulkhead, command)(asked, Next(NoInstance("x")))
    assert bulkhead.in_use == 0


async def test_beyond_the_limit_the_caller_gets_what_went_wrong(
    asked: Request, clock: Clock, command: CommandMetrics
) -> None:
    """Hystrix: FALLBACK_REJECTION, nobody waits."""
    bulkhead = Bulkhead(1, clock)
    fallback = Fallback([STATIC], bulkhead, command)
    first = await fallback(asked, Next(NoInstance("x")))
    error, bad = CircuitOpen("x"), answer(503)
    with pytest.raises(CircuitOpen) as raised:
        await fallback(asked, Next(error))
    assert raised.value is error
    assert await fallback(asked, Next(bad)) is bad
    assert (command.events[Event.FALLBACK_REJECTION], command.events[Event.FALLBACK_SUCCESS]) == (2, 1)
    assert exceptions_thrown(command.events) == 2
    first.finish(End.COMPLETE)
    assert (await fallback(asked, Next(error))).fallback == Instead("static", "circuit_open")
