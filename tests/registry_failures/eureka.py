"""A Eureka server that does what a test says, and keeps what it was asked."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def instance(app: str, port: int, host: str = "127.0.0.1", **more: Any) -> dict[str, Any]:
    """An UP instance as a registry lists it."""
    return {
        "instanceId": f"{host}:{app}:{port}",
        "app": app.upper(),
        "hostName": host,
        "ipAddr": host,
        "vipAddress": app,
        "status": "UP",
        "port": {"$": port, "@enabled": "true"},
        "actionType": "ADDED",
    } | more


def applications(instances: list[dict[str, Any]], hashcode: str) -> dict[str, Any]:
    by_app: dict[str, list[dict[str, Any]]] = {}
    for each in instances:
        by_app.setdefault(each["app"], []).append(each)
    listed = [{"name": app, "instance": members} for app, members in by_app.items()]
    return {"applications": {"versions__delta": "1", "apps__hashcode": hashcode, "application": listed}}


@dataclass
class Asked:
    method: str
    path: str  # below the base, with its query
    headers: Mapping[str, str]
    body: Any = None


@dataclass
class Eureka:
    """Lists `listed` and takes registrations. `reads` and `writes` answer in its place while they are set."""

    listed: list[dict[str, Any]] = field(default_factory=list)
    changes: list[dict[str, Any]] | None = None  # what deltas say; None: deltas are switched off
    hashcode: str | None = None  # instead of the true one
    reads: Answer | None = None
    writes: Answer | None = None
    registered: dict[str, dict[str, Any]] = field(default_factory=dict)  # by instance id
    overrides: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/eureka/"

    async def start(self) -> None:
        """On the same port again after `stop`."""
        app = web.Application(client_max_size=2**20)
        app.router.add_route("*", "/{prefix:.*?}apps{path:.*}", self._answer)
        app.router.add_route("*", "/{path:.*}", self._answer)
        # Connections that are cut are part of the tests.
        self._runner = web.AppRunner(app, shutdown_timeout=0.01, handler_cancellation=True, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    def count(self, method: str, path: str = "") -> int:
        return sum(each.method == method and each.path.startswith(path) for each in self.asked)

    @property
    def dirty_ms(self) -> list[int]:
        """The timestamps of all registrations, in order."""
        return [int(each.body["instance"]["lastDirtyTimestamp"]) for each in self.asked if each.method == "POST"]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path_qs.partition("/eureka/")[2]
        body = await request.json() if request.method == "POST" and request.can_read_body else None
        self.asked.append(Asked(request.method, path, dict(request.headers), body))
        if request.method == "GET" and path.partition("?")[0] in ("apps/", "apps/delta"):
            return await (self.reads or self._read)(request)
        if self.writes is not None:
            return await self.writes(request)
        return self._write(request, path.partition("?")[0].split("/"), body)

    async def _read(self, request: web.Request) -> web.StreamResponse:
        counts = Counter(each["status"] for each in self.listed)
        hashcode = "".join(f"{status}_{counts[status]}_" for status in sorted(counts))
        if request.path.endswith("delta"):
            if self.changes is None:
                return web.Response(status=403)
            return web.json_response(applications(self.changes, self.hashcode or hashcode))
        return web.json_response(applications(self.listed, hashcode))

    def _write(self, request: web.Request, path: list[str], body: Any) -> web.Response:
        if request.method == "POST":
            self.registered[body["instance"]["instanceId"]] = body["instance"]
            return web.Response(status=204)
        name = path[2] if len(path) > 2 else ""
        if name not in self.registered:
            return web.Response(status=404)
        if path[3:] == ["status"]:
            if request.method == "PUT":
                self.overrides[name] = request.query["value"]
            else:
                self.overrides.pop(name, None)
        elif request.method == "GET":
            override = self.overrides.get(name, "UNKNOWN")
            return web.json_response({"instance": self.registered[name] | {"overriddenStatus": override}})
        elif request.method == "DELETE":
            del self.registered[name]
        return web.Response()


def always(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers=headers)

    return answer


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("for ever")


def streaming(pieces: int, piece: bytes, headers: Mapping[str, str]) -> Answer:
    """A body of so many pieces, never in memory as a whole."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        for _ in range(pieces):
            await response.write(piece)
        await response.write_eof()
        return response

    return answer
