import contextlib

import pytest

from admin.metrics import ServiceMetrics
from prana.errors import ConnectionBroken, DeadlineExceeded, ProxyError, ResponseTimeout
from prana.filters.deadline import Deadline
from prana.request import Request, Response
from prana.resilience.answers import AnswerTimes

from .conftest import Clock, Next, answer, request

LATE = ResponseTimeout("late", sent=True)


class Stage:
    """The deadline of a service with a timeout of 0.8 s, whose answers take a quarter of a second."""

    def __init__(self, clock: Clock, metrics: ServiceMetrics) -> None:
        self.clock = clock
        self.metrics = metrics
        self.answers = AnswerTimes(clock)
        self.deadline = Deadline(0.8, self.answers, metrics, clock)

    def measure(self) -> None:
        for _ in range(20):
            self.answers.record(self.clock(), 0.25)

    async def ask(self, next: Next, asked_timeout_s: float = 0.2, waited_s: float = 0.0) -> Request:
        asked = request()
        asked.received_s = self.clock() - waited_s
        asked.asked_timeout_s = asked_timeout_s
        await self.deadline(asked, next)
        return asked

    async def tried(self, result: Response | BaseException, times: int = 1, asked_timeout_s: float = 0.2) -> int:
        """How many of so many requests come through."""
        next = Next(result)
        for _ in range(times):
            with contextlib.suppress(ProxyError):
                await self.ask(next, asked_timeout_s)
        return next.calls


@pytest.fixture
def stage(clock: Clock, metrics: ServiceMetrics) -> Stage:
    return Stage(clock, metrics)


async def test_the_deadline_counts_from_the_arrival_of_the_request(stage: Stage) -> None:
    asked = await stage.ask(Next(answer()), 0.0, waited_s=0.5)
    assert asked.deadline_s == stage.clock() + 0.8 - 0.5


@pytest.mark.parametrize(("asked_s", "timeout_s"), [(0.3, 0.3), (0.8, 0.8), (0.9, 0.8), (1e9, 0.8)])
async def test_a_caller_may_set_an_earlier_one_and_no_later_one(stage: Stage, asked_s: float, timeout_s: float) -> None:
    asked = await stage.ask(Next(answer()), asked_s, waited_s=0.1)
    assert asked.deadline_s == stage.clock() - 0.1 + timeout_s


async def test_what_arrives_too_late_is_not_sent(stage: Stage) -> None:
    next = Next(answer())
    with pytest.raises(DeadlineExceeded) as raised:
        await stage.ask(next, 0.2, waited_s=0.2)
    assert (raised.value.status, raised.value.sent, next.calls, stage.metrics.deadlines_refused) == (504, False, 0, 1)
    assert raised.value.detail == "the time that the caller allows was over before an instance could be asked"


async def test_less_time_than_the_median_is_refused_without_a_try(stage: Stage) -> None:
    stage.measure()
    assert await stage.tried(answer(), 5) == 0
    with pytest.raises(DeadlineExceeded) as raised:
        await stage.ask(Next(answer()))
    assert raised.value.detail == "the caller allows 200 ms more, and half of the answers take 250 ms or longer"
    assert stage.metrics.deadlines_refused == 6


async def test_one_a_second_is_tried_all_the_same(stage: Stage, clock: Clock) -> None:
    stage.measure()
    tried = []
    for _ in range(30):
        tried.append(await stage.tried(LATE))
        clock.now_s += 0.1
    assert [number for number, times in enumerate(tried) if times] == [10, 20]


async def test_the_first_that_makes_it_ends_the_refusals(stage: Stage, clock: Clock) -> None:
    stage.measure()
    await stage.tried(LATE)
    clock.now_s += 1
    assert await stage.tried(answer(503), 10) == 10


async def test_after_that_as_much_time_is_refused_only_once_it_was_missed(stage: Stage, clock: Clock) -> None:
    stage.measure()
    await stage.tried(LATE)
    clock.now_s += 1
    await stage.tried(answer())
    assert await stage.tried(LATE, 5) == 1


async def test_callers_with_hardly_any_time_spoil_nothing_for_those_with_more(stage: Stage, clock: Clock) -> None:
    stage.measure()
    await stage.tried(LATE)
    clock.now_s += 1
    await stage.tried(answer())
    for _ in range(10):
        await stage.tried(LATE, asked_timeout_s=0.001)
        assert await stage.tried(answer()) == 1


async def test_other_failures_say_nothing_of_the_time(stage: Stage, clock: Clock) -> None:
    stage.measure()
    for _ in range(5):
        await stage.tried(LATE)
        clock.now_s += 1
        assert await stage.tried(ConnectionBroken("x", sent=True), 5) == 1
    await stage.tried(answer())


async def test_who_leaves_the_median_is_always_tried(stage: Stage) -> None:
    stage.measure()
    await stage.tried(LATE)
    assert await stage.tried(LATE, 5, asked_timeout_s=0.25) == 5
    assert await stage.tried(answer(), 5, asked_timeout_s=0.0) == 5
    assert await stage.tried(answer(), 5, asked_timeout_s=0.2) == 0


async def test_nobody_is_refused_by_a_median_of_long_ago(stage: Stage, clock: Clock) -> None:
    stage.measure()
    await stage.tried(LATE)
    clock.now_s += 60
    assert await stage.tried(LATE, 5) == 5
