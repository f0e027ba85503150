"""The Eureka side of a sidecar: servers, transport and discovery, put together from the settings."""

import ssl
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from prana.config.settings import Settings
from prana.startup import StartupError
from prana.tls import authorities
from registry.address import is_own_address
from registry.cachefile import CacheFile
from registry.cachekeeper import CacheKeeper
from registry.discovery import Discovery
from registry.dnsservers import DnsName, DnsServers
from registry.server_url import Server, masked
from registry.servers import Servers
from registry.transport import EurekaTransport
from registry.trust import Trust, trusts_loopback


class RegistryClient:
    """`transport` is None when no server is configured, `discovery` also when the registry is not to be read.

    `own_ports` gives the ports of the proxy and the admin server once they are bound. Raises StartupError.
    """

    def __init__(
        self,
        settings: Settings,
        own_ports: Callable[[], Collection[int]],
        *,
        clock: Callable[[], float],
        rng: Random,
        epoch_s: Callable[[], float] = time.time,
    ) -> None:
        eureka = settings.eureka
        self.transport: EurekaTransport | None = None
        self.discovery: Discovery | None = None
        self._loops: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._own_zone = settings.own_zone
        self._servers = Servers(clock, rng)
        self._configured = {
            zone: [Server.parse(url) for url in urls] for zone, urls in {"": eureka.plain_urls, **eureka.zones}.items()
        }
        loopback = trusts_loopback(eureka.allow_loopback_instances, [] if eureka.dns.domain else eureka.all_urls)
        self.trust = Trust(loopback=loopback, own_ports=own_ports, is_own=is_own_address)
        if not eureka.configured:
            return
        self._ask(self._configured)
        self.transport = EurekaTransport(self._servers, tls=_tls(eureka.ca_file))
        if eureka.dns.domain:
            name = DnsName(eureka.dns.region, eureka.dns.domain, eureka.dns.scheme, eureka.dns.port, eureka.dns.path)
            self._loops.append(DnsServers(name, self._found).run)
        if eureka.fetch:
            self.discovery = Discovery(
                self.transport,
                fetch_interval_s=eureka.fetch_interval,
                clock=clock,
                rng=rng,
                refusal=self.trust.refusal,
            )
            self._loops.append(self.discovery.run)
            if eureka.cache_file:
                whose = [masked(url) for url in eureka.all_urls] + [eureka.dns.domain] * bool(eureka.dns.domain)
                file = CacheFile(Path(eureka.cache_file), whose)
                self._loops.append(CacheKeeper(file, self.discovery, self.trust.refusal, epoch_s=epoch_s).run)

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        return [loop() for loop in self._loops]

    def may_dial(self, host: str, ip: str, port: int) -> bool:
        """Whether an address that the instance `host` resolved to may be dialled; one that may not is noted."""
        reason = self.trust.address_refusal(ip, port)
        if reason is not None and self.discovery is not None:
            self.discovery.refusals.dialled(host, ip, reason)
        return reason is None

    def _found(self, zones: Mapping[str, Sequence[Server]]) -> None:
        names = dict.fromkeys([*self._configured, *zones])
        self._ask({name: [*self._configured.get(name, ()), *zones.get(name, ())] for name in names})

    def _ask(self, zones: Mapping[str, Sequence[Server]]) -> None:
        own = zones.get(self._own_zone, ()) if self._own_zone else ()
        self._servers.replace(own, [server for servers in zones.values() for server in servers])


def _tls(ca_file: str) -> ssl.SSLContext | None:
    try:
        return authorities(ca_file)
    except ValueError as error:
        raise StartupError(f"eureka.ca_file: {error}") from None
