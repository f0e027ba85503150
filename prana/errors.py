"""Failures of the data plane: whose fault, what the caller is told, and whether another attempt may help.

Raised typed where they happen, turned into a response once, in `prana.filters.rescue`.
"""

from enum import Enum, StrEnum


class Fault(Enum):
    """Whose fault a failure is: the caller's, ours (a limit of ours was reached), or the called instance's."""

    DOWNSTREAM = "downstream"
    LOCAL = "local"
    UPSTREAM = "upstream"


class ErrorToken(StrEnum):
    """RFC 9209 section 2.3 proxy error types that Prana sends in Proxy-Status."""

    DESTINATION_NOT_FOUND = "destination_not_found"
    DESTINATION_UNAVAILABLE = "destination_unavailable"
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_TIMEOUT = "connection_timeout"
    CONNECTION_TERMINATED = "connection_terminated"
    CONNECTION_LIMIT_REACHED = "connection_limit_reached"
    TLS_PROTOCOL_ERROR = "tls_protocol_error"
    TLS_CERTIFICATE_ERROR = "tls_certificate_error"
    HTTP_RESPONSE_TIMEOUT = "http_response_timeout"
    HTTP_PROTOCOL_ERROR = "http_protocol_error"
    HTTP_REQUEST_ERROR = "http_request_error"
    PROXY_LOOP_DETECTED = "proxy_loop_detected"
    PROXY_INTERNAL_ERROR = "proxy_internal_error"


class ProxyError(Exception):
    """A request that Prana answers itself.

    `cause` is a short stable word for metrics, fallback headers and explanations, such as "circuit_open".
    `sent` tells whether any byte of the request may have reached an instance: only then is a replay of a
    non-idempotent request dangerous.
    """

    status = 500
    token = ErrorToken.PROXY_INTERNAL_ERROR
    fault = Fault.LOCAL
    cause = "internal_error"
    title = "Prana failed"
    retryable = False

    def __init__(
        self, detail: str, *, sent: bool = False, retry_after_s: float | None = None, status: int | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.sent = sent
        self.retry_after_s = retry_after_s
        if status is not None:
            self.status = status


class ServiceNotFound(ProxyError):
    status = 404
    token = ErrorToken.DESTINATION_NOT_FOUND
    fault = Fault.DOWNSTREAM
    cause = "unknown_service"
    title = "No such service"


class NoInstance(ProxyError):
    status = 503
    token = ErrorToken.DESTINATION_UNAVAILABLE
    fault = Fault.UPSTREAM
    cause = "no_instance"
    title = "No usable instance"


class RegistryNotRead(ProxyError):
    status = 503
    token = ErrorToken.DESTINATION_UNAVAILABLE
    cause = "registry_not_read"
    title = "The registry has not been read yet"


class CircuitOpen(ProxyError):
    status = 503
    token = ErrorToken.DESTINATION_UNAVAILABLE
    fault = Fault.UPSTREAM
    cause = "circuit_open"
    title = "Circuit breaker open"


class Overloaded(ProxyError):
    status = 503
    token = ErrorToken.CONNECTION_LIMIT_REACHED
    cause = "overload"
    title = "Too many concurrent requests"


class ConnectRefused(ProxyError):
    """The instance refused, reset or could not be routed to before a connection stood. Nothing was sent."""

    status = 502
    token = ErrorToken.CONNECTION_REFUSED
    fault = Fault.UPSTREAM
    cause = "connect_failed"
    title = "Connection refused"
    retryable = True


class ConnectTimeout(ProxyError):
    status = 504
    token = ErrorToken.CONNECTION_TIMEOUT
    fault = Fault.UPSTREAM
    cause = "connect_timeout"
    title = "Connection timed out"
    retryable = True


class TlsFailed(ProxyError):
    """No TLS connection stood, or the instance ended it with a TLS alert."""

    status = 502
    token = ErrorToken.TLS_PROTOCOL_ERROR
    fault = Fault.UPSTREAM
    cause = "tls_failed"
    title = "TLS failed"
    retryable = True


class CertificateRefused(ProxyError):
    """We did not accept the instance's certificate, or it did not accept ours."""

    status = 502
    token = ErrorToken.TLS_CERTIFICATE_ERROR
    fault = Fault.UPSTREAM
    cause = "tls_certificate"
    title = "Certificate not accepted"
    retryable = True


class ResponseTimeout(ProxyError):
    status = 504
    token = ErrorToken.HTTP_RESPONSE_TIMEOUT
    fault = Fault.UPSTREAM
    cause = "timeout"
    title = "No response in time"
    retryable = True


class DeadlineExceeded(ResponseTimeout):
    """The time was over, or too short, before the instance had as long as it takes: that says nothing about it."""

    fault = Fault.LOCAL
    cause = "deadline"
    title = "Not enough time"
    retryable = False


class ConnectionBroken(ProxyError):
    """The instance closed or reset before a complete answer."""

    status = 502
    token = ErrorToken.CONNECTION_TERMINATED
    fault = Fault.UPSTREAM
    cause = "connection_broken"
    title = "The instance broke off"
    retryable = True


class UpstreamProtocolError(ProxyError):
    status = 502
    token = ErrorToken.HTTP_PROTOCOL_ERROR
    fault = Fault.UPSTREAM
    cause = "protocol_error"
    title = "The instance did not speak HTTP"
    retryable = True


class BadRequest(ProxyError):
    """A malformed or refused request; `status` is one of 400, 405, 408, 413, 414, 417, 431, 501, 505."""

    status = 400
    token = ErrorToken.HTTP_REQUEST_ERROR
    fault = Fault.DOWNSTREAM
    cause = "bad_request"
    title = "Malformed request"


class LoopDetected(ProxyError):
    status = 508
    token = ErrorToken.PROXY_LOOP_DETECTED
    fault = Fault.UPSTREAM
    cause = "loop"
    title = "Own request came back"
