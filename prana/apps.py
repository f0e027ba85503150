"""The apps beside us: how each one is, and what Eureka is told about it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from random import Random
from typing import Any

from prana.config.settings import App
from registry.commandprobe import CommandProbe
from registry.healthcheck import HealthCheck, Probe
from registry.healthstate import HealthState
from registry.hysteresis import FlapDamping, RiseFall
from registry.instance import Status
from registry.probes import HttpProbe, TcpProbe
from registry.registration import Registration
from registry.renewal import Registrar, Writes


class AppBeside:
    """One app, with its own health check and, unless `writes` is None, its own registration and lease."""

    def __init__(
        self,
        app: App,
        registration: Registration,
        writes: Writes | None,
        *,
        located: Callable[[], Awaitable[Registration]],
        clock: Callable[[], float],
        epoch_ms: Callable[[], int],
        rng: Random,
    ) -> None:
        """`located` gives the registration with the own address, as soon as that is known; until then it waits."""
        self.registration = registration
        self._located = located
        self.registrar: Registrar | None = None
        if writes is not None:
            self.registrar = Registrar(registration, writes, clock=clock, epoch_ms=epoch_ms, rng=rng)
        health = app.health
        self.health = HealthState(
            RiseFall(health.rise, health.fall), FlapDamping(health.max_changes, health.window, clock), clock
        )
        self._check = HealthCheck(
            app.name,
            _probe(app),
            self.health,
            interval_s=health.interval,
            timeout_s=health.timeout,
            on_change=self._changed,
        )

    @property
    def status(self) -> Status:
        """What it is registered with, or would be: STARTING until it was first healthy."""
        if self.health.up is None:
            return Status.STARTING
        return Status.UP if self.health.up else Status.DOWN

    @property
    def identity(self) -> tuple[str, str]:
        """What Eureka knows it by: application name, in capitals as there, and instance id."""
        return self.registration.app.upper(), self.registration.instance_id

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        return [self._check.run(), *([self._register(self.registrar)] if self.registrar is not None else [])]

    async def _register(self, registrar: Registrar) -> None:
        self.registration = registrar.registration = await self._located()
        await registrar.run()

    def _changed(self) -> None:
        if self.registrar is not None:
            self.registrar.set_status(self.status)


async def drain(apps: Iterable[AppBeside]) -> None:
    """All at once, so that several take no longer than one; as `Registrar.drain`, never raises for Eureka."""
    await asyncio.gather(*(app.registrar.drain() for app in apps if app.registrar is not None))


async def deregister(apps: Iterable[AppBeside]) -> None:
    """All at once; as `Registrar.close`."""
    await asyncio.gather(*(app.registrar.close() for app in apps if app.registrar is not None))


async def leave_leases(apps: Iterable[AppBeside]) -> None:
    """All at once: stop renewing without deregistering, for another process goes on with them."""
    await asyncio.gather(*(app.registrar.close(leave_lease=True) for app in apps if app.registrar is not None))


def _probe(app: App) -> Probe:
    """With neither URL nor command the app is healthy while its port accepts; "localhost" covers one on ::1."""
    if app.health.command:
        return CommandProbe(app.health.command)
    if app.health.url:
        return HttpProbe(app.health.url, app.health.statuses)
    return TcpProbe("localhost", app.port)
