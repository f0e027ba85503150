"""Connections to the instances of some services, opened before we are ready, so that no first request pays for one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from loadbalancer.node import Node
from prana.errors import ProxyError
from prana.resilience.classify import outcome_of_error, trouble_of_error
from prana.service import Service
from prana.services import Services

_log = structlog.get_logger()

WITHIN_S: Final = 30.0  # from the first registry read; whoever waits for us to be ready waits no longer
_AT_ONCE: Final = 16


class WarmUp:
    """One connection to each node of the services named. A failure is evidence about its node as any other, and is
    logged; `done` all the same once everything was tried, or time is up."""

    def __init__(
        self,
        names: Sequence[str],
        services: Services,
        registry_read: asyncio.Event | None,
        connect: Callable[[Service, Node], Awaitable[None]],
        clock: Callable[[], float],
        within_s: float = WITHIN_S,
    ) -> None:
        """Names are lower case. `connect` leaves a connection in the pool, or raises ProxyError."""
        self.done = not names
        self._names = names
        self._services = services
        self._registry_read = registry_read
        self._connect = connect
        self._clock = clock
        self._within_s = within_s
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._connected = 0
        self._failed = 0

    async def run(self) -> None:
        if self.done:
            return
        if self._registry_read is not None:
            await self._registry_read.wait()
        nodes = [(service, node) for service in self._known() for node in service.balancer.nodes]
        try:
            async with asyncio.timeout(self._within_s), asyncio.TaskGroup() as group:
                for service, node in nodes:
                    group.create_task(self._warm(service, node))
        except TimeoutError:
            untried = len(nodes) - self._connected - self._failed
            _log.warning(
                "warm-up took too long, so we are ready without it", within_s=self._within_s, not_connected=untried
            )
        self.done = True
        _log.info("warmed up", connections=self._connected, failures=self._failed)

    def _known(self) -> list[Service]:
        found = []
        for name in self._names:
            service = self._services.peek(name)
            if service is None:
                _log.warning("warm-up of a service that nobody has", service=name, setting="proxy.warm_up")
            else:
                found.append(service)
        return found

    async def _warm(self, service: Service, node: Node) -> None:
        async with self._places:
            started_s = self._clock()
            try:
                await self._connect(service, node)
                self._connected += 1
            except ProxyError as error:
                self._failed += 1
                pick = service.balancer.attempt(node)
                pick.report(outcome_of_error(error), self._clock() - started_s, trouble_of_error(error))
                pick.release()
                _log.warning("warm-up failed", service=service.name, instance=node.instance.id, reason=error.detail)
