"""HTTP to the Eureka servers: several URLs, one of them at a time, credentials kept to ourselves."""

import base64
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import aiohttp
import yarl

from registry.reason import reason

_CONNECT_TIMEOUT_S = 5.0  # these two: the defaults of Java's EurekaClientConfig
_READ_TIMEOUT_S = 8.0  # between two reads
_TOTAL_TIMEOUT_S = 30.0  # one server, body included: a server that drips must not hold a loop for ever
_MAX_BODY_BYTES = 32 * 1024 * 1024  # decoded; a registry of 20,000 instances is about 22 MB

_HEADERS = {
    "Accept": "application/json",
    # The Netflix WAR answers 406 to an Accept-Encoding without gzip.
    "Accept-Encoding": "gzip",
    # Being a known kind of client exempts from the server's rate limiter (RateLimitingFilter, privileged
    # clients).
    "DiscoveryIdentity-Name": "DefaultClient",
    "DiscoveryIdentity-Version": "1.4",
}


class EurekaUnavailable(Exception):
    """No server gave a usable answer. `detail` says for each why; it holds no credentials."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


_CREDENTIALS = re.compile(r"^([a-z][a-z0-9+.-]*://)?.*@", re.IGNORECASE | re.DOTALL)


def masked(url: str) -> str:
    """The URL with its credentials as `***`, for people.

    Masks up to the last `@` anywhere, not only in the authority: a password with an unescaped `/` must not
    leak just because it makes the URL invalid.
    """
    return _CREDENTIALS.sub(r"\1***@", url)


@dataclass(frozen=True, slots=True)
class _Server:
    base: str  # without credentials, with exactly one slash at the end
    label: str
    authorization: str | None = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> "_Server":
        label = masked(url)
        refused = ValueError(f"{label!r} is no Eureka URL; allowed: http(s)://[user:password@]host[:port]/path/")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            # Its message quotes pieces of the URL, and with a stray "/" these are pieces of the password.
            raise refused from None
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
            raise refused
        authority = f"[{host}]" if ":" in host else host
        if port is not None:
            authority += f":{port}"
        base = f"{parts.scheme}://{authority}{parts.path.rstrip('/')}/"
        return cls(base, label, _basic(parts.username, parts.password))


def _basic(username: str | None, password: str | None) -> str | None:
    if username is None:
        return None
    plain = f"{unquote(username)}:{unquote(password or '')}"
    return "Basic " + base64.b64encode(plain.encode()).decode("ascii")


@dataclass(frozen=True, slots=True)
class Reply:
    """A status the caller asked for; `body` is empty unless the status is 2xx."""

    status: int
    body: bytes


class _Refused(Exception):
    """An answer that makes us go on to the next server."""


class EurekaTransport:
    """Requests to the first of several equal Eureka servers that answers.

    Stays with the last good server (Java: RetryableEurekaHttpClient). Everything unexpected, a 5xx, 429, 401
    or a timeout, moves on to the next one; each call passes over every server at most once. Redirects are not
    followed, they count as a failure: a registry that sends us elsewhere belongs into the configuration,
    where credentials are given per host.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        read_timeout_s: float = _READ_TIMEOUT_S,
        max_body_bytes: int = _MAX_BODY_BYTES,
    ) -> None:
        """Raises ValueError, without credentials in it, for an unusable URL or when there is none."""
        if not urls:
            raise ValueError("no Eureka URL given")
        self._servers = tuple(_Server.parse(url) for url in urls)
        self._read_timeout_s = read_timeout_s
        self._max_body_bytes = max_body_bytes
        self._last_good = 0
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"EurekaTransport({', '.join(self.servers)})"

    @property
    def servers(self) -> tuple[str, ...]:
        """Every server's URL, credentials masked."""
        return tuple(server.label for server in self._servers)

    async def request(
        self, method: str, path: str, *, content: bytes | None = None, accept: Collection[int] = ()
    ) -> Reply:
        """Send to `path` (below the base URL, already percent-encoded) of the first server that answers.

        2xx is always an answer, `accept` names further statuses that are one. Raises EurekaUnavailable.
        """
        failures = []
        count = len(self._servers)
        for index in [(self._last_good + step) % count for step in range(count)]:
            server = self._servers[index]
            try:
                reply = await self._ask(server, method, path, content, accept)
            except (aiohttp.ClientError, OSError, _Refused) as error:
                failures.append(f"{server.label}: {reason(error)}")
            else:
                self._last_good = index
                return reply
        # Raised outside of any handler, so that no aiohttp error with its request hangs on as __context__.
        raise EurekaUnavailable("; ".join(failures))

    async def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _ask(
        self, server: _Server, method: str, path: str, content: bytes | None, accept: Collection[int]
    ) -> Reply:
        headers = {} if content is None else {"Content-Type": "application/json"}
        if server.authorization is not None:
            headers["Authorization"] = server.authorization
        url = yarl.URL(server.base + path, encoded=True)
        async with self._open().request(method, url, data=content, headers=headers, allow_redirects=False) as response:
            if 200 <= response.status < 300:
                return Reply(response.status, await self._read(response))
            # Bodies of errors are never read: they say nothing we could use and may be of any size.
            if response.status in accept:
                return Reply(response.status, b"")
            raise _Refused(f"HTTP {response.status}")

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._max_body_bytes:
                raise _Refused(f"body larger than {self._max_body_bytes} bytes")
        return bytes(body)

    def _open(self) -> aiohttp.ClientSession:
        # Not in the constructor: a session belongs to the loop it is created in.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=_HEADERS,
                timeout=aiohttp.ClientTimeout(
                    total=_TOTAL_TIMEOUT_S, sock_connect=_CONNECT_TIMEOUT_S, sock_read=self._read_timeout_s
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session
