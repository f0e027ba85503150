"""The services by name: static ones from the configuration, the others from the registry."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from loadbalancer.node import Node
from prana.errors import RegistryNotRead
from prana.service import Service
from registry.instance import Instance
from registry.ports import TlsMode
from registry.snapshot import Snapshot

_RETRY_AFTER_S = 1.0
_NOT_READ = "no Eureka server has answered yet, so the instances of this service are not known"


class Registry(Protocol):
    """What is needed of registry.discovery.Discovery."""

    snapshot: Snapshot
    first_read: asyncio.Event


class Services:
    """Makes a service on its first call, and passes membership changes on to those made.

    `make(name, instances, static)` builds one; `gone(name, node)` hears of every node that left, so that its
    connections can be closed.
    """

    def __init__(
        self,
        static: Mapping[str, tuple[Instance, ...]],
        registry: Registry | None,
        make: Callable[[str, tuple[Instance, ...], bool], Service],
        gone: Callable[[str, Node], None],
        wait_s: Callable[[str, bytes, bytes], float],
        tls_mode: Callable[[str], TlsMode] = lambda _: TlsMode.AUTO,
        with_fallback: Collection[str] = (),
    ) -> None:
        """`wait_s` is the timeout of a call: by service, method and path, as its route has it. `with_fallback` names
        services that are to be found even if the registry does not know them: their configured fallback answers then.
        """
        self._static = static
        self._with_fallback = with_fallback
        self._registry = registry
        self._make = make
        self._gone = gone
        self._wait_s = wait_s
        self._tls_mode = tls_mode
        self._made: dict[str, Service] = {}

    def made(self, name: str) -> Service | None:
        """The service of a lower-case name if it has been called or looked at before and still exists."""
        service = self._made.get(name)
        return service if service is not None and service.known else None

    async def find(
        self, name: str, method: bytes = b"", path: bytes = b"", asked_timeout_s: float = 0.0
    ) -> Service | None:
        """The service of a lower-case name, None when nobody has it. A call that comes before the first registry
        read waits for it within its own time (`wait_s`, or less where its caller asked for that), then raises
        RegistryNotRead."""
        service = self.made(name)
        if service is not None:
            return service
        instances = self._instances(name)
        if instances is None and self._registry is not None and not self._registry.first_read.is_set():
            wait_s = self._wait_s(name, method, path)
            await self._first_read(self._registry, name, min(wait_s, asked_timeout_s or wait_s))
            instances = self._instances(name)
        if instances is None and name in self._with_fallback:
            instances = ()
        return self._open(name, instances) if instances is not None else None

    async def _first_read(self, registry: Registry, name: str, wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await registry.first_read.wait()
        except TimeoutError:
            if name in self._with_fallback:
                return
            raise RegistryNotRead(_NOT_READ, retry_after_s=_RETRY_AFTER_S) from None

    def _instances(self, name: str) -> tuple[Instance, ...] | None:
        if name in self._static:
            return self._static[name]
        if self._registry is None:
            return None
        return self._registry.snapshot.callable_instances(name, self._tls_mode(name))

    def listed(self, name: str) -> tuple[Instance, ...]:
        """The UP instances of a lower-case name, none when nobody has it, for callers that call them themselves.
        Never waits; raises RegistryNotRead."""
        if name in self._static:
            return self._static[name]
        if self._registry is None:
            return ()
        if not self._registry.first_read.is_set():
            raise RegistryNotRead(_NOT_READ, retry_after_s=_RETRY_AFTER_S)
        return self._registry.snapshot.up_instances(name) or ()

    def _open(self, name: str, instances: tuple[Instance, ...]) -> Service:
        service = self._made.get(name)
        if service is None:
            service = self._made[name] = self._make(name, instances, name in self._static)
        return service

    def peek(self, name: str) -> Service | None:
        """For views: like `find`, but never waits."""
        service = self._made.get(name)
        if service is None and (instances := self._instances(name)) is not None:
            service = self._open(name, instances)
        return service

    def all_made(self) -> list[Service]:
        """Services that have been called or looked at, by name."""
        return [self._made[name] for name in sorted(self._made)]

    def update(self, snapshot: Snapshot) -> None:
        """A new registry snapshot: every service made learns its members."""
        for name, service in self._made.items():
            if name in self._static:
                continue
            instances = snapshot.callable_instances(name, self._tls_mode(name))
            service.known = instances is not None
            for node in service.balancer.update(instances or ()):
                self._gone(name, node)
