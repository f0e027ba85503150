"""Two attempts at one request, each of which ends when the test says so."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from admin.metrics import ServiceMetrics
from loadbalancer.node import Node
from prana.config.settings import Hedge as HedgeSettings
from prana.errors import ConnectionBroken, ProxyError
from prana.filters.hedge import Hedge
from prana.request import OVERTAKEN, Attempt, End, Request, Response
from prana.resilience.answers import AnswerTimes
from prana.resilience.budget import RetryBudget
from prana.resilience.repeatable import Repeatable
from prana.wire.body import BodyStream
from prana.wire.upgrade import Upgrade

from .conftest import Clock, answer, request

BROKEN = ConnectionBroken("broke off", sent=True)
NODE: Node = object()  # type: ignore[assignment] # nobody looks at it


class Instances:
    """What comes after the stage: each attempt waits for its result."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.results: list[asyncio.Future[Response]] = []
        self.given_up: list[int] = []
        self.began = asyncio.Event()  # the second

    async def __call__(self, asked: Request) -> Response:
        number, attempt = len(self.asked), Attempt(NODE)
        asked.attempts.append(attempt)
        self.asked.append(asked)
        self.results.append(asyncio.get_running_loop().create_future())
        if number == 1:
            self.began.set()
        try:
            response = await self.results[number]
        except asyncio.CancelledError:
            self.given_up.append(number)
            attempt.duration_s = 0.5
            raise
        attempt.status = response.status
        return response


def watched(status: int = 200) -> tuple[Response, list[End]]:
    response, ends = answer(status), list[End]()
    response.on_finish(ends.append)
    return response, ends


class Stage:
    def __init__(self, clock: Clock, metrics: ServiceMetrics) -> None:
        self.clock = clock
        self.metrics = metrics
        self.budget = RetryBudget(clock, 0.2, 10.0)
        self.answers = AnswerTimes(clock)
        for _ in range(20):
            self.answers.record(clock(), 0.001)
        self.others = True
        self.instances = Instances()
        self.repeatable: Callable[[Request], bool] = Repeatable({"GET", "PUT"}, by_key=True)

    def run(self, asked: Request, **settings: Any) -> "asyncio.Task[Response]":
        hedge = Hedge(
            HedgeSettings(enabled=True, min_delay=0.001, **settings),
            {503},
            self.repeatable,  # type: ignore[arg-type] # or a function
            self.budget,
            self.answers,
            lambda request: self.others,
            self.metrics,
            self.clock,
        )

        async def run() -> Response:
            return await hedge(asked, self.instances)

        return asyncio.create_task(run())

    async def race(self, asked: Request | None = None) -> "asyncio.Task[Response]":
        """Until both attempts are under way."""
        task = self.run(asked or self.request())
        await self.instances.began.wait()
        return task

    def request(self, method: bytes = b"GET") -> Request:
        asked = request(method)
        asked.deadline_s = self.clock() + 10
        return asked

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.metrics.hedges, self.metrics.hedges_won, self.metrics.hedges_refused


@pytest.fixture
async def stage(clock: Clock, metrics: ServiceMetrics) -> AsyncIterator[Stage]:
    unhandled: list[Mapping[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    yield Stage(clock, metrics)
    assert not unhandled


async def turns() -> None:
    """For what is to happen in the next turns of the loop."""
    for _ in range(5):
        await asyncio.sleep(0)


async def past(s: float = 0.01) -> None:
    """Longer than a hedge would wait."""
    await asyncio.sleep(s)


async def test_an_answer_in_time_needs_no_second_attempt(stage: Stage) -> None:
    task = stage.run(stage.request())
    await turns()
    stage.instances.results[0].set_result(answer())
    assert (await task).status == 200
    await past()
    assert (len(stage.instances.asked), stage.counts) == (1, (0, 0, 0))


async def test_the_second_may_win_and_the_first_is_given_up(stage: Stage) -> None:
    task = await stage.race()
    stage.instances.results[1].set_result(good := answer())
    assert await task is good
    assert (stage.instances.given_up, stage.counts) == ([0], (1, 1, 0))
    assert [attempt.cause for attempt in stage.instances.asked[0].attempts] == [OVERTAKEN, ""]
    assert task.cancelling() == 0, "whoever awaits something next is not cancelled"


async def test_the_first_may_win_and_the_second_is_given_up(stage: Stage) -> None:
    task = await stage.race()
    stage.instances.results[0].set_result(good := answer())
    assert await task is good
    await turns()
    assert (stage.instances.given_up, stage.counts) == ([1], (1, 0, 0))
    assert [attempt.cause for attempt in stage.instances.asked[0].attempts] == ["", OVERTAKEN]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_of_two_answers_in_one_turn_one_is_delivered_and_the_other_given_back(
    stage: Stage, order: tuple[int, int]
) -> None:
    task = await stage.race()
    answers = [watched(), watched()]
    for number in order:
        stage.instances.results[number].set_result(answers[number][0])
    got = await task
    await turns()
    for response, ends in answers:
        assert ends == ([] if response is got else [End.COMPLETE]) or stage.instances.given_up
    assert len(stage.instances.given_up) + sum(bool(ends) for _, ends in answers) == 1


@pytest.mark.parametrize("bad", [BROKEN, 503])
async def test_a_bad_second_changes_nothing(stage: Stage, bad: ProxyError | int) -> None:
    task = await stage.race()
    response, ends = watched(503)
    if isinstance(bad, ProxyError):
        stage.instances.results[1].set_exception(bad)
    else:
        stage.instances.results[1].set_result(response)
    await turns()
    assert not task.done()
    assert ends == ([] if isinstance(bad, ProxyError) else [End.COMPLETE])
    stage.instances.results[0].set_result(answer())
    assert (await task).status == 200
    assert stage.counts == (1, 0, 0)


@pytest.mark.parametrize("bad", [BROKEN, 503])
async def test_the_second_saves_a_first_that_failed(stage: Stage, bad: ProxyError | int) -> None:
    task = await stage.race()
    response, ends = watched(503)
    if isinstance(bad, ProxyError):
        stage.instances.results[0].set_exception(bad)
    else:
        stage.instances.results[0].set_result(response)
    await turns()
    assert not task.done()
    stage.instances.results[1].set_result(answer())
    assert (await task).status == 200
    assert ends == ([] if isinstance(bad, ProxyError) else [End.COMPLETE])
    assert (stage.counts, task.cancelling()) == ((1, 1, 0), 0)


async def test_when_both_fail_the_first_failure_is_it(stage: Stage) -> None:
    task = await stage.race()
    stage.instances.results[0].set_exception(BROKEN)
    stage.instances.results[1].set_exception(ConnectionBroken("the other"))
    with pytest.raises(ConnectionBroken, match="broke off"):
        await task


async def test_when_both_answer_badly_the_first_answer_is_it(stage: Stage) -> None:
    task = await stage.race()
    first, second = watched(503), watched(503)
    stage.instances.results[0].set_result(first[0])
    await turns()
    stage.instances.results[1].set_result(second[0])
    assert await task is first[0]
    assert (first[1], second[1]) == ([], [End.COMPLETE])


@pytest.mark.parametrize("first", [None, BROKEN, 503])
async def test_a_caller_that_leaves_ends_both(stage: Stage, first: ProxyError | int | None) -> None:
    task = await stage.race()
    response, ends = watched(503)
    if isinstance(first, ProxyError):
        stage.instances.results[0].set_exception(first)
    elif first:
        stage.instances.results[0].set_result(response)
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await turns()
    assert stage.instances.given_up == ([0, 1] if first is None else [1])
    assert ends == ([End.COMPLETE] if first == 503 else [])


@pytest.mark.parametrize("later", range(3))
async def test_a_caller_that_leaves_as_the_second_wins_ends_both(stage: Stage, later: int) -> None:
    """In each turn of the loop until the first attempt is told."""
    task = await stage.race()
    response, ends = watched()
    stage.instances.results[1].set_result(response)
    for _ in range(later):
        await asyncio.sleep(0)
    assert task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await turns()
    assert (stage.instances.given_up, ends) == ([0], [End.COMPLETE])


async def test_a_mistake_of_our_own_ends_both(stage: Stage) -> None:
    task = await stage.race()
    stage.instances.results[0].set_exception(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await task
    await turns()
    assert stage.instances.given_up == [1]


async def not_hedged(stage: Stage, asked: Request, **settings: Any) -> None:
    task = stage.run(asked, **settings)
    await past()
    assert len(stage.instances.asked) == 1
    stage.instances.results[0].set_result(answer())
    await task


async def test_what_must_not_be_repeated_is_not_hedged(stage: Stage) -> None:
    await not_hedged(stage, stage.request(b"POST"))


async def test_a_retry_is_not_hedged(stage: Stage) -> None:
    asked = stage.request()
    asked.attempts.append(Attempt(NODE))
    await not_hedged(stage, asked)


async def test_a_handshake_is_not_hedged(stage: Stage) -> None:
    asked = stage.request()
    asked.upgrade = Upgrade(b"key")
    await not_hedged(stage, asked)


async def test_of_few_answers_none_is_known_to_be_late(stage: Stage) -> None:
    stage.answers = AnswerTimes(stage.clock)
    await not_hedged(stage, stage.request())


async def test_none_begins_before_the_percentile_of_the_answers(stage: Stage) -> None:
    for _ in range(20):
        stage.answers.record(stage.clock(), 60.0)
    await not_hedged(stage, stage.request(), percentile=51.0)


async def test_none_begins_that_the_deadline_would_end_before_half_of_the_answers_are_there(stage: Stage) -> None:
    asked = stage.request()
    asked.deadline_s = stage.clock() + 0.001
    await not_hedged(stage, asked)


async def test_none_begins_without_another_node(stage: Stage) -> None:
    stage.others = False
    await not_hedged(stage, stage.request())
    assert stage.counts == (0, 0, 0)


async def test_hedges_are_paid_for_like_retries(stage: Stage) -> None:
    stage.budget = RetryBudget(stage.clock, 0.5, 0.0)
    await not_hedged(stage, stage.request())
    assert stage.counts == (0, 0, 1)
    stage.instances = Instances()
    for _ in range(2):
        stage.budget.deposit()
    task = await stage.race()
    stage.instances.results[1].set_result(answer())
    await task
    assert (stage.counts, stage.budget.balance) == ((1, 1, 1), 0)


def body(*parts: bytes) -> BodyStream:
    made = BodyStream(lambda: None, lambda: None)
    made.retain(100)
    for part in parts:
        made.feed(part)
    return made


@pytest.mark.parametrize("taken", [True, False])
async def test_each_attempt_has_the_whole_body(stage: Stage, taken: bool) -> None:
    asked = stage.request(b"PUT")
    asked.body = body(b"ab", b"c")
    asked.body.end()
    task = stage.run(asked)
    await turns()
    if taken:
        assert asked.body.take() == b"abc"
    await stage.instances.began.wait()
    second = stage.instances.asked[1].body
    assert second is not None
    assert second is not asked.body
    assert (second.whole, second.take()) == (True, b"abc")
    assert asked.body.take() == (b"" if taken else b"abc")
    stage.instances.results[1].set_result(answer())
    await task


async def test_an_upload_is_not_hedged(stage: Stage) -> None:
    asked = stage.request(b"PUT")
    asked.body = body(b"ab")
    await not_hedged(stage, asked)


async def test_a_body_that_was_not_kept_is_not_hedged(stage: Stage) -> None:
    asked = stage.request(b"PUT")
    asked.body = body(bytes(101))
    asked.body.end()
    task = stage.run(asked)
    await turns()
    asked.body.take()
    await past()
    assert len(stage.instances.asked) == 1
    stage.instances.results[0].set_result(answer())
    await task


async def test_interim_answers_are_the_first_attempts(stage: Stage) -> None:
    asked = stage.request()
    asked.send_interim = lambda status, reason, headers: None
    task = await stage.race(asked)
    assert [each.send_interim for each in stage.instances.asked] == [asked.send_interim, None]
    stage.instances.results[1].set_result(answer())
    await task


async def test_an_attempt_that_was_overtaken_counts_with_the_time_it_had(stage: Stage) -> None:
    """Else the slowest answers would leave the measurement, and hedges come earlier and earlier."""
    task = await stage.race()
    stage.instances.results[1].set_result(answer())
    await task
    stage.clock.now_s += 1
    assert stage.answers.within_s(100) == 0.5
