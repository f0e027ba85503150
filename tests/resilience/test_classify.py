from asyncio import CancelledError

import pytest

from loadbalancer.outcome import Outcome, Trouble
from prana.errors import (
    BadRequest,
    ConnectionBroken,
    ConnectRefused,
    ConnectTimeout,
    LoopDetected,
    NoInstance,
    Overloaded,
    ProxyError,
    RegistryNotRead,
    ResponseTimeout,
    TlsFailed,
    UpstreamProtocolError,
)
from prana.resilience.classify import (
    is_idempotent,
    may_retry,
    may_retry_status,
    outcome_of_error,
    outcome_of_status,
    trouble_of_error,
    trouble_of_status,
    verdict_of_error,
    verdict_of_status,
)
from prana.resilience.verdict import Verdict

IDEMPOTENT = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]
OTHERS = ["POST", "PATCH", "CONNECT", "PROPFIND", "get", "", "GÉT", "G\u20acT"]
STATUSES = [502, 503, 504]


@pytest.mark.parametrize("method", IDEMPOTENT)
def test_rfc_9110_names_the_idempotent_methods(method: str) -> None:
    assert is_idempotent(method)
    assert is_idempotent(method.encode())


@pytest.mark.parametrize("method", OTHERS)
def test_any_other_method_might_not_be(method: str) -> None:
    assert not is_idempotent(method)
    assert not is_idempotent(method.encode())


@pytest.mark.parametrize("error", [ConnectRefused, ConnectTimeout, ConnectionBroken])
@pytest.mark.parametrize("method", IDEMPOTENT + OTHERS)
@pytest.mark.parametrize("replayable", [True, False])
def test_what_was_not_sent_may_be_tried_elsewhere(error: type[ProxyError], method: str, replayable: bool) -> None:
    assert may_retry(error("gone"), method, replayable)


@pytest.mark.parametrize("error", [ConnectionBroken, ResponseTimeout, UpstreamProtocolError])
def test_what_was_sent_is_repeated_only_if_idempotent_and_still_at_hand(error: type[ProxyError]) -> None:
    sent = error("gone", sent=True)
    assert may_retry(sent, b"GET", body_replayable=True)
    assert not may_retry(sent, b"PUT", body_replayable=False)
    for method in OTHERS:
        assert not may_retry(sent, method, body_replayable=True)


@pytest.mark.parametrize("error", [NoInstance, Overloaded, BadRequest, RegistryNotRead, ProxyError])
def test_where_another_attempt_cannot_help_there_is_none(error: type[ProxyError]) -> None:
    assert not may_retry(error("no"), "GET", body_replayable=True)


def test_a_configured_status_is_retried_for_idempotent_replayable_requests_only() -> None:
    assert may_retry_status(503, "GET", True, STATUSES)
    assert not may_retry_status(500, "GET", True, STATUSES)
    assert not may_retry_status(503, "POST", True, STATUSES)
    assert not may_retry_status(503, "PUT", False, STATUSES)


@pytest.mark.parametrize(
    ("status", "outcome", "verdict"),
    [
        (200, Outcome.SUCCESS, Verdict.SUCCESS),
        (304, Outcome.SUCCESS, Verdict.SUCCESS),
        (404, Outcome.SUCCESS, Verdict.SUCCESS),
        (428, Outcome.SUCCESS, Verdict.SUCCESS),
        (429, Outcome.FAILURE, Verdict.SUCCESS),
        (499, Outcome.SUCCESS, Verdict.SUCCESS),
        (500, Outcome.FAILURE, Verdict.FAILURE),
        (503, Outcome.FAILURE, Verdict.FAILURE),
        (599, Outcome.FAILURE, Verdict.FAILURE),
    ],
)
def test_a_status_means(status: int, outcome: Outcome, verdict: Verdict) -> None:
    assert (outcome_of_status(status), verdict_of_status(status)) == (outcome, verdict)


@pytest.mark.parametrize(
    ("error", "outcome", "verdict"),
    [
        (ConnectRefused("x"), Outcome.FAILURE, Verdict.FAILURE),
        (ConnectTimeout("x"), Outcome.FAILURE, Verdict.FAILURE),
        (ResponseTimeout("x"), Outcome.FAILURE, Verdict.FAILURE),
        (ConnectionBroken("x"), Outcome.FAILURE, Verdict.FAILURE),
        (UpstreamProtocolError("x"), Outcome.FAILURE, Verdict.FAILURE),
        (NoInstance("x"), Outcome.FAILURE, Verdict.FAILURE),
        (Overloaded("x"), Outcome.IGNORED, Verdict.FAILURE),
        (RegistryNotRead("x"), Outcome.IGNORED, Verdict.IGNORED),
        (BadRequest("x"), Outcome.IGNORED, Verdict.IGNORED),
        (ProxyError("x"), Outcome.IGNORED, Verdict.IGNORED),
        (CancelledError(), Outcome.IGNORED, Verdict.CANCELLED),
        (KeyError("a mistake of ours"), Outcome.IGNORED, Verdict.IGNORED),
    ],
)
def test_an_error_means(error: BaseException, outcome: Outcome, verdict: Verdict) -> None:
    assert (outcome_of_error(error), verdict_of_error(error)) == (outcome, verdict)


def test_judges_of_nodes_are_told_what_was_the_matter() -> None:
    troubles = {status: trouble_of_status(status) for status in (200, 404, 429, 500, 501, 502, 503, 504, 505)}
    throttled = dict.fromkeys((502, 503, 504), Trouble.THROTTLED)
    assert troubles == dict.fromkeys(troubles, Trouble.NONE) | {429: Trouble.LIMITED} | throttled
    assert trouble_of_error(ConnectRefused("x")) is Trouble.REFUSED
    for error in (ConnectTimeout("x"), ResponseTimeout("x"), ConnectionBroken("x")):
        assert trouble_of_error(error) is Trouble.BROKEN
    for answer in (UpstreamProtocolError("x"), TlsFailed("x"), LoopDetected("x")):
        assert trouble_of_error(answer) is Trouble.NONE, "Ribbon's circuit is about connections"
    for mistake in (Overloaded("x"), BadRequest("x"), CancelledError(), KeyError("a mistake of ours")):
        assert trouble_of_error(mistake) is Trouble.NONE
