"""What one caller's answer may be to another caller, or to a later one. Pure.

HTTP's rules for shared caches (RFC 9111 section 3), and stricter: an app calls in the name of many users, so whatever
carries credentials is nobody else's, also where Cache-Control would allow it.
"""

from collections.abc import Sequence
from typing import Final

from prana.request import Request
from prana.wire.fields import Headers, listed

# Headers by which a request asks for an answer of its own, whatever their values.
_PERSONAL: Final = frozenset([b"authorization", b"cookie", b"range", b"x-api-key", b"x-auth-token", b"pragma"])
_REFUSED_IN_REQUESTS: Final = frozenset([b"no-store", b"no-cache"])
_REFUSED_IN_RESPONSES: Final = frozenset([b"no-store", b"no-cache", b"private"])
# RFC 9111 section 4.2.4: what forbids to serve a stale answer, whatever the configuration says.
_REFUSED_WHEN_STALE: Final = frozenset([b"must-revalidate", b"proxy-revalidate", b"s-maxage"])
# Java's HttpClient says the last two in its first request on a connection.
_CONNECTION_OPTIONS: Final = frozenset([b"close", b"keep-alive", b"te", b"upgrade", b"http2-settings"])

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
        if name in _PERSONAL or (name == b"cache-control" and _directives(field.value) & _REFUSED_IN_REQUESTS):
            return False
    return True


def may_be_shared(headers: Headers) -> bool:
    """Whether an answer with these headers can be given to another request like its own at the same time."""
    return _allow(headers, _REFUSED_IN_RESPONSES)


def may_be_kept(headers: Headers) -> bool:
    """Whether an answer with these headers can be given to later requests, also when it is stale."""
    return _allow(headers, _REFUSED_IN_RESPONSES | _REFUSED_WHEN_STALE)


def _allow(headers: Headers, refused: frozenset[bytes]) -> bool:
    for field in headers:
        name = field.lower
        if name == b"set-cookie" or (name == b"cache-control" and _directives(field.value) & refused):
            return False
        if name == b"vary" and b"*" in listed(field.value):
            return False
    return True


def _directives(value: bytes) -> frozenset[bytes]:
    """Names in a Cache-Control header. One with an argument counts as the one without, which is the stricter."""
    return frozenset(member.partition(b"=")[0] for member in listed(value))


def varying(headers: Headers) -> Sequence[bytes]:
    """Lower-case names of the request headers that an answer depends on, sorted."""
    return sorted(frozenset[bytes]().union(*(listed(field.value) for field in headers if field.lower == b"vary")))


def selecting(names: Sequence[bytes], headers: Headers) -> Selecting:
    """What a request says in these headers (RFC 9111 section 4.1)."""
    return tuple((name, tuple(field.value for field in headers if field.lower == name)) for name in names)
