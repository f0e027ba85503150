"""Eureka servers from DNS TXT records, as Netflix publishes them (EndpointUtils.getServiceUrlsMapFromDNS).

`txt.<region>.<domain>` lists zones, as `<zone>.<domain>` or by their name alone; `txt.<zone>.<domain>` lists the hosts
of a zone. Several names stand in one record with spaces between them, or in several records.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from registry.server_url import Server

_log = structlog.get_logger()

_EVERY_S = 300.0  # eurekaServiceUrlPollIntervalSeconds
_RETRY_S = 5.0  # until there is a first answer
_LOOKUP_TIMEOUT_S = 5.0

Lookup = Callable[[str], Awaitable[list[str]]]


class NoRecords(Exception):
    """The DNS gave no usable answer; the text says why."""


@dataclass(frozen=True, slots=True)
class DnsName:
    """Where the records are, and what stands around a host of theirs in a URL."""

    region: str
    domain: str
    scheme: str
    port: int
    path: str

    def url(self, host: str) -> str:
        authority = f"[{host}]" if ":" in host else host
        return f"{self.scheme}://{authority}:{self.port}/{self.path.lstrip('/')}"


async def txt_words(name: str) -> list[str]:
    """The words of all TXT records of `name`, over the resolvers of this machine. Raises NoRecords."""
    # Here and not above: few sidecars ask the DNS, and dnspython brings 4 MiB and 45 ms to every start.
    import dns.asyncresolver
    import dns.exception

    try:
        answer = await dns.asyncresolver.resolve(name, "TXT", lifetime=_LOOKUP_TIMEOUT_S)
    except (dns.exception.DNSException, OSError) as error:
        raise NoRecords(f"{name}: {type(error).__name__}") from None
    texts = (b"".join(record.strings).decode(errors="replace") for record in answer)
    return [word for text in texts for word in text.split()]


async def servers_by_zone(name: DnsName, lookup: Lookup) -> dict[str, list[Server]]:
    """Raises NoRecords when not a single server is found, or a lookup fails: half a list would move everybody."""
    found: dict[str, list[Server]] = {}
    for word in await lookup(f"txt.{name.region}.{name.domain}"):
        cluster = word.rstrip(".").removeprefix("txt.")
        zone, _, domain = cluster.partition(".")
        hosts = await lookup(f"txt.{zone}.{domain or name.domain}")
        found[zone] = [Server.parse(name.url(host.rstrip("."))) for host in hosts]
    if not any(found.values()):
        raise NoRecords(f"txt.{name.region}.{name.domain}: lists no server")
    return found


class DnsServers:
    """Looks for servers for ever and calls `on_found(servers by zone)`. A failure changes nothing."""

    def __init__(
        self,
        name: DnsName,
        on_found: Callable[[Mapping[str, Sequence[Server]]], None],
        lookup: Lookup = txt_words,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._name = name
        self._on_found = on_found
        self._lookup = lookup
        self._sleep = sleep
        self._known = False
        self._problem = ""

    async def run(self) -> None:
        while True:
            await self.resolve()
            await self._sleep(_EVERY_S if self._known else _RETRY_S)

    async def resolve(self) -> None:
        try:
            found = await servers_by_zone(self._name, self._lookup)
        except (NoRecords, ValueError) as error:  # ValueError: a host that makes no URL
            if not self._problem:
                _log.warning("eureka servers not found in the DNS, keeping those known", reason=str(error))
            self._problem = str(error)
            return
        self._on_found(found)
        if self._problem or not self._known:
            count = sum(map(len, found.values()))
            _log.info("eureka servers found in the DNS", servers=count, zones=sorted(found))
        self._problem, self._known = "", True
