"""Which requests a route takes: the kinds of its keys, and where a prefix ends."""

import re

from prana.config.kinds import Kind, quoted, string
from prana.config.redos import trap

_METHOD = r"[A-Z][A-Z-]{0,31}"
_PREFIX = r"/[!-\"$->@-~]*"  # visible ASCII, without what ends a path


def method() -> Kind:
    """A method of HTTP. Their case counts (RFC 9110 section 9.1), and those of lower case are mistakes."""

    def parse(value: object) -> str:
        written = string(value)
        if not re.fullmatch(_METHOD, written):
            raise ValueError(f'{quoted(written)} is not a method; allowed are names in upper case such as "GET"')
        return written

    return Kind(parse, {"type": "string", "pattern": f"^{_METHOD}$"})


def path_prefix() -> Kind:
    """The beginning of a path as it is sent, so that what is not ASCII is percent-encoded."""

    def parse(value: object) -> str:
        written = string(value)
        if written and not re.fullmatch(_PREFIX, written):
            raise ValueError(
                f'is {quoted(written)}; allowed is the beginning of a path as it is sent, such as "/v1/orders": '
                "a slash and visible ASCII characters, none of them ? or #"
            )
        return written

    return Kind(parse, {"type": "string", "pattern": f"^({_PREFIX})?$"})


def below(prefix: str) -> str:
    """What every path that a prefix takes begins with, once that path has a slash at its end."""
    return prefix if prefix.endswith("/") else f"{prefix}/"


def path_pattern() -> Kind:
    """A regular expression of Python over the bytes of a path. One that is a trap is refused."""

    def parse(value: object) -> str:
        written = string(value)
        if not written.isascii() or not written.isprintable():
            raise ValueError(f"is {quoted(written)}; allowed is ASCII, for other characters are sent percent-encoded")
        try:
            re.compile(written.encode())
            problem = trap(written)
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"{quoted(written)} is no regular expression of Python: {error}") from None
        if re.fullmatch(r"[A-Za-z0-9][^|]*", written):
            problem = "takes no path, for they begin with a slash"
        if problem:
            raise ValueError(f"{quoted(written)} {problem}")
        return written

    return Kind(parse, {"type": "string", "format": "regex"})
