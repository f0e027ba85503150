"""The composition root: builds the parts of one sidecar, runs them, and takes them down in order."""

import asyncio
import gc
import os
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from functools import partial
from itertools import chain
from random import Random
from typing import Any

import structlog
import uvloop

import admin.server
from admin.metrics import COMPAT, ProxyMetrics
from admin.rotation import keep_rotating
from loadbalancer.node import Node
from prana.allocator import keep_freed_memory
from prana.apps import AppBeside, deregister, drain, leave_leases
from prana.assembly import Assembly
from prana.config.settings import ServicePolicy, Settings
from prana.config.units import Address as ListenAddress
from prana.fallback.chain import Chains, contents_of_files
from prana.filters.compat import Compat
from prana.filters.observe import Observe
from prana.filters.rescue import Rescue
from prana.filters.route import Endpoint, Route
from prana.handover import Identity, Predecessor
from prana.identity import UNKNOWN_IP, own_address, registrations_of
from prana.journal import ShadowJournal, access_sink
from prana.pipeline import common_pipeline
from prana.ports import Ports, until
from prana.registry_client import RegistryClient
from prana.routes import Routes
from prana.service import Service
from prana.services import Services
from prana.signals import Stop
from prana.sockets import Passed, passed_by_systemd
from prana.startup import listening
from prana.views import Views
from prana.warmup import WarmUp
from prana.wire.client import Client
from prana.wire.descriptors import Limits, limits_for
from prana.wire.pool import Address, Pool
from prana.wire.server import ProxyServer
from prana.wire.tls import tls_of_services
from registry.instance import Instance
from registry.ports import TlsMode
from registry.registration import Registration
from registry.static import static_instances
from registry.writes import EurekaWrites

_log = structlog.get_logger()


class Sidecar:
    """One running Prana. `start` opens the ports, `run` works until `stop` is set, then drains and deregisters."""

    def __init__(
        self,
        settings: Settings,
        rng: Random | None = None,
        *,
        passed: Passed | None = None,
        predecessor: Predecessor | None = None,
        clock: Callable[[], float] = time.monotonic,
        epoch_s: Callable[[], float] = time.time,
    ) -> None:
        """`passed`: listening sockets that this process was given; a `predecessor` passes its own."""
        self.settings = settings
        self._clock = clock
        self._epoch_s = epoch_s
        self._rng = rng or Random()
        self._started_epoch_s = epoch_s()
        self.metrics = ProxyMetrics(clock)
        static = _static_services(settings)
        self._static = {(each.host, each.ip, each.port) for each in chain.from_iterable(static.values())}
        self._registry = RegistryClient(settings, self._own_ports, clock=clock, rng=self._rng, epoch_s=epoch_s)
        self._transport, self._discovery = self._registry.transport, self._registry.discovery
        self._pool = Pool(clock, self._may_dial)
        self._tls = tls_of_services(settings)
        client = Client(self._pool, clock)
        chains = Chains(
            contents_of_files(settings),
            lambda *call: self._services.find(*call),  # noqa: PLW0108 - the services are made with the chains
            clock,
        )
        self._services = Services(
            static,
            self._discovery,
            Assembly(settings, client, self._tls, self.metrics, clock, self._rng, chains),
            self._node_gone,
            self._wait_s,
            self._tls_mode,
            _with_fallback(settings),
        )
        if self._discovery is not None:
            self._discovery.subscribe(self._services.update)
        self._warm_up = WarmUp(
            settings.proxy.warm_up,
            self._services,
            self._discovery.first_read if self._discovery is not None else None,
            self._connect,
            clock,
        )
        self._server = ProxyServer(
            common_pipeline(
                Observe(self.metrics, clock, access_sink(settings.log.access)),
                Rescue(),
                Route(self._services, settings.proxy.default_service, self._endpoints()),
            ),
            self._pool,
            clock,
            self.metrics,
            settings.proxy.max_connections,
            settings.proxy.min_upload_rate,
        )
        self._views = Views(
            settings,
            self._services,
            self._server,
            self._pool,
            self._tls,
            self._warm_up,
            self._transport,
            self._discovery,
            clock,
            self._started_epoch_s,
        )
        self._ports = Ports(passed or Passed(), predecessor, self._server.shortage)
        self._limits = Limits(0, 0)  # known from `start` on
        self._admin: admin.server.AdminServer | None = None
        self._apps: list[AppBeside] = []

    def _endpoints(self) -> Mapping[str, Endpoint]:
        """What the proxy answers itself."""
        if not self.settings.proxy.compat:
            return {}
        if self._discovery is not None:
            self._discovery.subscribe(ShadowJournal().update)
        return Compat(
            self.metrics.service(COMPAT),
            apps=lambda: self._views.apps(),  # noqa: PLW0108 - the views are made after the proxy, which they show
            draining=lambda: self._server.draining,
            up_instances=self._services.listed,
            property_of=self.settings.properties.get,
        ).endpoints()

    def _node_gone(self, service: str, node: Node) -> None:
        self._pool.forget(self._address(self.settings.policy_for(service), node))

    async def _connect(self, service: Service, node: Node) -> None:
        await self._pool.warm(self._address(service.policy, node), service.policy.connect_timeout)

    def _address(self, policy: ServicePolicy, node: Node) -> Address:
        instance = node.instance
        return instance.host, instance.ip, instance.port, self._tls[policy.tls] if instance.secure else None

    def _tls_mode(self, service: str) -> TlsMode:
        return TlsMode(self.settings.policy_for(service).tls.mode)

    def _own_ports(self) -> set[int]:
        ports = {int(address.rpartition(":")[2]) for address in self.proxy_addresses if not address.startswith("unix:")}
        return ports | ({self._admin.port} if self._admin is not None else set())

    def _may_dial(self, address: Address, ip: str) -> bool:
        """What the operator wrote down may always be dialled, what a registry says only if it can be trusted."""
        host, _, port, _ = address
        return address[:3] in self._static or self._registry.may_dial(host, ip, port)

    def _wait_s(self, service: str, method: bytes, path: bytes) -> float:
        policy = self.settings.policy_for(service)
        route = Routes((each, each) for each in policy.routes).first(method, path)
        return (route or policy).timeout

    async def start(self, *, listen_flag: str = "--listen", admin_flag: str = "--admin-listen") -> None:
        """Open the ports; behind a predecessor only bind them, `run` opens them when it has let go.

        Raises StartupError, which names the flag that changes the address; nothing is left open then.
        """
        proxy, where = self.settings.proxy, self.settings.admin.listen
        self._limits = limits = limits_for(proxy.max_connections)
        self._server.max_connections = limits.connections
        try:
            for address in proxy.listen:
                binding = self._ports.bind(address, self._server.accept, proxy.unix_mode, descriptors=limits.spared)
                self._server.listeners += await listening(binding, str(address), listen_flag)
            opening = admin.server.serve(
                self._views, self._views, self.metrics, self.settings.admin.token, partial(self._ports.bind, where)
            )
            self._admin = await listening(opening, str(where), admin_flag)
            if self.settings.shutdown.hand_over:
                path = ListenAddress(unix_path=self.settings.shutdown.hand_over)
                await listening(self._ports.offer(path, self._leave_to_successor), str(path), "shutdown.hand_over")
            self._apps = self._views.beside = self._apps_beside()
        except BaseException:
            self._ports.close()
            raise
        if self._ports.predecessor is None:
            self._ports.open()
            self._log_listening()
        else:
            _log.info("ports taken over, not open yet", proxy=self._server.addresses)

    def _log_listening(self) -> None:
        where = f"{self.settings.admin.listen.host}:{self.admin_port}"
        allowed, configured = self._limits.connections, self.settings.proxy.max_connections
        _log.info("listening", proxy=self._server.addresses, admin=where, max_connections=allowed)
        if allowed < configured:
            _log.warning(
                "file descriptors suffice for fewer connections; raise the hard limit (ulimit -Hn, LimitNOFILE)",
                descriptors=self._limits.descriptors,
                max_connections=allowed,
                configured=configured,
            )

    @property
    def proxy_addresses(self) -> list[str]:
        """Where the proxy listens, as bound."""
        return self._server.addresses

    @property
    def admin_port(self) -> int:
        assert self._admin is not None, "not started"  # noqa: S101 - caller's contract
        return self._admin.port

    async def run(self, stop: Stop) -> None:
        """Work until `stop`, then drain and deregister. Every background loop belongs to this one group; when one
        fails, the registrations are given up before that is raised."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(loop) for loop in self._loops(stop)]
                await stop.requested.wait()
                await self._leave(stop.drain_delay_s)
                for task in tasks:
                    task.cancel()
        except ExceptionGroup:
            await deregister(self._apps)
            await self._server.close(self.settings.shutdown.grace)
            raise
        finally:
            await self._close()  # when no loop is left that would open a connection again
        _log.info("stopped")

    async def _take_over(self, predecessor: Predecessor) -> None:
        keeps = [app.identity for app in self._apps if app.registrar is not None]
        await self._ports.take_over(predecessor, self._ready, keeps)
        self._log_listening()
        _log.info("took over")

    def _ready(self) -> bool:
        """To go on with what a predecessor did: the registry is read, and an app that is UP stays so."""
        read = self._discovery is None or self._discovery.first_read.is_set()
        return read and self._warm_up.done and all(app.health.up for app in self._apps)

    async def _stop_when_replaced(self, stop: Stop) -> None:
        await self._ports.until_replaced()
        stop.requested.set()

    async def _leave_to_successor(self, keeps: Collection[Identity]) -> None:
        self._server.draining = True
        self._server.listeners.clear()
        await leave_leases(app for app in self._apps if app.identity in keeps)

    def _loops(self, stop: Stop) -> list[Coroutine[Any, Any, None]]:
        loops = [self._server.run(), keep_rotating(self.metrics, self._clock), *self._registry.loops()]
        loops += [self._stop_when_replaced(stop), self._warm_up.run()]
        if self._ports.predecessor is not None:
            loops.append(self._take_over(self._ports.predecessor))
        for app in self._apps:
            loops += app.loops()
        return loops

    def _apps_beside(self) -> list[AppBeside]:
        settings = self.settings
        writes = EurekaWrites(self._transport) if settings.registers and self._transport is not None else None
        registrations = registrations_of(settings, self.admin_port, UNKNOWN_IP)
        return [
            AppBeside(
                app,
                registration,
                writes,
                located=partial(self._located, index),
                clock=self._clock,
                epoch_ms=self._epoch_ms,
                rng=self._rng,
            )
            for index, (app, registration) in enumerate(zip(settings.apps, registrations, strict=True))
        ]

    async def _located(self, index: int) -> Registration:
        """What the app is registered as, once the way to Eureka is known."""
        await self._ports.in_charge.wait()
        transport, ip = self._transport, self.settings.apps[index].ip
        if transport is not None and not ip:
            ip = await own_address(lambda: transport.servers)
        return registrations_of(self.settings, self.admin_port, ip)[index]

    def _epoch_ms(self) -> int:
        return int(self._epoch_s() * 1000)

    async def _leave(self, drain_delay_s: float) -> None:
        """The order matters: peers learn first, callers are served until they have had time to, and the lease is
        given up last, when no heartbeat can bring it back."""
        _log.info("draining", delay_s=drain_delay_s)
        self._server.draining = True
        await drain(self._apps)
        if self._ports.in_charge.is_set():
            # Each answer asks its caller to leave. Behind a successor nobody new comes in their place.
            await until(lambda: self._ports.replaced and len(self._server) == 0, drain_delay_s)
        self._ports.stop_offering()
        if not await self._server.close(self.settings.shutdown.grace):
            _log.warning("requests cut off", grace_s=self.settings.shutdown.grace)
        await deregister(self._apps)

    async def _close(self) -> None:
        self._ports.close()
        await self._pool.close()
        if self._admin is not None:
            await self._admin.close()
        if self._transport is not None:
            await self._transport.close()


def _static_services(settings: Settings) -> dict[str, tuple[Instance, ...]]:
    return {
        name: static_instances(name, list(map(str, policy.instances)), secure=policy.tls.mode == TlsMode.ALWAYS)
        for name, policy in settings.services.items()
        if policy.instances
    }


def _with_fallback(settings: Settings) -> frozenset[str]:
    return frozenset(
        name for name, policy in settings.services.items() if any(each.fallback for each in policy.commands)
    )


def run(settings: Settings, *, replace: bool = False) -> int:
    """`prana run`: until a signal says otherwise. Returns the exit code; raises StartupError.

    The loop is left open, and whoever calls this ends the process at once: closing it, like the end of the
    interpreter, would wait for a DNS look-up that hangs in one of libuv's threads.
    """
    predecessor = Predecessor.at(settings.shutdown.hand_over) if replace else None
    keep_freed_memory()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop).run(_run(settings, predecessor))


async def _run(settings: Settings, predecessor: Predecessor | None) -> int:
    stop = Stop(settings.shutdown.drain_delay)
    with stop.installed():
        sidecar = Sidecar(settings, passed=passed_by_systemd(os.environ), predecessor=predecessor)
        await sidecar.start()
        _spare_the_collector()
        try:
            await sidecar.run(stop)
        except ExceptionGroup:
            _log.exception("internal error: a part of the sidecar has failed, so all of it ends")
            return 1
    return 0


def _spare_the_collector() -> None:
    """Only requests that fail leave cycles behind, through their tracebacks. Looking for some after each 700 new
    objects is a twentieth of a request's cost, and a full look at what was made at the start stalls the loop for 20 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
