"""Is the app beside us healthy? Asked over HTTP or by connecting, answered with some hysteresis."""

import asyncio
from collections.abc import Awaitable, Callable, Container
from typing import NamedTuple, Protocol

import aiohttp
import msgspec
import structlog

from registry.reason import reason

_log = structlog.get_logger()

_IMPATIENT_S = 1.0  # between probes until the app is first healthy
_MAX_BODY_BYTES = 64 * 1024
_UNHEALTHY_WORDS = frozenset({"DOWN", "OUT_OF_SERVICE"})


class Verdict(NamedTuple):
    healthy: bool
    reason: str  # for people, one line


class Probe(Protocol):
    async def check(self) -> Verdict:
        """One attempt. Does not raise for what may be wrong with the app."""
        ...


class RiseFall:
    """Hysteresis as in HAProxy: `rise` successes in a row to go up, `fall` failures in a row to go down.

    `up` is None until the app is first up, however often it fails before: an app that starts is not down.
    """

    def __init__(self, rise: int, fall: int) -> None:
        self.up: bool | None = None
        self._rise = rise
        self._fall = fall
        self._contrary = 0  # results in a row that contradict `up`

    def observe(self, healthy: bool) -> bool:
        """Take one result; true if it changed `up`."""
        if healthy is bool(self.up):
            self._contrary = 0
            return False
        self._contrary += 1
        if self._contrary < (self._rise if healthy else self._fall):
            return False
        self._contrary = 0
        self.up = healthy
        return True


class HttpProbe:
    """Healthy when the status is one of `statuses` and a JSON body, if any, does not say DOWN or OUT_OF_SERVICE.

    Such a body counts because some frameworks put it behind a 200. Redirects are not followed.
    """

    def __init__(self, url: str, timeout_s: float, statuses: Container[int]) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._statuses = statuses

    async def check(self) -> Verdict:
        # A session for each probe: a kept connection would not notice an app that no longer accepts new ones.
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.get(self._url, allow_redirects=False) as response,
            ):
                if response.status not in self._statuses:
                    return Verdict(False, f"HTTP {response.status}")
                word = _status_word(await _read(response))
        except (aiohttp.ClientError, OSError) as error:
            return Verdict(False, reason(error))
        if word in _UNHEALTHY_WORDS:
            return Verdict(False, f"HTTP {response.status}, status {word}")
        return Verdict(True, f"HTTP {response.status}")


class TcpProbe:
    """Healthy when the port accepts a connection."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._host = host
        self._port = port
        self._timeout_s = timeout_s

    async def check(self) -> Verdict:
        try:
            async with asyncio.timeout(self._timeout_s):
                _, writer = await asyncio.open_connection(self._host, self._port)
        except OSError as error:
            return Verdict(False, f"port {self._port}: {reason(error)}")
        writer.transport.abort()  # nothing was said that needs an orderly end
        return Verdict(True, f"port {self._port} accepts")


class HealthCheck:
    """Probes for ever and calls `on_change(up)` when the app goes up or down.

    Every `interval_s`, but at once at start and then at least every second until the app is first up.
    """

    def __init__(
        self,
        probe: Probe,
        *,
        interval_s: float,
        rise: int,
        fall: int,
        on_change: Callable[[bool], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.last_reason = "not checked yet"
        self._probe = probe
        self._interval_s = interval_s
        self._state = RiseFall(rise, fall)
        self._on_change = on_change
        self._sleep = sleep

    @property
    def up(self) -> bool | None:
        """None until the app is first up."""
        return self._state.up

    async def run(self) -> None:
        while True:
            await self._check()
            patience_s = min(self._interval_s, _IMPATIENT_S) if self.up is None else self._interval_s
            await self._sleep(patience_s)

    async def _check(self) -> None:
        verdict = await self._probe.check()
        self.last_reason = verdict.reason
        if self._state.observe(verdict.healthy):
            if verdict.healthy:
                _log.info("app up", reason=verdict.reason)
            else:
                _log.warning("app down", reason=verdict.reason)
            self._on_change(verdict.healthy)


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
