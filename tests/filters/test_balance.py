import asyncio
from random import Random

import pytest

from admin.metrics import ServiceMetrics
from loadbalancer.balancer import Balancer
from loadbalancer.ejection import EjectionSettings, Reason
from loadbalancer.load import FAILURE_PENALTY_S
from loadbalancer.outcome import Outcome
from loadbalancer.rules import rule_named
from loadbalancer.scope import AffinityLimits, Scope, ZoneFilter
from loadbalancer.subset import Ranking
from prana.config.settings import CommandRetry
from prana.errors import (
    BadRequest,
    ConnectionBroken,
    ConnectTimeout,
    DeadlineExceeded,
    NoInstance,
    ProxyError,
    ResponseTimeout,
)
from prana.filters.balance import Balance
from prana.filters.retry import Retry
from prana.request import End, Request, Response
from prana.resilience.answers import AnswerTimes
from prana.resilience.budget import RetryBudget
from prana.resilience.repeatable import Repeatable
from prana.wire.body import BodyStream
from prana.wire.client import AttemptTimes
from prana.wire.fields import Field
from prana.wire.pool import Address
from registry.instance import Instance

from .conftest import Clock, Next, answer, request

TIMES = AttemptTimes(5.0, 1.0)


class FakeClient:
    """The wire, which takes a quarter of a second each time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.next = Next(answer())
        self.asked: list[Address] = []

    async def send(self, asked: Request, address: Address, times: AttemptTimes) -> Response:
        assert times is TIMES
        self.asked.append(address)
        self._clock.now_s += 0.25
        return await self.next(asked)


class Stage:
    def __init__(self, clock: Clock, metrics: ServiceMetrics) -> None:
        rng = Random(1)
        self.client = FakeClient(clock)
        self.balancer = Balancer(rule_named("RoundRobinRule", rng), EjectionSettings(), clock, rng, lambda event: None)
        self.balancer.update(
            [Instance(app="A", id=name, host=name, ip="10.0.0.1", port=80) for name in ("a", "b", "c")]
        )
        self.metrics = metrics
        self.answers = AnswerTimes(clock)
        self.balance = Balance(self.balancer, self.client, TIMES, self.answers, metrics, clock, epoch_s=lambda: 10.0)  # type: ignore[arg-type] # a fake

    @property
    def pending(self) -> int:
        return sum(node.pending for node in self.balancer.nodes)


@pytest.fixture
def stage(clock: Clock, metrics: ServiceMetrics) -> Stage:
    return Stage(clock, metrics)


async def test_the_node_is_busy_until_the_body_ends(stage: Stage) -> None:
    asked = request()
    response = await stage.balance(asked)
    assert stage.pending == 1
    response.finish(End.ABANDONED)
    assert stage.pending == 0
    (attempt,) = asked.attempts
    assert (attempt.node.instance.id, attempt.result, attempt.duration_s) == ("b", "200", 0.25)
    assert stage.client.asked == [("b", "10.0.0.1", 80, None)]


async def test_nodes_tried_already_are_avoided(stage: Stage) -> None:
    asked = request()
    for _ in range(3):
        await stage.balance(asked)
        for _ in range(2):
            await stage.balance(request())  # after which it is the same node's turn again
    assert {attempt.node.instance.id for attempt in asked.attempts} == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("result", "outcome", "word"),
    [
        (answer(200), Outcome.SUCCESS, "200"),
        (answer(404), Outcome.SUCCESS, "404"),
        (answer(429), Outcome.FAILURE, "429"),
        (answer(500), Outcome.FAILURE, "500"),
        (ConnectionBroken("x"), Outcome.FAILURE, "connection_broken"),
        (BadRequest("x"), Outcome.IGNORED, "bad_request"),
        (asyncio.CancelledError(), Outcome.IGNORED, "cancelled"),
    ],
)
async def test_every_attempt_is_judged_once(
    stage: Stage, result: Response | BaseException, outcome: Outcome, word: str
) -> None:
    asked = request()
    stage.client.next = Next(result)
    if isinstance(result, BaseException):
        with pytest.raises(type(result)):
            await stage.balance(asked)
    else:
        (await stage.balance(asked)).finish(End.COMPLETE)
    assert stage.metrics.attempts == {each: int(each is outcome) for each in Outcome}
    node = asked.attempts[0].node
    assert (node.successes, node.failures) == (int(outcome is Outcome.SUCCESS), int(outcome is Outcome.FAILURE))
    assert (asked.attempts[0].result, stage.pending) == (word, 0)


def body_that_ends_with(error: BaseException | None) -> BodyStream:
    body = BodyStream(lambda: None, lambda: None)
    if error is not None:
        body.fail(error)
    return body


async def test_an_instance_that_breaks_off_its_answers_is_left_out_however_good_their_heads(
    stage: Stage, clock: Clock
) -> None:
    node = stage.balancer.nodes[1]
    for _ in range(3):
        pending = []
        for _ in range(3):
            asked = request()
            body = body_that_ends_with(ConnectionBroken("x"))
            stage.client.next = Next(Response(200, b"", [], body))
            pending.append((asked, await stage.balance(asked)))
        for asked, response in pending:
            response.finish(End.BROKEN if asked.attempts[0].node is node else End.COMPLETE)
    assert [each.ejected for each in stage.balancer.nodes] == [False, True, False]
    assert (node.successes, node.failures, stage.pending) == (3, 3, 0)
    assert node.load.cost_s(clock.now_s) > FAILURE_PENALTY_S / 2


@pytest.mark.parametrize(
    ("status", "error", "end"),
    [
        pytest.param(200, BadRequest("x"), End.BROKEN, id="the caller's upload stalled"),
        pytest.param(200, None, End.BROKEN, id="silent for too long, as an event stream may be"),
        pytest.param(200, ConnectionBroken("x"), End.ABANDONED, id="the caller has gone"),
        pytest.param(500, ConnectionBroken("x"), End.BROKEN, id="a failure already"),
    ],
)
async def test_of_other_ends_of_an_answer_the_instance_is_not_accused(
    stage: Stage, status: int, error: BaseException | None, end: End
) -> None:
    asked = request()
    stage.client.next = Next(Response(status, b"", [], body_that_ends_with(error)))
    (await stage.balance(asked)).finish(end)
    assert (asked.attempts[0].node.failures, stage.pending) == (int(status == 500), 0)


@pytest.mark.parametrize(
    ("status", "field", "load_s"),
    [
        pytest.param(503, Field(b"Retry-After", b"30"), 30.0, id="longer than the penalty of any failure"),
        pytest.param(429, Field(b"retry-after", b"Thu, 01 Jan 1970 00:01:50 GMT"), 100.0, id="until a date"),
        pytest.param(503, Field(b"Retry-After", b"3600"), 300.0, id="bounded"),
        pytest.param(503, Field(b"Retry-After", b"2"), FAILURE_PENALTY_S, id="shorter"),
        pytest.param(500, Field(b"Retry-After", b"30"), FAILURE_PENALTY_S, id="a status that does not ask"),
        pytest.param(200, Field(b"Retry-After", b"30"), 0.25, id="no failure"),
    ],
)
async def test_a_node_that_asks_to_be_left_alone_costs_as_much(
    stage: Stage, clock: Clock, status: int, field: Field, load_s: float
) -> None:
    stage.client.next = Next(Response(status, b"", [field], b""))
    asked = request()
    (await stage.balance(asked)).finish(End.COMPLETE)
    assert asked.attempts[0].node.load.cost_s(clock.now_s) == load_s


async def test_without_any_instance_nobody_is_asked(stage: Stage) -> None:
    stage.balancer.update([])
    asked = request()
    with pytest.raises(NoInstance) as raised:
        await stage.balance(asked)
    assert raised.value.retry_after_s
    assert str(raised.value) == "the service is known, but no instance of it is UP"
    assert (asked.attempts, stage.client.asked) == ([], [])


async def test_when_the_own_zone_must_do_and_nobody_is_there_the_error_says_so(stage: Stage) -> None:
    scope = Scope(ZoneFilter.EXCLUSIVITY, "eu-1", AffinityLimits(), Ranking("me"))
    stage.balance._balancer = Balancer(
        rule_named("p2c-ewma", Random(1)), EjectionSettings(), lambda: 0.0, Random(1), lambda event: None, scope
    )
    stage.balance._balancer.update([Instance("A", "a", "a", "10.0.0.1", 80, zone="eu-2")])
    with pytest.raises(NoInstance, match="no instance of it is in our own zone"):
        await stage.balance(request())


async def test_good_answers_are_measured_and_others_are_not(stage: Stage) -> None:
    for result in (answer(500), answer(429), ConnectionBroken("x")):
        stage.client.next = Next(result)
        for _ in range(10):
            if isinstance(result, Response):
                await stage.balance(request())
            else:
                with pytest.raises(ConnectionBroken):
                    await stage.balance(request())
    assert stage.answers.within_s(100) == 0
    stage.client.next = Next(answer(404))
    for _ in range(20):
        await stage.balance(request())
    assert stage.answers.within_s(100) == 0.25


def usual(stage: Stage, clock: Clock, times_s: list[float]) -> None:
    for time_s in times_s:
        stage.answers.record(clock(), time_s)


LATE = [ResponseTimeout("no response within 0.25 s", sent=True), ConnectTimeout("no connection within 0.25 s")]


@pytest.mark.parametrize("error", LATE)
async def test_a_caller_in_more_of_a_hurry_than_good_answers_is_held_against_nobody(
    stage: Stage, clock: Clock, error: ProxyError
) -> None:
    usual(stage, clock, [0.1] * 90 + [0.3] * 10)
    stage.client.next = Next(error)
    asked = request()
    asked.asked_timeout_s, asked.deadline_s = 0.25, asked.received_s + 0.25
    with pytest.raises(DeadlineExceeded) as raised:
        await stage.balance(asked)
    assert (raised.value.status, raised.value.sent, raised.value.retryable) == (504, error.sent, False)
    assert raised.value.detail.endswith(
        "0.25 s, which is all that the caller allows; 95 % of the answers take up to 300 ms"
    )
    assert (asked.attempts[0].result, asked.attempts[0].node.failures, stage.pending) == ("deadline", 0, 0)
    assert stage.metrics.attempts[Outcome.IGNORED] == 1


@pytest.mark.parametrize("error", LATE)
@pytest.mark.parametrize(
    ("usual_s", "asked_timeout_s", "deadline_in_s"),
    [
        ([0.1] * 96 + [0.3] * 4, 0.25, 0.25),  # nearly all are faster
        ([0.3] * 19, 0.25, 0.25),  # too few to know
        ([0.3] * 100, 0.0, 0.25),  # our own timeout
        ([0.3] * 100, 0.5, 0.25),  # which is shorter than the caller's
        ([0.3] * 100, 0.9, 0.9),  # it was the attempt's time that was over
    ],
)
async def test_who_had_the_usual_time_is_blamed(
    stage: Stage, clock: Clock, error: ProxyError, usual_s: list[float], asked_timeout_s: float, deadline_in_s: float
) -> None:
    usual(stage, clock, usual_s)
    stage.client.next = Next(error)
    asked = request()
    asked.asked_timeout_s, asked.deadline_s = asked_timeout_s, asked.received_s + deadline_in_s
    with pytest.raises(type(error)):
        await stage.balance(asked)
    assert asked.attempts[0].node.failures == 1


class Failing(FakeClient):
    async def send(self, asked: Request, address: Address, times: AttemptTimes) -> Response:
        self.asked.append(address)
        raise ConnectionBroken("x")


@pytest.mark.parametrize(("same_node_retries", "order"), [(0, "bca"), (1, "bbcc"), (2, "bbbc"), (9, "bbbb")])
async def test_as_many_retries_as_configured_go_to_the_same_node_first(
    clock: Clock, metrics: ServiceMetrics, monkeypatch: pytest.MonkeyPatch, same_node_retries: int, order: str
) -> None:
    """Ribbon's MaxAutoRetries and MaxAutoRetriesNextServer."""

    async def sleep(delay_s: float) -> None:
        clock.now_s += delay_s

    monkeypatch.setattr(asyncio, "sleep", sleep)
    stage = Stage(clock, metrics)
    stage.balance._client = client = Failing(clock)  # type: ignore[assignment] # a fake
    settings = CommandRetry(max_retries=3, same_node_retries=same_node_retries)
    retry = Retry(
        settings,
        Repeatable((), by_key=False),
        RetryBudget(clock),
        stage.answers,
        stage.balance.elsewhere,
        metrics,
        clock,
        Random(1),
    )
    asked = request()
    asked.deadline_s = clock() + 10
    with pytest.raises(ConnectionBroken):
        await retry(asked, stage.balance)
    assert "".join(address[0] for address in client.asked)[: len(order)] == order


async def test_an_ejected_node_is_not_tried_again(stage: Stage) -> None:
    asked = request()
    await stage.balance(asked)
    asked.attempts[0].again = True
    asked.attempts[0].node.standing.eject(0.0, Reason.REFUSED)
    await stage.balance(asked)
    assert asked.attempts[1].node is not asked.attempts[0].node


async def test_elsewhere_is_where_a_fit_node_has_not_been_tried(stage: Stage) -> None:
    asked = request()
    seen = []
    for _ in range(3):
        seen.append(stage.balance.elsewhere(asked))
        await stage.balance(asked)
    assert [*seen, stage.balance.elsewhere(asked)] == [True, True, True, False]
    fresh = request()
    for node in stage.balance._balancer.nodes:
        node.standing.eject(0.0, Reason.REFUSED)
    assert not stage.balance.elsewhere(fresh)


async def test_a_busy_loop_that_tells_late_of_a_timeout_lends_nobody_patience(stage: Stage, clock: Clock) -> None:
    usual(stage, clock, [0.1] * 100)
    stage.client.next = Next(LATE[0])  # after a quarter of a second
    asked = request()
    asked.asked_timeout_s, asked.deadline_s = 0.05, asked.received_s + 0.05
    with pytest.raises(DeadlineExceeded):
        await stage.balance(asked)
    assert asked.attempts[0].node.failures == 0
