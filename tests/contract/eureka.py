"""A Eureka server as the contract sees it: raw HTTP for one application name of its own."""

import uuid
from dataclasses import dataclass
from json import loads
from typing import Any, Literal, TypeVar
from xml.etree import ElementTree

import aiohttp

XML: dict[str, Any] = {"Accept": "application/xml"}
PLAIN = {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"}
CANNOT_PARSE = '{"error": "cannot parse request body"}'

ServerName = Literal["embedded", "spring", "netflix"]
_Expected = TypeVar("_Expected")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def xml(self) -> ElementTree.Element:
        return ElementTree.fromstring(self.body)  # noqa: S314 - from servers that the tests started


class Eureka:
    """One application name of one server, so that tests on a shared server do not see each other.

    `url` is the base for clients; `root` is what the server's own URLs begin with, without a version.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, server: ServerName) -> None:
        self._session = session
        self.url = url
        self.root = url.removesuffix("v2/")
        self.server = server
        self.app = f"APP-{uuid.uuid4().hex[:8].upper()}"
        self.id = f"{self.app}:i1"  # overrides are kept by id alone, whatever the application
        self.path = f"apps/{self.app}/{self.id}"

    def pick(self, expected: dict[ServerName, _Expected]) -> _Expected:
        """What is expected of this server, where real ones differ; the case says why."""
        return expected[self.server]

    async def ask(
        self, method: str, path: str, *, json: Any = None, data: bytes | None = None, **headers: str
    ) -> Answer:
        """`path` below the base URL, or a whole URL. Underscores in the names of headers stand for hyphens."""
        sent = {"Accept": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
        url = path if path.startswith("http") else self.url + path
        async with self._session.request(method, url, json=json, data=data, headers=sent) as answer:
            return Answer(answer.status, dict(answer.headers), await answer.read())

    async def call(self, method: str, path: str, **request: Any) -> tuple[int, bytes]:
        answer = await self.ask(method, path, **request)
        return answer.status, answer.body

    async def status_of(self, method: str, path: str, **request: Any) -> int:
        return (await self.ask(method, path, **request)).status

    async def read(self, path: str, **headers: Any) -> Any:
        answer = await self.ask("GET", path, **headers)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json"), path
        return loads(answer.body)

    def instance(self, **fields: Any) -> dict[str, Any]:
        """`...` as a value leaves that field out."""
        plain = {"instanceId": self.id, "hostName": "h1", "app": self.app, "ipAddr": "10.0.0.1"}
        instance = {**plain, "dataCenterInfo": PLAIN, **fields}
        return {name: value for name, value in instance.items() if value is not ...}

    async def register(self, **fields: Any) -> tuple[int, str]:
        answer = await self.ask("POST", f"apps/{self.app}", json={"instance": self.instance(**fields)})
        return answer.status, answer.body.decode()

    async def registered(self) -> dict[str, Any]:
        instance: dict[str, Any] = (await self.read(self.path))["instance"]
        return instance

    async def statuses(self) -> tuple[str, str]:
        instance = await self.registered()
        return instance["status"], instance["overriddenStatus"]

    async def in_list(self, path: str, **headers: Any) -> list[dict[str, Any]]:
        """This application's instances in a list of applications."""
        applications = (await self.read(path, **headers))["applications"]["application"]
        return [it for app in applications if app["name"] == self.app for it in app["instance"]]
