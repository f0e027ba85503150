"""What operators change, over real sockets."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import get_args

import pytest
from aiohttp import ClientResponse, ClientSession
from structlog.testing import capture_logs

from admin.metrics import ProxyMetrics
from admin.server import AdminServer, serve
from admin.views import BreakerView, CommandView, Force, ServiceView

from .conftest import FixedSources
from .ports import on


class Operator:
    """Somebody at an admin port."""

    def __init__(self, session: ClientSession, admin: AdminServer) -> None:
        self._session = session
        self._url = f"http://127.0.0.1:{admin.port}"
        self.host = f"127.0.0.1:{admin.port}"

    async def __call__(self, path: str, method: str = "POST", **headers: str) -> ClientResponse:
        response = await self._session.request(method, self._url + path, headers=headers)
        await response.read()
        return response


@pytest.fixture
def sources(sources_of: Callable[..., FixedSources]) -> FixedSources:
    return sources_of()


@pytest.fixture
async def operate(sources: FixedSources, metrics: ProxyMetrics) -> AsyncIterator[Operator]:
    admin = await serve(sources, sources, metrics, "secret", on())
    async with ClientSession() as session:
        yield Operator(session, admin)
    await admin.close()


@pytest.mark.parametrize(("operation", "force"), [("force-open", "open"), ("force-closed", "closed"), ("auto", "none")])
async def test_a_circuit_is_forced_and_told(
    operate: Operator, sources: FixedSources, operation: str, force: str
) -> None:
    await operate("/services/users/breaker/force-open")
    with capture_logs() as logs:
        response = await operate(f"/services/USERS/breaker/{operation}")
    assert response.status == 200
    answer = await response.json()
    assert (answer["key"], answer["breaker"]["force"], answer["breaker"]["state"]) == ("users", force, "closed")
    assert next(sources.commands()).breaker.force == force
    assert logs == [
        {
            "event": "breaker operated",
            "log_level": "warning",
            "service": "users",
            "operation": operation,
            "caller": "127.0.0.1",
        }
    ]


async def test_a_route_has_a_circuit_of_its_own(
    operate: Operator, sources: FixedSources, service: ServiceView, command: CommandView
) -> None:
    sources.service_views = [replace(service, commands=[command, replace(command, key="users:slow")])]
    assert (await (await operate("/services/users:slow/breaker/force-open")).json())["key"] == "users:slow"
    assert [command.breaker.force for command in sources.commands()] == ["none", "open"]


async def test_who_is_unknown_hears_who_is_known(operate: Operator) -> None:
    response = await operate("/services/nobody/breaker/force-open")
    assert (response.status, response.content_type) == (404, "application/problem+json")
    assert (await response.json())["commands"] == ["users"]


async def test_what_is_not_enabled_is_not_forced(
    operate: Operator, sources: FixedSources, service: ServiceView, command: CommandView, breaker: BreakerView
) -> None:
    for configured in get_args(Force):
        disabled = replace(breaker, enabled=False, force=configured)
        sources.service_views = [replace(service, commands=[replace(command, breaker=disabled)])]
        response = await operate("/services/users/breaker/force-open")
        assert (response.status, response.content_type) == (409, "application/problem+json")
    assert (await operate("/services/users/breaker/auto")).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_changes_are_post_only(operate: Operator, sources: FixedSources, method: str) -> None:
    response = await operate("/services/users/breaker/force-open", method)
    assert (response.status, response.headers["Allow"]) == (405, "POST")
    assert next(sources.commands()).breaker.force == "none"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Authorization": "Bearer secret", "Origin": "http://evil.example"},
    ],
)
async def test_what_a_foreign_page_makes_a_browser_send_changes_nothing(
    operate: Operator, sources: FixedSources, headers: dict[str, str]
) -> None:
    response = await operate("/services/users/breaker/force-open", **headers)
    assert (response.status, response.content_type) == (403, "application/problem+json")
    assert next(sources.commands()).breaker.force == "none"


async def test_our_own_page_may(operate: Operator) -> None:
    origin = f"http://{operate.host}"
    response = await operate(
        "/services/users/breaker/force-open", **{"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    )
    assert response.status == 200


async def test_from_beyond_loopback_a_change_needs_the_token(
    operate: Operator, sources: FixedSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiohttp.web.Request.remote", "10.0.0.7")
    assert (await operate("/services/users/breaker/force-open")).status == 401
    assert next(sources.commands()).breaker.force == "none"
    assert (await operate("/services/users/breaker/force-open", Authorization="Bearer secret")).status == 200
