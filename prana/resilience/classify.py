"""What a result means for the node that gave it, and for the circuit of its service.

Two judges with two questions. The balancer asks whether another node would have done better; 429 counts against the
node then (linkerd), for it is the node's own limit. The breaker asks whether the service works; 429 is a working
service's answer.
"""

from loadbalancer.outcome import Outcome, Trouble
from prana.errors import (
    ConnectionBroken,
    ConnectRefused,
    ConnectTimeout,
    Fault,
    Overloaded,
    ProxyError,
    ResponseTimeout,
)
from prana.resilience.gradient import Load
from prana.resilience.verdict import Verdict

# Named here because a look into an enum's class costs CPython 3.11 0.07 us, for every request.
_SUCCESS, _FAILURE = Outcome.SUCCESS, Outcome.FAILURE
_WORKS, _FAILS = Verdict.SUCCESS, Verdict.FAILURE
_NO_TROUBLE = Trouble.NONE
_NORMAL = Load.NORMAL

# RFC 9110 section 9.2.2. Methods are case-sensitive (section 9.1).
_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
_TOO_MANY_REQUESTS = 429
_SHED = (_TOO_MANY_REQUESTS, 503, 504)  # by the instance, or not answered in time by what is behind it
# Those throttled are what Ribbon's HttpClientLoadBalancerErrorHandler takes for SERVER_THROTTLED.
_TROUBLES = {_TOO_MANY_REQUESTS: Trouble.LIMITED, **dict.fromkeys((502, 503, 504), Trouble.THROTTLED)}
# Ribbon's SocketException and SocketTimeoutException; of bad HTTP and bad TLS its circuit takes no notice.
_NO_ANSWER = (ConnectTimeout, ResponseTimeout, ConnectionBroken)


def is_idempotent(method: bytes | str) -> bool:
    """Whether a repetition has the intended effect of one request; unknown methods have not."""
    return (method.encode("latin-1", "replace") if isinstance(method, str) else method) in _IDEMPOTENT


def outcome_of_status(status: int) -> Outcome:
    """What response headers tell about the node."""
    return _FAILURE if status >= 500 or status == _TOO_MANY_REQUESTS else _SUCCESS


def trouble_of_status(status: int) -> Trouble:
    """What was the matter with an instance that answered so."""
    return _TROUBLES.get(status, _NO_TROUBLE)


def trouble_of_error(error: BaseException) -> Trouble:
    """What was the matter with the instance in a failed attempt."""
    if isinstance(error, ConnectRefused):
        return Trouble.REFUSED
    return Trouble.BROKEN if isinstance(error, _NO_ANSWER) else Trouble.NONE


def outcome_of_error(error: BaseException) -> Outcome:
    """What a failed attempt tells about the node.

    Nothing, unless the failure is upstream's: a caller that hung up arrives here as a cancellation, and a refusal or
    mistake of our own as some other exception.
    """
    upstream = isinstance(error, ProxyError) and error.fault is Fault.UPSTREAM
    return Outcome.FAILURE if upstream else Outcome.IGNORED


def verdict_of_status(status: int) -> Verdict:
    """What response headers tell about the service; a body that breaks off later is the node's affair."""
    return _FAILS if status >= 500 else _WORKS


def verdict_of_error(error: BaseException) -> Verdict:
    """What a failed request tells about the service.

    Upstream failures count, and the refusal of a full bulkhead: Hystrix counts SEMAPHORE_REJECTED among the errors.
    Nothing is told by a malformed request (BAD_REQUEST), a registry not read yet, or a mistake of our own, nor by a
    caller that hung up, which arrives here as a cancellation.
    """
    if isinstance(error, ProxyError) and (error.fault is Fault.UPSTREAM or isinstance(error, Overloaded)):
        return Verdict.FAILURE
    return Verdict.IGNORED if isinstance(error, Exception) else Verdict.CANCELLED


def load_of_status(status: int) -> Load:
    """What response headers tell about the load: a failure may be quick, and says nothing then."""
    if status in _SHED:
        return Load.EXCESS
    return _NORMAL if status < 500 else Load.UNKNOWN


def load_of_error(error: BaseException) -> Load:
    """What a failed request tells about the load: nothing where it was the caller who left too little time."""
    timeout = isinstance(error, ResponseTimeout | ConnectTimeout) and error.fault is Fault.UPSTREAM
    return Load.EXCESS if timeout else Load.UNKNOWN
