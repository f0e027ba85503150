"""ProxyError to response: the only place where a failure becomes what the caller reads."""

import math
from typing import Any

import msgspec
import structlog

from prana.errors import CircuitOpen, ProxyError
from prana.filters.options import ALLOWED_METHODS
from prana.request import Handler, Request, Response
from prana.wire.fields import Field
from prana.wire.headers import phrase

_log = structlog.get_logger()


class Rescue:
    """Answers with RFC 9457 problem details and RFC 9209 Proxy-Status; never lets an exception through."""

    async def __call__(self, request: Request, next: Handler) -> Response:
        try:
            return await next(request)
        except ProxyError as error:
            return error_response(error, request)
        except Exception:  # noqa: BLE001 - a defect of ours: the caller gets an answer, the operator the traceback
            _log.exception("internal error", service=request.service, request_id=request.request_id.decode())
            return error_response(ProxyError("an internal error; the log of this sidecar has the details"), request)


def error_response(error: ProxyError, request: Request) -> Response:
    """The contract's answer for an error Prana reports itself."""
    problem: dict[str, Any] = {
        "type": f"urn:prana:error:{error.cause}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "service": request.service or None,
        "request_id": request.request_id.decode(),
        "attempts": len(request.attempts),
    }
    if request.route:
        problem["route"] = request.route
    headers = [Field(b"Content-Type", b"application/problem+json"), proxy_status(error)]
    if error.retry_after_s is not None:
        headers.append(Field(b"Retry-After", b"%d" % max(1, math.ceil(error.retry_after_s))))
    if error.status == 405:
        headers.append(Field(b"Allow", ALLOWED_METHODS))
    response = Response(error.status, phrase(error.status), headers, msgspec.json.encode(problem))
    response.error = error
    return response


def proxy_status(error: ProxyError) -> Field:
    """The Proxy-Status header (RFC 9209) that says which proxy failed and how."""
    details = "; details=circuit_open" if isinstance(error, CircuitOpen) else ""
    return Field(b"Proxy-Status", f"prana; error={error.token}{details}".encode())
