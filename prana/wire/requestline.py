"""The request line, and the forms of its target (RFC 9112 section 3). Pure."""

import re
from collections.abc import Callable
from typing import Final

from prana.errors import BadRequest
from prana.request import Request
from prana.wire.authority import valid_host
from prana.wire.head import refuse_controls
from prana.wire.limits import MAX_LINE_BYTES

# One space, no other white space, and in the target neither a fragment nor a backslash. The rest of what RFC 3986 wants
# encoded, as in a raw JSON query, is common and reads the same everywhere.
_METHOD: Final = rb"[A-Z][A-Z0-9_-]{0,31}"  # of all tokens, those that methods are made of, registered or not
_TARGET: Final = rb"""[!"$-\[\]-~]+"""
_LINE: Final = re.compile(rb"(%b) (%b) HTTP/1\.([0-9])" % (_METHOD, _TARGET))
_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_OTHER_VERSION: Final = re.compile(rb"%b %b HTTP/[0-9]\.[0-9]" % (_TOKEN, _TARGET))
_OTHER_METHOD: Final = re.compile(rb"%b %b HTTP/1\.[0-9]" % (_TOKEN, _TARGET))
_LONG_METHOD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{33}")
_BEGINNING: Final = re.compile(rb"(?:%b(?: (?:%b(?: H?T?T?P?/?[0-9]?\.?[0-9]?)?)?)?)?" % (_TOKEN, _TARGET))
REFUSED_METHODS: Final = frozenset([b"CONNECT", b"TRACE"])


def request_line(line: bytes) -> tuple[bytes, bytes, bool]:
    """Method, target as sent, and whether the version is 1.0; a higher minor one than 1.1 is served as 1.1 (RFC 9110
    section 2.5). Raises BadRequest and MalformedHead."""
    match = _LINE.fullmatch(line)
    if match is None or len(line) > MAX_LINE_BYTES:
        raise _refusal(line)
    method, target, minor = match.groups()
    return method, target, minor == b"0"


def may_become_request_line(beginning: bytes) -> bool:
    """Whether more bytes could make a request line of these."""
    return _BEGINNING.fullmatch(beginning) is not None and _LONG_METHOD.match(beginning) is None


def _refusal(line: bytes) -> BadRequest:
    if _LONG_METHOD.match(line) is None:
        refuse_controls(line)
        if len(line) > MAX_LINE_BYTES:
            return BadRequest(f"a request line longer than {MAX_LINE_BYTES} bytes", status=414)
    if _LONG_METHOD.match(line) or _OTHER_METHOD.fullmatch(line):
        return BadRequest("a method is up to 32 capitals, digits, dashes and underscores here", status=501)
    if _OTHER_VERSION.fullmatch(line):
        return BadRequest("only HTTP/1.0 and HTTP/1.1 are served", status=505)
    return BadRequest(
        "not a valid request line: a method, a target without space, control or non-ASCII character, \\ or #, and"
        " HTTP/1.1, parted by one space each"
    )


def check_target(request: Request, is_own: Callable[[bytes], bool]) -> None:
    """Bring the target into origin-form or `*`. `is_own` tells whether an authority is one of ours.

    Raises BadRequest, also for methods that are not served.
    """
    if request.method in REFUSED_METHODS:
        raise BadRequest(f"{request.method.decode()} is not served", status=405)
    target = request.target
    if target == b"*" and request.method == b"OPTIONS":
        return
    scheme, separator, rest = target.partition(b"://")
    if scheme.lower() != b"http" or not separator:
        raise BadRequest("the request target must start with / or http://")
    end = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
    if not valid_host(rest[:end]):
        raise BadRequest("the request target has no valid host")
    if not is_own(rest[:end]):
        raise BadRequest("the request target names another host, and this is no forward proxy")
    request.host = rest[:end]  # RFC 9112 section 3.2.2: it overrides the Host header
    path = rest[end:]
    if not path and request.method == b"OPTIONS":
        request.target = b"*"  # RFC 9112 section 3.2.4
    else:
        request.target = path if path[:1] == b"/" else b"/" + path
