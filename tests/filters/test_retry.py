import asyncio
from collections.abc import Iterable

import pytest

from admin.metrics import ServiceMetrics
from prana.errors import ConnectionBroken, ConnectRefused, NoInstance, ProxyError, ResponseTimeout
from prana.filters.retry import Retry
from prana.request import End, Request, Response
from prana.resilience.budget import RetryBudget
from prana.wire.body import BodyStream

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

    def retry(self, max_retries: int = 2, statuses: Iterable[int] = (503,), budget: RetryBudget | None = None) -> Retry:
        return Retry(max_retries, frozenset(statuses), 100, budget or self.budget, self.metrics, self.clock)

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


async def test_what_is_not_worth_it_is_not_tried_again(stage: Stage) -> None:
    next = Next(NoInstance("none"))
    with pytest.raises(NoInstance):
        await stage.retry()(stage.request(), next)
    other = Next(answer(500))
    assert (await stage.retry()(stage.request(), other)).status == 500
    assert (next.calls, other.calls) == (1, 1)


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
