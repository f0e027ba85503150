from asyncio import CancelledError

import pytest

from loadbalancer.outcome import Outcome, Trouble
from prana.errors import (
    BadRequest,
    ConnectionBroken,
    ConnectRefused,
    ConnectTimeout,
    DeadlineExceeded,
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
    load_of_error,
    outcome_of_error,
    outcome_of_status,
    trouble_of_error,
    trouble_of_status,
    verdict_of_error,
    verdict_of_status,
)
from prana.resilience.gradient import Load
from prana.resilience.verdict import Verdict

IDEMPOTENT = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]
OTHERS = ["POST", "PATCH", "CONNECT", "PROPFIND", "get", "", "GÉT", "G\u20acT"]


@pytest.mark.parametrize("method", IDEMPOTENT)
def test_rfc_9110_names_the_idempotent_methods(method: str) -> None:
    assert is_idempotent(method)
    assert is_idempotent(method.encode())


@pytest.mark.parametrize("method", OTHERS)
def test_any_other_method_might_not_be(method: str) -> None:
    assert not is_idempotent(method)
    assert not is_idempotent(method.encode())


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
        (DeadlineExceeded("x", sent=True), Outcome.IGNORED, Verdict.IGNORED),
        (RegistryNotRead("x"), Outcome.IGNORED, Verdict.IGNORED),
        (BadRequest("x"), Outcome.IGNORED, Verdict.IGNORED),
        (ProxyError("x"), Outcome.IGNORED, Verdict.IGNORED),
        (CancelledError(), Outcome.IGNORED, Verdict.CANCELLED),
        (KeyError("a mistake of ours"), Outcome.IGNORED, Verdict.IGNORED),
    ],
)
def test_an_error_means(error: BaseException, outcome: Outcome, verdict: Verdict) -> None:
    assert (outcome_of_error(error), verdict_of_error(error)) == (outcome, verdict)


@pytest.mark.parametrize(
    ("error", "load"),
    [
        (ResponseTimeout("x"), Load.EXCESS),
        (ConnectTimeout("x"), Load.EXCESS),
        (DeadlineExceeded("x"), Load.UNKNOWN),
        (ConnectRefused("x"), Load.UNKNOWN),
        (CancelledError(), Load.UNKNOWN),
    ],
)
def test_what_takes_too_long_tells_of_load(error: BaseException, load: Load) -> None:
    assert load_of_error(error) is load


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
