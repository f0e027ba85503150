"""Asks the app itself whether it is healthy: over HTTP, or by connecting."""

import asyncio
from collections.abc import Container

import aiohttp
import msgspec

from registry.healthstate import Verdict
from registry.reason import reason

_MAX_BODY_BYTES = 64 * 1024
_UNHEALTHY_WORDS = frozenset({"DOWN", "OUT_OF_SERVICE"})


class HttpProbe:
    """Healthy when the status is one of `statuses` and a JSON body, if any, does not say DOWN or OUT_OF_SERVICE.

    Such a body counts because some frameworks put it behind a 200. Redirects are not followed.
    """

    def __init__(self, url: str, statuses: Container[int]) -> None:
        self._url = url
        self._statuses = statuses

    async def check(self) -> Verdict:
        # A session for each probe: a kept connection would not notice an app that no longer accepts new ones.
        no_timeout = aiohttp.ClientTimeout()  # whoever asks has one
        try:
            async with (
                aiohttp.ClientSession(timeout=no_timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.get(self._url, allow_redirects=False) as response,
            ):
                if response.status not in self._statuses:
                    return Verdict(False, f"HTTP {response.status}")
                word = _status_word(await _read(response))
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            return Verdict(False, reason(error))
        if word in _UNHEALTHY_WORDS:
            return Verdict(False, f"HTTP {response.status}, status {word}")
        return Verdict(True, f"HTTP {response.status}")


class TcpProbe:
    """Healthy when the port accepts a connection."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port

    async def check(self) -> Verdict:
        try:
            _, writer = await asyncio.open_connection(self._host, self._port)
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that the DNS has no form for
            return Verdict(False, f"port {self._port}: {reason(error)}")
        writer.transport.abort()  # nothing was said that needs an orderly end
        return Verdict(True, f"port {self._port} accepts")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """At most `_MAX_BODY_BYTES`: a longer body is cut, no longer JSON, and judged by its status alone."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            break
    return bytes(body[:_MAX_BODY_BYTES])


def _status_word(body: bytes) -> str:
    """The status in {"status": "DOWN"} or, as Spring Boot 1 had it, {"status": {"code": "DOWN"}}; else empty."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    status = document.get("status") if isinstance(document, dict) else None
    if isinstance(status, dict):
        status = status.get("code")
    return status.upper() if isinstance(status, str) else ""
