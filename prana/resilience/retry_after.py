"""For how long an answer asks to be left alone. Pure.

Read from answers with the statuses that say so, `ASKS`: by the balancer, for which such a node costs more, and by
retries, which wait.
"""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from prana.wire.fields import Headers

ASKS: Final = frozenset({429, 503})  # RFC 6585 section 4, RFC 9110 section 15.6.4
MAX_S: Final = 300.0  # linkerd's bound, and Envoy's: nobody may send us away for a day

_NUMBER: Final = re.compile(rb"[0-9]{1,19}")


def retry_after_s(headers: Headers, now_epoch_s: float) -> float:
    """Seconds from now, 0 to 300; 0 also when nothing is asked for, or nothing that can be read.

    Retry-After is seconds or an HTTP date (RFC 9110 section 10.2.3), which any clock that is set wrong distorts: hence
    the bound. gRPC's `grpc-retry-pushback-ms` goes before it; a negative one forbids a repetition of this one call and
    says nothing of time (gRFC A6).
    """
    asked_s = 0.0
    for field in headers:
        if field.lower == b"grpc-retry-pushback-ms":
            if _NUMBER.fullmatch(field.value) is not None:
                return min(int(field.value) / 1e3, MAX_S)
        elif field.lower == b"retry-after":
            asked_s = max(asked_s, _seconds(field.value, now_epoch_s))
    return min(asked_s, MAX_S)


def _seconds(value: bytes, now_epoch_s: float) -> float:
    if _NUMBER.fullmatch(value) is not None:
        return float(value)
    try:
        date = parsedate_to_datetime(value.decode("ascii"))
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now_epoch_s
    except (ValueError, OverflowError):
        return 0.0
