"""A sample instance: a small HTTP server that registers itself with Eureka and fails when told to."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

import msgspec
import structlog
from aiohttp import web

from prana.config.units import parse_duration
from registry.renewal import Registrar

HOST = "127.0.0.1"

_CLOSE_S = 0.2
_MAX_OUTAGE_S = 3600.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What an instance is and how it behaves."""

    service: str
    id: str
    says: Mapping[str, object] = field(default_factory=dict)  # part of every good answer
    delay_s: tuple[float, float] = (0.0, 0.0)  # each answer takes a time between these
    cycle_s: float = 0.0  # good for so long, then failing for so long, in turns; 0: always good


class Outage:
    """A fault that all instances of a service share."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until_s = clock()

    def begin(self, duration_s: float) -> None:
        """Fail from now on for `duration_s`; 0 ends a running outage."""
        self._until_s = self._clock() + duration_s

    @property
    def active(self) -> bool:
        return self._clock() < self._until_s


class Sample:
    """One instance: answers any request with JSON that says who it is and what it was asked.

    `POST /outage?for=30s` makes every instance of its service fail for that long; `POST /die` ends this one as
    `kill -9` would, with its registration left behind. `registrar` is None when a sidecar registers the instance.
    """

    def __init__(
        self,
        role: Role,
        port: int,
        outage: Outage,
        registrar: Registrar | None,
        clock: Callable[[], float],
        rng: Random,
    ) -> None:
        self._role = role
        self._port = port
        self._outage = outage
        self._registrar = registrar
        self._clock = clock
        self._rng = rng
        self._started_s = clock()
        self._killed = asyncio.Event()
        app = web.Application()
        app.router.add_post("/outage", self._begin_outage)
        app.router.add_post("/die", self._die)
        app.router.add_route("*", "/{path:.*}", self._answer)
        # A caller that left needs no answer, and must not hold up the end.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_CLOSE_S)

    async def open(self) -> None:
        """Listen. Raises OSError when the port cannot be had; `close` is needed then, too."""
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self._port).start()

    @property
    def port(self) -> int:
        """The port in use, also when 0 was asked for."""
        port: int = self._runner.addresses[0][1]
        return port

    async def run(self) -> None:
        """Holds the registration until `leave`, and dies when told to."""
        async with asyncio.TaskGroup() as group:
            lease = group.create_task(self._registrar.run()) if self._registrar is not None else None
            await self._killed.wait()
            if lease is not None:
                lease.cancel()
        await self.close()

    async def leave(self) -> None:
        """Deregister, as an instance that ends in order does; a killed one no longer can."""
        if self._registrar is not None and not self._killed.is_set():
            await self._registrar.close()

    async def close(self) -> None:
        """Stop listening, and cut what takes longer than a moment. Idempotent."""
        await self._runner.cleanup()

    @property
    def failing(self) -> bool:
        cycle_s = self._role.cycle_s
        in_bad_half = cycle_s > 0 and (self._clock() - self._started_s) % (2 * cycle_s) >= cycle_s
        return in_bad_half or self._outage.active

    async def _answer(self, request: web.Request) -> web.Response:
        role = self._role
        if self.failing:
            return _json({"instance": role.id, "error": "failing, as this demo wants it"}, 503)
        body = (await request.read()).decode(errors="replace")
        await asyncio.sleep(self._rng.uniform(*role.delay_s))
        asked = {"method": request.method, "path": request.raw_path}
        return _json({"instance": role.id, **role.says, **asked, **({"body": body} if body else {})})

    async def _begin_outage(self, request: web.Request) -> web.Response:
        written = request.query.get("for", "30s")
        try:
            duration_s = parse_duration(written)
        except ValueError as error:
            return _json({"error": f"for={written} {error}"}, 400)
        if duration_s > _MAX_OUTAGE_S:
            return _json({"error": f"for={written} is too long; allowed is up to 1h"}, 400)
        self._outage.begin(duration_s)
        _log.info("sample service fails", service=self._role.service, for_s=duration_s)
        return _json({"service": self._role.service, "failing_for": written})

    async def _die(self, request: web.Request) -> web.Response:
        _log.info("sample instance killed", instance=self._role.id)
        self._killed.set()
        return _json({"instance": self._role.id, "dies": True})


def _json(document: Mapping[str, object], status: int = 200) -> web.Response:
    """With a line end, for people who read it in a terminal."""
    return web.Response(body=msgspec.json.encode(document) + b"\n", status=status, content_type="application/json")
