"""Asking a running sidecar through its admin port: what `status`, `hosts` and `healthcheck` say."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from prana.config import Settings
from prana.config.masking import mask_credentials
from prana.http_get import Answer, NoAnswer, http_get

_TIMEOUT_S = 5.0
_THIS_MACHINE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - what to call when it listens on all addresses


_ROW_KEYS = ("name", "source", "breaker", "instances", "ejected", "in_flight", "requests_total", "requests_failed")
_NODE_KEYS = ("id", "status", "pending", "ejected", "consecutive_failures", "successes_total", "failures_total")

_Row = msgspec.defstruct("_Row", _ROW_KEYS)
_Node = msgspec.defstruct("_Node", ("host", "port", *_NODE_KEYS))


class _Route(msgspec.Struct):
    key: str
    breaker: str
    in_flight: int


class _Routed(_Row):  # type: ignore[misc, valid-type] # made of its keys
    routes: tuple[_Route, ...] = ()


class _Services(msgspec.Struct):
    services: list[_Routed]


class _Balancer(msgspec.Struct):
    nodes: list[_Node]  # type: ignore[valid-type] # made of its keys


class _Service(msgspec.Struct):
    name: str
    balancer: _Balancer


class AskError(Exception):
    """No usable answer; the text is one line for the user."""


def admin_url(settings: Settings) -> str:
    """Where the admin port of a sidecar with this configuration is reached from this machine."""
    listen = settings.admin.listen
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    return f"http://{_THIS_MACHINE.get(listen.host, host)}:{listen.port}"


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A running sidecar. `url` is its admin port; `token` may be empty on loopback."""

    url: str
    token: str = ""

    def ready(self) -> tuple[bool, list[str]]:
        """Whether it is ready, and one line for every condition."""
        answer = self._get("/readyz?verbose")
        if answer.status not in (200, 503):
            raise AskError(self._unexpected("/readyz", answer))
        return answer.status == 200, answer.body.decode(errors="replace").splitlines()

    def services(self) -> list[dict[str, Any]]:
        return self._shaped(_Services, "/services")["services"]  # type: ignore[no-any-return] # as _Services says

    def service(self, name: str) -> dict[str, Any]:
        """Everything about one service; AskError names the known ones when it is not among them."""
        return self._shaped(_Service, f"/services/{quote(name, safe='')}")

    def _shaped(self, shape: type[msgspec.Struct], path: str) -> dict[str, Any]:
        """The whole document, when it has what is read here: anything may answer on a port."""
        document = self._document(path)
        try:
            msgspec.convert(document, shape)
        except msgspec.ValidationError:
            raise AskError(f"{mask_credentials(self.url)}{path} is not that of a sidecar") from None
        return document

    def _document(self, path: str) -> dict[str, Any]:
        answer = self._get(path)
        try:
            document: dict[str, Any] = msgspec.json.decode(answer.body, type=dict[str, Any])
        except msgspec.DecodeError:
            raise AskError(self._unexpected(path, answer)) from None
        if answer.status == 404 and "services" in document:
            known = ", ".join(document["services"]) or "none"
            raise AskError(f"no such service; known are: {known}")
        if answer.status != 200:
            raise AskError(self._unexpected(path, answer))
        return document

    def _get(self, path: str) -> Answer:
        headers = {"Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            return http_get(self.url.rstrip("/") + path, headers, _TIMEOUT_S)
        except NoAnswer as error:
            place = mask_credentials(self.url)
            raise AskError(
                f"no sidecar answers at {place} ({error}); start it, or name its admin port with --admin"
            ) from None

    def _unexpected(self, path: str, answer: Answer) -> str:
        hint = "; set admin.token" if answer.status in (401, 403) else ""
        return f"{mask_credentials(self.url)}{path} answered {answer.status}{hint}"


def status_text(url: str, ready: bool, conditions: list[str], services: list[dict[str, Any]]) -> str:
    """What `prana status` prints for people."""
    lines = [f"sidecar at {mask_credentials(url)}: {'ready' if ready else 'not ready'}", *conditions]
    if services:
        lines += ["", *_columns([_ROW_KEYS, *(row for service in services for row in _rows(service))])]
    return "\n".join(lines)


def _rows(service: dict[str, Any]) -> list[list[str]]:
    """A service, and below it its routes, which have their own breakers."""
    rows = [service, *({"name": route["key"], "source": "route", **route} for route in service.get("routes", ()))]
    return [[str(row.get(key, "")) for key in _ROW_KEYS] for row in rows]


def hosts_text(service: dict[str, Any]) -> str:
    """What `prana hosts` prints for people: one line for every instance."""
    rows = [
        [f"{node['host']}:{node['port']}", *(str(node[key]) for key in _NODE_KEYS)]
        for node in service["balancer"]["nodes"]
    ]
    return "\n".join(_columns([("address", *_NODE_KEYS), *rows])) if rows else f"{service['name']} has no instances"


def _columns(rows: list[Any]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
