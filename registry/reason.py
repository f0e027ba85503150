"""What went wrong on the network, in one line that is safe to print."""

import re

import aiohttp

_MAX_CHARS = 160
_ERRNO = re.compile(r"\[Errno -?[0-9]+\] ")  # says nothing to people, the words beside it do


def reason(error: BaseException) -> str:
    """One short line. Never `repr`: in that, aiohttp's errors show the request with its Authorization."""
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect to {error.host}:{error.port}: {error.os_error.strerror or error.os_error}"
    if isinstance(error, aiohttp.ClientResponseError):
        # Its text may quote the raw bytes the peer sent, over several lines.
        return "not a valid HTTP response"
    if isinstance(error, aiohttp.InvalidURL):
        return "invalid URL"  # its text is the URL, credentials included
    lines = _ERRNO.sub("", str(error)).splitlines()
    return lines[0][:_MAX_CHARS] if lines else type(error).__name__
