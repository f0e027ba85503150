"""What one caller's answer may be to another caller, or to a later one. Pure.

HTTP's rules for shared caches (RFC 9111 section 3), and stricter: an app calls in the name of many users, so whatever
carries credentials is nobody else's, also where Cache-Control would allow it.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from prana.request import Request
from prana.wire.fields import Headers, Meaning, listed

# Headers by which a request asks for an answer of its own, whatever their values.
_PERSONAL: Final = frozenset([b"authorization", b"cookie", b"range", b"x-api-key", b"x-auth-token", b"pragma"])
_REFUSED_IN_REQUESTS: Final = frozenset([b"no-store", b"no-cache"])
_REFUSED_IN_RESPONSES: Final = frozenset([b"no-store", b"no-cache", b"private"])
# RFC 9111 section 4.2.4: what forbids to serve a stale answer, whatever the configuration says.
_REFUSED_WHEN_STALE: Final = _REFUSED_IN_RESPONSES | {b"must-revalidate", b"proxy-revalidate", b"s-maxage"}
_TELLING: Final = frozenset([b"cache-control", b"set-cookie", b"vary"])
_KEPT_VALUE_BYTES: Final = 256  # a caller that sends longer ones shall not fill our memory
_ANYTHING: Final = frozenset([b"*"])
# Java's HttpClient says the last two in its first request on a connection.
_CONNECTION_OPTIONS: Final = frozenset([b"close", b"keep-alive", b"te", b"upgrade", b"http2-settings"])

# What tells one request from another and has no part in its answer. Not `baggage`, which carries what apps act on.
_WITHOUT_PART: Final = frozenset(
    [b"b3", b"traceparent", b"tracestate", b"user-agent"]
    + [b"x-b3-" + part for part in (b"traceid", b"spanid", b"parentspanid", b"sampled", b"flags")]
)

# What an instance may take for its own URI.
_TELLING_OF_TARGET: Final = frozenset([b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto"])
_FORWARDED_TARGET: Final = re.compile(rb"(?i)\b(?:host|proto)=[^;,]*")

_REFUSED_ALIKE: Final = _WITHOUT_PART | _ANYTHING
# What an instance reads there is not only the caller's.
_REFUSED_LATER: Final = _ANYTHING | {b"x-forwarded-for", b"x-request-id", b"via"}

Likeness = tuple[bytes, bytes, bytes, int, tuple[bytes, ...], tuple[bytes, ...]]
Selecting = tuple[tuple[bytes, tuple[bytes, ...]], ...]
"""Values of a request, by the names of the headers that an answer varies with."""


def may_share(request: Request) -> bool:
    """Whether the answer to this request can be another's: nothing in it asks for one of its own."""
    if request.body is not None or request.upgrade is not None:
        return False
    if not request.connection_tokens <= _CONNECTION_OPTIONS:  # may take back headers that another's leaves in
        return False
    for field in request.headers:
        name = field.lower
        if name in _PERSONAL or (name == b"cache-control" and not _REFUSED_IN_REQUESTS.isdisjoint(_names(field.value))):
            return False
    return True


def likeness(request: Request) -> Likeness:
    """Equal for requests of which an instance gets the same, but for what only traces them or says how long it has."""
    return (
        request.path,
        request.host,
        request.caller_ip,
        request.proxy_port,
        tuple([field.line for field in request.headers if field.meaning is None and field.lower not in _WITHOUT_PART]),
        tuple([field.line for field in request.rewritten if field.meaning is not Meaning.TIMEOUT]),
    )


def target_uri(request: Request) -> bytes:
    """What is asked for, as an instance learns it: not only the path, for links in an answer may begin with the rest.
    RFC 9111 section 4 wants the whole URI of a request to be that of the answer it gets."""
    told: list[bytes] = []
    for field in request.rewritten:
        if field.lower in _TELLING_OF_TARGET:
            told.append(field.line)
        elif field.lower == b"forwarded":
            told += _FORWARDED_TARGET.findall(field.value)
    return b"\n".join([request.path, request.host, *told])


def may_answer_alike(headers: Headers) -> bool:
    """Whether an answer with these headers can be given to a like request that waits for the same. An event stream can
    not: what its next event is depends on when one comes."""
    return _allow(headers, _REFUSED_IN_RESPONSES, _REFUSED_ALIKE) and not _is_event_stream(headers)


def may_be_kept(headers: Headers) -> bool:
    """Whether an answer with these headers can be given to later requests, also when it is stale."""
    return _allow(headers, _REFUSED_WHEN_STALE, _REFUSED_LATER)


def _allow(headers: Headers, directives: frozenset[bytes], varying_with: frozenset[bytes]) -> bool:
    """Whether Cache-Control has none of the directives and Vary none of the names, and no cookie is set."""
    for field in headers:
        name = field.lower
        if name not in _TELLING:
            continue
        if name == b"set-cookie":
            return False
        refused = directives if name == b"cache-control" else varying_with
        if not refused.isdisjoint(_names(field.value)):
            return False
    return True


def _is_event_stream(headers: Headers) -> bool:
    for field in headers:
        if field.lower == b"content-type":
            return field.value.lower().startswith(b"text/event-stream")
    return False


def _names(value: bytes) -> Sequence[bytes]:
    """Lower-case members of a list, sorted. One with an argument counts as the one without, which is the stricter."""
    return _known_names(value) if len(value) <= _KEPT_VALUE_BYTES else _sorted_names(value)


def _sorted_names(value: bytes) -> Sequence[bytes]:
    return sorted({member.partition(b"=")[0] for member in listed(value)})


_known_names = lru_cache(maxsize=1024)(_sorted_names)  # answers of a service have nearly always the same


def varying(headers: Headers) -> Sequence[bytes]:
    """Lower-case names of the request headers that an answer depends on, sorted."""
    values = [field.value for field in headers if field.lower == b"vary"]
    return _names(b",".join(values)) if values else ()


def selecting(names: Sequence[bytes], headers: Headers) -> Selecting:
    """What a request says in these headers (RFC 9111 section 4.1)."""
    return tuple([(name, tuple([field.value for field in headers if field.lower == name])) for name in names])
