import asyncio
import contextlib
from random import Random
from typing import Any

import pytest

from admin.metrics import ServiceMetrics
from prana.config.settings import CommandRetry
from prana.errors import (
    BadRequest,
    ConnectionBroken,
    ConnectRefused,
    ConnectTimeout,
    DeadlineExceeded,
    NoInstance,
    Overloaded,
    ProxyError,
    RegistryNotRead,
    ResponseTimeout,
    UpstreamProtocolError,
)
from prana.filters.retry import Retry
from prana.request import End, Request, Response
from prana.resilience.answers import AnswerTimes
from prana.resilience.budget import RetryBudget
from prana.resilience.repeatable import Repeatable
from prana.wire.body import BodyStream
from prana.wire.fields import Field

from .conftest import Clock, Next, answer, request


class Naps:
    """Stands in for asyncio.sleep: time passes on the clock only."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.taken_s: list[float] = []

    async def __call__(self, delay_s: float) -> None:
        self.taken_s.append(delay_s)
        self._clock.now_s += delay_s


@pytest.fixture
def naps(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Naps:
    naps = Naps(clock)
    monkeypatch.setattr(asyncio, "sleep", naps)
    return naps


class Stage:
    def __init__(self, clock: Clock, metrics: ServiceMetrics) -> None:
        self.clock = clock
        self.metrics = metrics
        self.budget = RetryBudget(clock, 0.2, 10.0)
        self.answers = AnswerTimes(clock)
        self.others = True  # whether there are nodes not tried yet

    def retry(self, max_retries: int = 2, budget: RetryBudget | None = None, **settings: Any) -> Retry:
        retry = CommandRetry(
            **{"max_retries": max_retries, "statuses": frozenset({503}), "replay_bytes": 100, **settings}
        )
        return Retry(
            retry,
            Repeatable(retry.methods, by_key=retry.idempotency_key),
            budget or self.budget,
            self.answers,
            lambda request: self.others,
            self.metrics,
            self.clock,
            Random(1),
            lambda: 0.0,
        )

    def request(self, method: bytes = b"GET", time_s: float = 10.0) -> Request:
        asked = request(method)
        asked.deadline_s = self.clock() + time_s
        return asked


@pytest.fixture
def stage(clock: Clock, metrics: ServiceMetrics, naps: Naps) -> Stage:
    return Stage(clock, metrics)


BROKEN = ConnectionBroken("broke off", sent=True)
REFUSED = ConnectRefused("refused")


async def test_a_good_answer_needs_no_second_attempt(stage: Stage, naps: Naps) -> None:
    next = Next(answer(200))
    assert (await stage.retry()(stage.request(), next)).status == 200
    assert (next.calls, stage.metrics.retries, naps.taken_s) == (1, 0, [])


@pytest.mark.parametrize("failure", [BROKEN, REFUSED, ResponseTimeout("late", sent=True), answer(503)])
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"])
async def test_an_idempotent_request_is_tried_again(
    stage: Stage, failure: ProxyError | Response, method: bytes
) -> None:
    next = Next(failure, answer(200))
    assert (await stage.retry()(stage.request(method), next)).status == 200
    assert (next.calls, stage.metrics.retries) == (2, 1)


@pytest.mark.parametrize("method", [b"POST", b"PATCH", b"PROPFIND"])
async def test_another_is_only_while_nothing_was_sent(stage: Stage, method: bytes) -> None:
    unsent = Next(REFUSED, answer(200))
    assert (await stage.retry()(stage.request(method), unsent)).status == 200
    sent = Next(BROKEN, answer(200))
    with pytest.raises(ConnectionBroken):
        await stage.retry()(stage.request(method), sent)
    bad = Next(answer(503), answer(200))
    assert (await stage.retry()(stage.request(method), bad)).status == 503
    assert (unsent.calls, sent.calls, bad.calls) == (2, 1, 1)


@pytest.mark.parametrize("error", [NoInstance, Overloaded, BadRequest, RegistryNotRead, DeadlineExceeded, ProxyError])
async def test_where_another_attempt_cannot_help_there_is_none(stage: Stage, error: type[ProxyError]) -> None:
    next = Next(error("no"))
    with pytest.raises(error):
        await stage.retry()(stage.request(), next)
    assert (next.calls, stage.metrics.retries_refused) == (1, 0), "a refusal of our own costs nothing"


async def test_other_statuses_are_delivered(stage: Stage) -> None:
    next = Next(answer(500))
    assert (await stage.retry()(stage.request(), next)).status == 500
    assert next.calls == 1


@pytest.mark.parametrize("error", [ConnectTimeout, ConnectionBroken, UpstreamProtocolError])
async def test_what_was_not_sent_is_tried_elsewhere_whatever_it_is(stage: Stage, error: type[ProxyError]) -> None:
    next = Next(error("x"), answer(200))
    assert (await stage.retry(methods=frozenset())(stage.request(b"POST"), next)).status == 200


KEY = Field(b"Idempotency-Key", b'"8e03978e"')


@pytest.mark.parametrize(
    ("method", "field", "by_key", "calls"),
    [
        (b"POST", KEY, True, 2),
        (b"PATCH", Field(b"idempotency-KEY", b"1"), True, 2),
        (b"POST", KEY, False, 1),
        (b"POST", Field(b"Idempotency-Key", b""), True, 1),
        (b"POST", Field(b"X-Idempotency-Key", b"1"), True, 1),
    ],
)
async def test_a_service_that_recognises_repetitions_may_get_them(
    stage: Stage, method: bytes, field: Field, by_key: bool, calls: int
) -> None:
    for failure in (answer(503), BROKEN):
        asked = stage.request(method)
        asked.headers = [Field(b"Accept", b"a/b"), field]
        next = Next(failure, answer(200))
        with contextlib.suppress(ConnectionBroken):
            await stage.retry(idempotency_key=by_key)(asked, next)
        assert next.calls == calls


async def test_methods_are_the_services_own_affair(stage: Stage) -> None:
    retry = stage.retry(methods=frozenset({"GET", "REPORT"}))
    for method, calls in ((b"GET", 2), (b"REPORT", 2), (b"PUT", 1), (b"report", 1)):
        next = Next(answer(503), answer(200))
        await retry(stage.request(method), next)
        assert next.calls == calls


@pytest.mark.parametrize("max_retries", [0, 1, 3])
async def test_there_are_so_many_retries_and_then_the_last_failure(stage: Stage, max_retries: int) -> None:
    next = Next(BROKEN)
    with pytest.raises(ConnectionBroken):
        await stage.retry(max_retries)(stage.request(), next)
    assert next.calls == 1 + max_retries == 1 + stage.metrics.retries


async def test_the_last_answer_is_delivered_and_those_before_it_are_given_up(stage: Stage) -> None:
    answers = [answer(503) for _ in range(3)]
    ends: list[list[End]] = [[], [], []]
    for each, seen in zip(answers, ends, strict=True):
        each.on_finish(seen.append)
    assert await stage.retry()(stage.request(), Next(*answers)) is answers[2]
    assert ends == [[End.COMPLETE], [End.COMPLETE], []]


async def test_an_error_after_a_bad_answer_is_what_the_caller_gets(stage: Stage) -> None:
    with pytest.raises(NoInstance):
        await stage.retry()(stage.request(), Next(answer(503), NoInstance("none")))


async def test_no_retry_begins_that_would_miss_the_deadline(stage: Stage, naps: Naps) -> None:
    next = Next(BROKEN)
    with pytest.raises(ConnectionBroken):
        await stage.retry()(stage.request(time_s=0.0), next)
    assert (next.calls, naps.taken_s, stage.metrics.retries_refused) == (1, [], 0)


async def test_no_retry_begins_whose_backoff_would_miss_the_deadline(stage: Stage, naps: Naps) -> None:
    """The backoff is random up to 25 ms, so that of some of many requests is longer than the microsecond left."""
    next = Next(BROKEN)
    for _ in range(20):
        with pytest.raises(ConnectionBroken):
            await stage.retry(1)(stage.request(time_s=1e-6), next)
    assert (next.calls, naps.taken_s) == (20, [])


async def test_where_nothing_was_sent_the_first_retry_is_at_once_and_then_it_backs_off(
    stage: Stage, naps: Naps
) -> None:
    with pytest.raises(ConnectRefused):
        await stage.retry(4)(stage.request(), Next(REFUSED))
    assert naps.taken_s[0] == 0
    assert all(0 < nap_s <= 0.25 for nap_s in naps.taken_s[1:])
    naps.taken_s.clear()
    with pytest.raises(ConnectionBroken):
        await stage.retry(1)(stage.request(), Next(BROKEN))
    assert 0 < naps.taken_s[0] <= 0.025


@pytest.mark.parametrize(("left_s", "calls"), [(0.1, 1), (0.35, 3)])
async def test_no_retry_begins_that_half_of_the_answers_would_come_too_late_for(
    stage: Stage, clock: Clock, left_s: float, calls: int
) -> None:
    for _ in range(20):
        stage.answers.record(clock(), 0.1)
    next = Next(BROKEN)
    with pytest.raises(ConnectionBroken):
        await stage.retry()(stage.request(time_s=left_s), next)
    assert (next.calls, stage.metrics.retries_refused) == (calls, 0)


async def test_the_backoff_doubles_up_to_a_bound_and_is_fully_jittered(stage: Stage, naps: Naps) -> None:
    retry = stage.retry(6, RetryBudget(stage.clock, 1.0, 10_000.0), backoff=0.01, max_backoff=0.1)
    for _ in range(200):
        with pytest.raises(ConnectionBroken):
            await retry(stage.request(), Next(BROKEN))
    for number, longest_s in enumerate([0.01, 0.03, 0.07, 0.1, 0.1, 0.1]):
        each_s = naps.taken_s[number::6]
        assert 0 <= min(each_s) < 0.05 * longest_s
        assert 0.95 * longest_s < max(each_s) <= longest_s


def asking(retry_after: bytes, status: int = 503) -> Response:
    return Response(status, b"", [Field(b"Retry-After", retry_after)], b"")


async def test_an_instance_that_asks_to_be_left_alone_is_while_there_are_others(stage: Stage, naps: Naps) -> None:
    assert (await stage.retry()(stage.request(), Next(asking(b"100"), answer(200)))).status == 200
    assert naps.taken_s[0] <= 0.025


async def test_where_there_is_no_other_it_is_waited_for(stage: Stage, naps: Naps) -> None:
    stage.others = False
    assert (await stage.retry()(stage.request(), Next(asking(b"2"), answer(200)))).status == 200
    assert 2 < naps.taken_s[0] <= 2.025
    statuses = frozenset({502, 503})
    other = Next(asking(b"100", 502), answer(200))
    assert (await stage.retry(statuses=statuses)(stage.request(), other)).status == 200, "that asks for nothing"


@pytest.mark.parametrize(
    ("retry_after", "longest_s", "time_s"),
    [
        (b"3", 2.0, 10.0),
        (b"Thu, 01 Jan 1970 00:00:03 GMT", 2.0, 10.0),
        (b"2", 60.0, 2.0),  # beyond the deadline
        (b"1", 0.0, 10.0),
    ],
)
async def test_not_for_too_long(stage: Stage, naps: Naps, retry_after: bytes, longest_s: float, time_s: float) -> None:
    stage.others = False
    next = Next(asking(retry_after), answer(200))
    assert (await stage.retry(max_retry_after=longest_s)(stage.request(time_s=time_s), next)).status == 503
    assert (next.calls, naps.taken_s, stage.metrics.retries_refused) == (1, [], 0)


async def test_every_retry_is_paid_for(stage: Stage, clock: Clock) -> None:
    budget = RetryBudget(clock, 1.0, 0.0)
    next = Next(BROKEN)
    for _ in range(3):
        with pytest.raises(ConnectionBroken):
            await stage.retry(9, budget=budget)(stage.request(), next)
    assert next.calls == 3 + 3, "a request earns one retry here, a retry earns none"
    assert stage.metrics.retries_refused == 3


@pytest.mark.parametrize(("size", "calls"), [(100, 3), (101, 1)])
async def test_a_body_is_sent_again_from_its_start_or_not_at_all(stage: Stage, size: int, calls: int) -> None:
    asked = stage.request(b"PUT")
    body = asked.body = BodyStream(lambda: None, lambda: None)
    body.feed(bytes(size))
    body.end()
    sizes: list[int] = []

    def send(_: Request) -> Response:
        sizes.append(len(body.take()))
        raise BROKEN

    with pytest.raises(ConnectionBroken):
        await stage.retry()(asked, Next(send))
    assert sizes == [size] * calls


async def test_a_mistake_of_our_own_is_not_tried_again(stage: Stage) -> None:
    next = Next(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await stage.retry()(stage.request(), next)
    assert next.calls == 1
