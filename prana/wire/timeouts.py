"""Headers in which a caller says how long it waits, and instances are told how long we do. Pure.

| header | form |
|---|---|
| X-Request-Timeout | seconds, or a number with ms, s, m or h, as durations in the configuration |
| grpc-timeout | 1 to 8 digits and H, M, S, m, u or n: hours to nanoseconds (gRPC over HTTP/2, "Requests") |
| X-Envoy-Upstream-Rq-Timeout-Ms | milliseconds, as Envoy's router reads it |
"""

import re
from collections.abc import Mapping
from typing import Final

EXPECTED: Final = b"X-Envoy-Expected-Rq-Timeout-Ms"
"""What Envoy's router tells instances: for how long the answer is waited for."""

ROUND_UP: Final = 0.99999
"""Before a number of milliseconds is cut off behind the point: 0 would be no timeout to Envoy."""

_US: Final = {b"ms": 1e3, b"s": 1e6, b"m": 60e6, b"h": 3600e6, b"": 1e6}
_GRPC_US: Final = {b"H": 3600e6, b"M": 60e6, b"S": 1e6, b"m": 1e3, b"u": 1.0, b"n": 1e-3}
_DURATION: Final = re.compile(rb"([0-9]{1,8}(?:\.[0-9]{1,9})?)(ms|s|m|h|)")
_GRPC: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_MILLISECONDS: Final = re.compile(rb"([0-9]{1,10})()")
_FORMS: Final[Mapping[bytes, tuple[re.Pattern[bytes], Mapping[bytes, float]]]] = {
    b"x-request-timeout": (_DURATION, _US),
    b"grpc-timeout": (_GRPC, _GRPC_US),
    b"x-envoy-upstream-rq-timeout-ms": (_MILLISECONDS, {b"": 1e3}),
}
_MS: Final = {b"x-request-timeout": b"ms", b"grpc-timeout": b"m", b"x-envoy-upstream-rq-timeout-ms": b""}
NAMES: Final = frozenset(_FORMS)
"""In lower case."""


def timeout_us(name: bytes, value: bytes) -> int:
    """Microseconds, at least one; 0 for what sets no timeout: 0 does not in Envoy either, nor what is malformed."""
    form, units_us = _FORMS[name]
    match = form.fullmatch(value)
    if match is None:
        return 0
    number, unit = match.groups()
    asked_us = float(number) * units_us[unit]
    return max(round(asked_us), 1) if asked_us else 0


def timeout_value(name: bytes, value: bytes, left_s: float) -> bytes:
    """`left_s`, more than 0, in the form in which `value` was written; to the millisecond, rounded up."""
    left_ms = int(left_s * 1e3 + ROUND_UP)
    if name == b"x-request-timeout" and value[-1:].isdigit():
        return b"%.3f" % (left_ms / 1e3)
    return b"%d%b" % (left_ms, _MS[name])
