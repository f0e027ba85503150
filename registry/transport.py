"""HTTP to the Eureka servers: one of them at a time, bounded in time and size, credentials kept to ourselves."""

import asyncio
import re
import ssl
from collections.abc import Collection
from dataclasses import dataclass

import aiohttp
import yarl

from registry.reason import reason
from registry.server_url import Server
from registry.servers import Servers

_CONNECT_TIMEOUT_S = 5.0  # these two: the defaults of Java's EurekaClientConfig
_READ_TIMEOUT_S = 8.0  # between two reads
_TOTAL_TIMEOUT_S = 30.0  # one server, body included: a server that drips must not hold a loop for ever
_MAX_BODY_BYTES = 28 * 1024 * 1024  # decoded; a registry of 20,000 instances is about 22 MB
_MAX_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 307, 308})
_REGISTRY_PATH = re.compile(r"(.*/)apps(/|$)")

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


@dataclass(frozen=True, slots=True)
class Reply:
    """A status the caller asked for; `body` is empty unless the status is 2xx."""

    status: int
    body: bytes
    server: Server  # the one that answered


class _Refused(Exception):
    """An answer that makes us go on to the next server."""


class EurekaTransport:
    """Requests to one of several equal Eureka servers, as `servers` orders them.

    Everything unexpected, a 5xx, 429, 401 or a timeout, moves on to the next one. Redirects are followed where they
    lead to the same resource of another registry, as Java's client does, but without our credentials: those are
    given to one host each. They are not remembered either, so that one forged answer does not move us for good.
    """

    def __init__(
        self,
        servers: Servers,
        *,
        tls: ssl.SSLContext | None = None,
        read_timeout_s: float = _READ_TIMEOUT_S,
        max_body_bytes: int = _MAX_BODY_BYTES,
    ) -> None:
        """`tls` is what an https server is verified with; None for the system's authorities."""
        self._servers = servers
        self._tls = tls
        self._read_timeout_s = read_timeout_s
        self._max_body_bytes = max_body_bytes
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
        """Send to `path` (below the base URL, "apps/...", percent-encoded) of the first server that answers.

        2xx is always an answer, `accept` names further statuses that are one. Raises EurekaUnavailable.
        """
        failures = []
        for server in self._servers.tries():
            try:
                reply = await self._ask(server, method, path, content, accept)
            except (aiohttp.ClientError, OSError, ValueError, _Refused) as error:
                self._servers.failed(server)
                failures.append(f"{server.label}: {reason(error)}")
            else:
                self._servers.answered(server)
                return reply
        # Raised outside of any handler, so that no aiohttp error with its request hangs on as __context__.
        raise EurekaUnavailable("; ".join(failures) or "no Eureka server is known yet")

    def distrust(self, reply: Reply) -> None:
        """The body of a 2xx was unusable after all: ask another server next time."""
        self._servers.failed(reply.server)

    async def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _ask(
        self, server: Server, method: str, path: str, content: bytes | None, accept: Collection[int]
    ) -> Reply:
        headers = {} if content is None else {"Content-Type": "application/json"}
        base = yarl.URL(server.base, encoded=True)
        for _ in range(1 + _MAX_REDIRECTS):
            url = yarl.URL(f"{base}{path}", encoded=True)
            headers.pop("Authorization", None)
            if server.authorization is not None and url.origin() == yarl.URL(server.base).origin():
                headers["Authorization"] = server.authorization
            async with self._open().request(
                method, url, data=content, headers=headers, allow_redirects=False
            ) as response:
                if 200 <= response.status < 300:
                    return Reply(response.status, await self._read(response), server)
                # Bodies of errors are never read: they say nothing we could use and may be of any size.
                if response.status in accept:
                    return Reply(response.status, b"", server)
                if response.status not in _REDIRECTS:
                    raise _Refused(f"HTTP {response.status}")
                base = _redirected(url, response)
        raise _Refused(f"more than {_MAX_REDIRECTS} redirects")

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        if (response.content_length or 0) <= self._max_body_bytes:
            async for chunk in response.content.iter_any():  # decoded in pieces of bounded size
                body += chunk
                if len(body) > self._max_body_bytes:
                    break
                await asyncio.sleep(0)  # what is there already is read without a pause, a bomb all of it
            else:
                return bytes(body)
        raise _Refused(f"body larger than {self._max_body_bytes} bytes")

    def _open(self) -> aiohttp.ClientSession:
        # Not in the constructor: a session belongs to the loop it is created in.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls or True),
                headers=_HEADERS,
                timeout=aiohttp.ClientTimeout(
                    total=_TOTAL_TIMEOUT_S, sock_connect=_CONNECT_TIMEOUT_S, sock_read=self._read_timeout_s
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def _redirected(url: yarl.URL, response: aiohttp.ClientResponse) -> yarl.URL:
    """The base URL that a redirect leads to, when it leads to a registry (RedirectingEurekaHttpClient)."""
    refused = _Refused(f"HTTP {response.status} to somewhere that is no registry")
    location = response.headers.get("Location")
    if not location or not location.isprintable() or " " in location:
        raise refused
    try:
        target = url.join(yarl.URL(location, encoded=True))
        match = _REGISTRY_PATH.match(target.raw_path)
        if match is None or target.scheme not in ("http", "https") or not target.host:
            raise refused
        if url.scheme == "https" and target.scheme == "http":
            raise _Refused(f"HTTP {response.status} from https to http")
        return target.origin().with_path(match[1], encoded=True)
    except ValueError:
        raise refused from None
