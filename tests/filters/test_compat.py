"""Which paths Prana answers itself, and how."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from admin.metrics import ServiceMetrics
from admin.views import AppView
from prana.compat import SHADOWING
from prana.errors import BadRequest, RegistryNotRead
from prana.filters.compat import Compat
from prana.request import Request, Response
from registry.instance import Instance, Status
from tests.wire.conftest import pairs

from .conftest import request

INSTANCES = {
    "orders": [
        Instance("ORDERS", "o1", "h1", "10.0.0.1", 8080, vips=("orders",)),
        Instance("ORDERS", "o2", "h2", "10.0.0.2", 8080, vips=("orders-v2",)),
    ]
}


class Beside:
    """What the endpoints tell about."""

    def __init__(self) -> None:
        self.app_views: Sequence[AppView] = [AppView("a", Status.UP.value, True, "", "", None, "h", 1)]
        self.draining = False
        self.read = True

    def up_instances(self, name: str) -> Sequence[Instance]:
        if not self.read:
            raise RegistryNotRead("not yet", retry_after_s=1.0)
        return INSTANCES.get(name, [])


@pytest.fixture
def beside() -> Beside:
    return Beside()


@pytest.fixture
def compat(beside: Beside, metrics: ServiceMetrics) -> Compat:
    return Compat(
        metrics,
        apps=lambda: beside.app_views,
        draining=lambda: beside.draining,
        up_instances=beside.up_instances,
        property_of={"a.b": "1"}.get,
    )


def asked(compat: Compat, target: bytes, method: bytes = b"GET") -> Response:
    answer = compat(request(method, target))
    assert isinstance(answer, Response)
    return answer


def document(compat: Compat, target: bytes) -> Any:
    answer = asked(compat, target)
    headers = dict(pairs(answer.headers))
    assert (answer.status, headers[b"Content-Type"], headers[b"Proxy-Status"]) == (200, b"application/json", b"prana")
    assert isinstance(answer.body, bytes)
    return json.loads(answer.body)


def test_every_first_segment_of_its_paths_leads_to_it(compat: Compat) -> None:
    assert set(compat.endpoints()) == set(SHADOWING)
    for paths in SHADOWING.values():
        for path in paths.split(" and "):
            target = path.encode() + b"?vip=a&appName=a"
            assert compat(request(target=target)) is not None, path


@pytest.mark.parametrize(
    "target",
    [
        b"/ping/x",
        b"/ping//",
        b"/Ping",
        b"/status/x?a",
        b"/healthcheck/deep",
        b"/dynamicproperties/x",
        b"/proxy/orders/a",
        b"/proxy//",
        b"/eureka",
        b"/eureka/",
        b"/eureka/apps",
        b"/eureka/hosts/x",
        b"/hosts/orders/x",
        b"/hosts//",
        b"/hosts//orders",
    ],
)
def test_what_neither_original_serves_is_left_to_a_service(
    compat: Compat, metrics: ServiceMetrics, target: bytes
) -> None:
    untouched = request(target=target)
    assert compat(untouched) is None
    assert (untouched.metrics, metrics.in_flight) == (None, 0)


@pytest.mark.parametrize("target", [b"/ping", b"/ping/", b"/ping?x=1", b"/ping/?x"])
def test_a_slash_or_a_query_behind_a_path_changes_nothing(compat: Compat, target: bytes) -> None:
    answer = asked(compat, target)
    assert (answer.status, answer.body) == (200, b"pong")
    assert (b"Cache-Control", b"must-revalidate,no-cache,no-store") in pairs(answer.headers)


def test_health_is_that_of_the_app(compat: Compat, beside: Beside) -> None:
    well = asked(compat, b"/healthcheck")
    assert (well.status, well.body) == (200, b"<health>ok</health>")
    assert (b"Content-Type", b"application/xml") in pairs(well.headers)
    beside.app_views = [AppView("a", Status.DOWN.value, False, "", "", None, "h", 1)]
    ill = asked(compat, b"/healthcheck")
    assert (ill.status, json.loads(bytes(ill.body))) == (  # type: ignore[arg-type] # bytes
        503,
        {"reason": "Service Unavailable", "message": "<health>fail</health>"},
    )
    assert (b"Content-Type", b"application/json") in pairs(ill.headers)


def test_the_status_says_when_the_sidecar_drains(compat: Compat, beside: Beside) -> None:
    assert document(compat, b"/status") == {"status": "UP"}
    beside.draining = True
    assert document(compat, b"/status/") == {"status": "OUT_OF_SERVICE"}


def test_properties_are_looked_up_by_name(compat: Compat) -> None:
    assert document(compat, b"/dynamicproperties?id=a.b&id=x") == {"a.b": "1", "x": None}
    assert document(compat, b"/dynamicproperties") == {}


def test_hosts_are_listed_in_both_forms(compat: Compat) -> None:
    assert document(compat, b"/eureka/hosts?appName=Orders") == ["h1", "h2"]
    assert document(compat, b"/eureka/hosts?appName=ORDERS&vip=v2") == ["h2"]
    one, two = document(compat, b"/hosts/Orders")
    assert (one["uri"], two["instanceId"]) == ("http://h1:8080", "o2")
    assert document(compat, b"/hosts/orders/") == document(compat, b"/hosts?appName=ORDERS") == [one, two]
    assert document(compat, b"/hosts/%6Frders") == [one, two]


def test_of_a_name_nobody_has_the_list_is_empty_as_with_spring(compat: Compat) -> None:
    for target in (b"/hosts/nobody", b"/hosts?appName=nobody", b"/eureka/hosts?appName=a%0D%0A"):
        assert document(compat, target) == []


def test_a_registry_that_was_not_read_has_no_empty_lists(compat: Compat, beside: Beside) -> None:
    beside.read = False
    with pytest.raises(RegistryNotRead):
        compat(request(target=b"/hosts/orders"))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (b"/eureka/hosts", "appName has to be specified"),
        (b"/eureka/hosts?vip=a", "appName has to be specified"),
        (b"/hosts", "appName has to be specified"),
        (b"/hosts/?appName=a&appName=b", "appName is given more than once"),
        (b"/hosts/%ff", "a name or value is not UTF-8"),
        (b"/dynamicproperties?id=%ff", "a name or value is not UTF-8"),
    ],
)
def test_a_bad_parameter_is_told_with_its_status(
    compat: Compat, metrics: ServiceMetrics, target: bytes, message: str
) -> None:
    answer = asked(compat, target)
    assert isinstance(answer.body, bytes)
    assert (answer.status, json.loads(answer.body)) == (400, {"reason": "Bad Request", "message": message})
    assert (b"Proxy-Status", b"prana; error=http_request_error") in pairs(answer.headers)
    assert isinstance(answer.error, BadRequest)
    assert metrics.in_flight == 1


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"])
def test_what_is_read_cannot_be_written(compat: Compat, method: bytes) -> None:
    answer = asked(compat, b"/status", method)
    assert answer.status == 405
    assert (b"Allow", b"GET, HEAD") in pairs(answer.headers)
    assert asked(compat, b"/status", b"HEAD").status == 200


def test_what_is_to_be_proxied_is_addressed_and_counted_by_its_service(compat: Compat, metrics: ServiceMetrics) -> None:
    sent = Request(b"POST", b"/proxy/?vip=Orders&path=%2Fa%3Fb%3Dc", [], 0.0)
    assert compat(sent) == (b"Orders", b"/a?b=c")
    assert (sent.metrics, metrics.in_flight) == (None, 0)
    with pytest.raises(BadRequest):
        compat(request(target=b"/proxy"))


def test_answers_count_in_a_series_of_their_own(compat: Compat, metrics: ServiceMetrics) -> None:
    sent = request(target=b"/ping")
    compat(sent)
    assert (sent.metrics, sent.executed, metrics.in_flight) == (metrics, False, 1)
