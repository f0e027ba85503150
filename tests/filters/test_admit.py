import asyncio
from contextlib import suppress
from functools import partial

import pytest

from admin.metrics import CommandMetrics, Event
from prana.errors import (
    BadRequest,
    CircuitOpen,
    ConnectionBroken,
    ConnectTimeout,
    DeadlineExceeded,
    NoInstance,
    Overloaded,
    ProxyError,
    ResponseTimeout,
)
from prana.fallback.fixed import Fixed
from prana.fallback.substitute import Kind, Substitute
from prana.filters.admit import Admit
from prana.filters.fallback import Fallback
from prana.request import End, Handler, Request, Response
from prana.resilience.breaker import Breaker, BreakerSettings
from prana.resilience.bulkhead import Bulkhead
from prana.resilience.gradient import AdaptiveSettings, Gradient2

from .conftest import Clock, Next, answer, request

STATIC = Fixed(Kind.STATIC, 200, "text/plain", b"instead")


class Stage:
    def __init__(self, clock: Clock, command: CommandMetrics) -> None:
        self.breaker = Breaker("orders", BreakerSettings(request_volume=2, sleep_window_s=5.0), clock)
        self.bulkhead = Bulkhead(2, clock)
        self.metrics = command
        self.admit = Admit(self.breaker, self.bulkhead, command, clock)
        self.fallback_bulkhead = Bulkhead(1, clock)

    async def command(self, request: Request, next: Handler, *fallback: Substitute) -> Response:
        """Admit with the end of the command above it."""
        return await Fallback(fallback, self.fallback_bulkhead, self.metrics)(request, partial(self.admit, next=next))

    @property
    def events(self) -> dict[Event, int]:
        return {event: count for event in Event if (count := self.metrics.events[event])}


@pytest.fixture
def stage(clock: Clock, command: CommandMetrics) -> Stage:
    return Stage(clock, command)


async def test_a_place_is_held_until_the_body_ends(stage: Stage) -> None:
    asked = request()
    response = await stage.command(asked, Next(answer()))
    assert (stage.bulkhead.in_use, asked.executed) == (1, True)
    response.finish(End.ABANDONED)
    assert stage.bulkhead.in_use == 0


@pytest.mark.parametrize(
    ("status", "failures", "event"), [(200, 0, Event.SUCCESS), (404, 0, Event.SUCCESS), (500, 1, Event.FAILURE)]
)
async def test_an_answer_counts_by_its_status(stage: Stage, status: int, failures: int, event: Event) -> None:
    await stage.admit(request(), Next(answer(status)))
    assert (stage.breaker.health.request_count, stage.breaker.health.error_count) == (1, failures)
    assert stage.events == {event: 1}


@pytest.mark.parametrize(
    ("error", "counted", "event"),
    [
        (ConnectionBroken("x"), 1, Event.FAILURE),
        (ResponseTimeout("x"), 1, Event.TIMEOUT),
        (NoInstance("x"), 1, Event.FAILURE),
        (BadRequest("x"), 0, Event.BAD_REQUEST),
        (asyncio.CancelledError(), 0, Event.CANCELLED),
        (ZeroDivisionError(), 0, Event.FAILURE),
    ],
)
async def test_an_error_counts_by_whose_fault_it_is_and_gives_its_place_back(
    stage: Stage, error: BaseException, counted: int, event: Event
) -> None:
    with pytest.raises(type(error)):
        await stage.command(request(), Next(error))
    assert (stage.breaker.health.request_count, stage.breaker.health.error_count) == (counted, counted)
    assert stage.bulkhead.in_use == 0
    assert {each: count for each, count in stage.events.items() if each != Event.FALLBACK_MISSING} == {event: 1}


@pytest.mark.parametrize("failure", [ConnectionBroken("x"), ResponseTimeout("x"), answer(500)])
async def test_a_place_is_held_until_the_answer_of_the_fallback_ends(
    stage: Stage, failure: ProxyError | Response
) -> None:
    response = await stage.command(request(), Next(failure), STATIC)
    assert (response.body, stage.bulkhead.in_use, stage.fallback_bulkhead.in_use) == (b"instead", 1, 1)
    response.finish(End.COMPLETE)
    assert (stage.bulkhead.in_use, stage.fallback_bulkhead.in_use) == (0, 0)


async def test_neither_a_short_circuited_nor_a_rejected_request_holds_a_place_while_its_fallback_answers(
    stage: Stage,
) -> None:
    held = [await stage.command(request(), Next(answer())) for _ in range(2)]
    rejected = await stage.command(request(), Next(answer()), STATIC)
    assert (rejected.body, stage.bulkhead.in_use) == (b"instead", 2)
    for response in (*held, rejected):
        response.finish(End.COMPLETE)
    assert stage.bulkhead.in_use == 0
    stage.breaker.force = "open"
    assert (await stage.command(request(), Next(answer()), STATIC)).body == b"instead"
    assert stage.bulkhead.in_use == 0


async def fail(stage: Stage) -> None:
    with pytest.raises(ProxyError):
        await stage.command(request(), Next(ConnectionBroken("x")))


async def test_an_open_circuit_asks_nobody_and_says_when_to_come_back(stage: Stage, clock: Clock) -> None:
    await fail(stage)
    await fail(stage)
    clock.now_s += 2
    next, asked = Next(answer()), request()
    with pytest.raises(CircuitOpen) as raised:
        await stage.admit(asked, next)
    assert raised.value.retry_after_s == 3
    assert "100 % of 2" in raised.value.detail
    assert (next.calls, asked.executed, asked.release_place) == (0, False, None)
    assert stage.events[Event.SHORT_CIRCUITED] == 1


async def test_one_trial_closes_it_again(stage: Stage, clock: Clock) -> None:
    await fail(stage)
    await fail(stage)
    clock.now_s += 5.1
    await stage.admit(request(), Next(answer()))
    assert stage.breaker.state == "closed"


async def test_over_the_limit_is_refused_and_counts_as_a_failure(stage: Stage) -> None:
    for _ in range(2):
        await stage.admit(request(), Next(answer()))
    next, asked = Next(answer()), request()
    with pytest.raises(Overloaded) as raised:
        await stage.admit(asked, next)
    assert (raised.value.retry_after_s, next.calls, asked.executed) == (1, 0, False)
    assert (stage.bulkhead.in_use, stage.breaker.health.error_count) == (2, 1)
    assert stage.events[Event.SEMAPHORE_REJECTED] == 1


async def test_a_connection_not_made_is_a_failure_unless_the_deadline_ended_it(stage: Stage, clock: Clock) -> None:
    asked = request()
    asked.deadline_s = clock.now_s + 5
    for _ in range(2):
        with pytest.raises(ConnectTimeout):
            await stage.command(asked, Next(ConnectTimeout("x")))
        asked.deadline_s = clock.now_s + 0.0005
        stage.breaker.force = "closed"
    assert (stage.events[Event.FAILURE], stage.events[Event.TIMEOUT]) == (1, 1)


REJECTED, SHORT_CIRCUITED = "rejected", "short-circuited"


@pytest.mark.parametrize(
    ("ended", "event"),
    [
        (200, Event.SUCCESS),
        (404, Event.SUCCESS),
        (500, Event.FAILURE),
        (ConnectionBroken("x"), Event.FAILURE),
        (NoInstance("x"), Event.FAILURE),
        (ResponseTimeout("x"), Event.TIMEOUT),
        (BadRequest("x"), Event.BAD_REQUEST),
        (asyncio.CancelledError(), Event.CANCELLED),
        (REJECTED, Event.SEMAPHORE_REJECTED),
        (SHORT_CIRCUITED, Event.SHORT_CIRCUITED),
    ],
)
@pytest.mark.parametrize("fallback", [Event.FALLBACK_SUCCESS, Event.FALLBACK_REJECTION, Event.FALLBACK_MISSING])
async def test_a_command_leaves_the_events_of_a_hystrix_command(
    stage: Stage, ended: int | BaseException | str, event: Event, fallback: Event
) -> None:
    """Such as [TIMEOUT, FALLBACK_SUCCESS]; BAD_REQUEST and CANCELLED never come to the fallback."""
    if ended == REJECTED:
        stage.bulkhead.limit = 0
    if ended == SHORT_CIRCUITED:
        stage.breaker.force = "open"
    if fallback is Event.FALLBACK_REJECTION:
        stage.fallback_bulkhead.limit = 0
    next = Next(ended if isinstance(ended, BaseException) else answer(ended if isinstance(ended, int) else 200))
    with suppress(ProxyError, asyncio.CancelledError):
        await stage.command(request(), next, *([] if fallback is Event.FALLBACK_MISSING else [STATIC]))
    falls_back = event not in (Event.SUCCESS, Event.BAD_REQUEST, Event.CANCELLED)
    assert stage.events == {event: 1} | ({fallback: 1} if falls_back else {})


async def test_closing_forgets_the_health_window_and_not_what_dashboards_count(stage: Stage, clock: Clock) -> None:
    await fail(stage)
    await fail(stage)
    clock.now_s += 5.1
    await stage.admit(request(), Next(answer()))
    assert (stage.breaker.state, stage.breaker.health.request_count) == ("closed", 0)
    assert stage.metrics.recent_events()[Event.FAILURE] == 2


@pytest.mark.parametrize("result", [answer(200), ConnectionBroken("x")])
async def test_how_long_it_took_counts_too(stage: Stage, clock: Clock, result: Response | ProxyError) -> None:
    settings = BreakerSettings(request_volume=1, error_percentage=101, slow_call_percentage=100, slow_call_s=1.0)
    stage.breaker = Breaker("orders", settings, clock)
    stage.admit = Admit(stage.breaker, stage.bulkhead, stage.metrics, clock)

    def later(_: Request) -> Response:
        clock.now_s += 1.5
        if isinstance(result, ProxyError):
            raise result
        return result

    with suppress(ConnectionBroken):
        await stage.command(request(), Next(later))
    assert stage.breaker.reason == "100 % of 1 recent requests to this service took over 1 s"


class TestAdaptive:
    """The bulkhead's limit follows the load."""

    @pytest.fixture
    def stage(self, clock: Clock, command: CommandMetrics) -> Stage:
        stage = Stage(clock, command)
        adaptive = Gradient2(AdaptiveSettings(min=1, max=10, initial=2), clock)
        stage.admit = Admit(stage.breaker, stage.bulkhead, command, clock, adaptive)
        return stage

    async def test_it_grows_while_answers_are_quick_and_sinks_when_there_are_none(
        self, stage: Stage, clock: Clock
    ) -> None:
        def later(_: Request) -> Response:
            clock.now_s += 0.11
            return answer()

        held = await stage.command(request(), Next(answer()))
        for _ in range(20):
            (await stage.command(request(), Next(later))).finish(End.COMPLETE)
        assert (stage.bulkhead.limit, stage.bulkhead.in_use) == (3, 1), "2, 2.8, 3.6"
        held.finish(End.COMPLETE)
        for limit in (3, 2):
            clock.now_s += 1
            with pytest.raises(ResponseTimeout):
                await stage.command(request(), Next(ResponseTimeout("x")))
            assert stage.bulkhead.limit == limit

    @pytest.mark.parametrize(("status", "limit"), [(200, 2), (404, 2), (500, 2), (429, 1), (503, 1), (504, 1)])
    async def test_an_answer_that_says_there_is_too_much_to_do_makes_it_sink(
        self, stage: Stage, clock: Clock, status: int, limit: int
    ) -> None:
        clock.now_s += 1
        await stage.command(request(), Next(answer(status)))
        assert stage.bulkhead.limit == limit

    async def test_a_caller_who_leaves_too_little_time_does_not_make_it_sink(self, stage: Stage, clock: Clock) -> None:
        for _ in range(10):
            clock.now_s += 1
            with pytest.raises(DeadlineExceeded):
                await stage.command(request(), Next(DeadlineExceeded("x")))
        assert stage.bulkhead.limit == 2

    async def test_what_it_refuses_is_no_failure_of_the_service(self, stage: Stage) -> None:
        """Half of the requests refused is what it is for, and would open the circuit."""
        held = [await stage.command(request(), Next(answer())) for _ in range(2)]
        for _ in range(10):
            with pytest.raises(Overloaded):
                await stage.command(request(), Next(answer()))
        assert (len(held), stage.breaker.state, stage.breaker.health.error_count) == (2, "closed", 0)
        assert stage.events[Event.SEMAPHORE_REJECTED] == 10
