import json

import pytest
from structlog.testing import capture_logs

from prana.errors import (
    BadRequest,
    CircuitOpen,
    ConnectionBroken,
    ConnectRefused,
    ConnectTimeout,
    LoopDetected,
    NoInstance,
    Overloaded,
    ProxyError,
    RegistryNotRead,
    ResponseTimeout,
    ServiceNotFound,
    UpstreamProtocolError,
)
from prana.filters.rescue import Rescue
from prana.request import Response
from tests.wire.conftest import pairs

from .conftest import Next, answer, request


async def rescued(error: BaseException) -> Response:
    asked = request()
    asked.service, asked.request_id = "orders", b"id-1"
    return await Rescue()(asked, Next(error))


@pytest.mark.parametrize(
    ("error", "status", "proxy_status"),
    [
        (ServiceNotFound("x"), 404, "destination_not_found"),
        (NoInstance("x"), 503, "destination_unavailable"),
        (RegistryNotRead("x"), 503, "destination_unavailable"),
        (CircuitOpen("x"), 503, "destination_unavailable; details=circuit_open"),
        (Overloaded("x"), 503, "connection_limit_reached"),
        (ConnectRefused("x"), 502, "connection_refused"),
        (ConnectTimeout("x"), 504, "connection_timeout"),
        (ResponseTimeout("x"), 504, "http_response_timeout"),
        (ConnectionBroken("x"), 502, "connection_terminated"),
        (UpstreamProtocolError("x"), 502, "http_protocol_error"),
        (BadRequest("x"), 400, "http_request_error"),
        (BadRequest("x", status=431), 431, "http_request_error"),
        (LoopDetected("x"), 508, "proxy_loop_detected"),
        (ProxyError("x"), 500, "proxy_internal_error"),
    ],
)
async def test_every_error_has_its_row_of_the_contract(error: ProxyError, status: int, proxy_status: str) -> None:
    response = await rescued(error)
    headers = dict(pairs(response.headers))
    assert (response.status, headers[b"Proxy-Status"].decode()) == (status, f"prana; error={proxy_status}")
    assert headers[b"Content-Type"] == b"application/problem+json"
    assert response.reason
    assert response.error is error
    assert isinstance(response.body, bytes)
    assert json.loads(response.body) == {
        "type": f"urn:prana:error:{error.cause}",
        "title": error.title,
        "status": status,
        "detail": "x",
        "service": "orders",
        "request_id": "id-1",
        "attempts": 0,
    }


@pytest.mark.parametrize(("seconds", "header"), [(None, None), (0.0, b"1"), (0.2, b"1"), (3.01, b"4"), (5.0, b"5")])
async def test_retry_after_is_in_whole_seconds_and_never_too_early(seconds: float | None, header: bytes | None) -> None:
    response = await rescued(NoInstance("x", retry_after_s=seconds))
    assert dict(pairs(response.headers)).get(b"Retry-After") == header


async def test_405_says_what_is_allowed() -> None:
    headers = dict(pairs((await rescued(BadRequest("x", status=405))).headers))
    assert b"GET" in headers[b"Allow"]
    assert b"CONNECT" not in headers[b"Allow"]
    assert b"Allow" not in dict(pairs((await rescued(BadRequest("x"))).headers))


async def test_a_defect_of_ours_is_answered_and_logged_with_nothing_of_it_in_the_answer() -> None:
    with capture_logs() as logs:
        response = await rescued(ZeroDivisionError("secret"))
    assert response.status == 500
    assert isinstance(response.body, bytes)
    assert b"secret" not in response.body
    assert [(line["event"], line["request_id"]) for line in logs] == [("internal error", "id-1")]


async def test_answers_pass() -> None:
    response = answer(500)
    assert await Rescue()(request(), Next(response)) is response
