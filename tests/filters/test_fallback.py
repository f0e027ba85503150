import pytest

from admin.metrics import CommandMetrics, Event, exceptions_thrown
from prana.config.settings import Fallback as FallbackSettings
from prana.errors import BadRequest, CircuitOpen, ConnectionBroken, NoInstance, Overloaded, ProxyError
from prana.filters.fallback import Fallback
from prana.request import End, Request
from prana.resilience.bulkhead import Bulkhead
from prana.wire.body import BodyStream
from tests.wire.conftest import pairs

from .conftest import Clock, Next, answer, request

STATIC = FallbackSettings(status=203, json={"a": None})


@pytest.fixture
def asked() -> Request:
    return request()


@pytest.fixture
def bulkhead(clock: Clock) -> Bulkhead:
    return Bulkhead(2, clock)


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
    response = await Fallback(STATIC, bulkhead, command)(asked, Next(error))
    assert (response.status, response.body, response.error, response.fallback) == (203, b'{"a":null}', error, "static")
    assert pairs(response.headers) == [
        (b"Content-Type", b"application/json"),
        (b"X-Prana-Fallback", b"static; reason=" + reason),
        (b"Proxy-Status", status),
    ]
    assert command.events[Event.FALLBACK_SUCCESS] == command.fallbacks_by_kind["static"] == 1


async def test_a_5xx_is_replaced_and_given_up(asked: Request, bulkhead: Bulkhead, command: CommandMetrics) -> None:
    bad = answer(500)
    body = bad.body = BodyStream(lambda: None, lambda: None)
    body.feed(b"under way")
    ends: list[End] = []
    bad.on_finish(ends.append)
    response = await Fallback(STATIC, bulkhead, command)(asked, Next(bad))
    assert (b"X-Prana-Fallback", b"static; reason=http_500") in pairs(response.headers)
    assert (b"Proxy-Status", b"prana") in pairs(response.headers)
    assert ends == [End.ABANDONED]


@pytest.mark.parametrize("status", [200, 404, 429, 499])
async def test_other_answers_pass(asked: Request, bulkhead: Bulkhead, command: CommandMetrics, status: int) -> None:
    response = answer(status)
    assert await Fallback(STATIC, bulkhead, command)(asked, Next(response)) is response


async def test_the_callers_own_mistake_passes(asked: Request, bulkhead: Bulkhead, command: CommandMetrics) -> None:
    with pytest.raises(BadRequest):
        await Fallback(STATIC, bulkhead, command)(asked, Next(BadRequest("x")))
    assert not any(command.events)


async def test_without_one_configured_everything_passes_and_is_counted_as_missing(
    asked: Request, bulkhead: Bulkhead, command: CommandMetrics
) -> None:
    bad = answer(503)
    assert await Fallback(None, bulkhead, command)(asked, Next(bad)) is bad
    with pytest.raises(ConnectionBroken):
        await Fallback(None, bulkhead, command)(asked, Next(ConnectionBroken("x")))
    assert command.events[Event.FALLBACK_MISSING] == 2
    assert command.events[Event.FALLBACK_SUCCESS] == 0


async def test_a_fallback_holds_its_place_until_its_last_byte_is_out(
    asked: Request, bulkhead: Bulkhead, command: CommandMetrics
) -> None:
    response = await Fallback(STATIC, bulkhead, command)(asked, Next(NoInstance("x")))
    assert bulkhead.in_use == 1
    response.finish(End.ABANDONED)
    assert bulkhead.in_use == 0


async def test_beyond_the_limit_the_caller_gets_what_went_wrong(
    asked: Request, clock: Clock, command: CommandMetrics
) -> None:
    """Hystrix: FALLBACK_REJECTION, nobody waits."""
    bulkhead = Bulkhead(1, clock)
    fallback = Fallback(STATIC, bulkhead, command)
    first = await fallback(asked, Next(NoInstance("x")))
    error, bad = CircuitOpen("x"), answer(503)
    with pytest.raises(CircuitOpen) as raised:
        await fallback(asked, Next(error))
    assert raised.value is error
    assert await fallback(asked, Next(bad)) is bad
    assert (command.events[Event.FALLBACK_REJECTION], command.events[Event.FALLBACK_SUCCESS]) == (2, 1)
    assert exceptions_thrown(command.events) == 2
    first.finish(End.COMPLETE)
    assert (await fallback(asked, Next(error))).fallback == "static"
