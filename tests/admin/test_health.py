from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from admin.health import Health, health, readiness
from admin.views import AppView, EurekaView, ProxyView


def component(seen: Health, name: str) -> Mapping[str, Any]:
    return cast(Mapping[str, Mapping[str, Any]], seen.document["components"])[name]


@pytest.mark.parametrize(
    ("app_status", "healthy", "draining", "status", "http_status"),
    [
        ("UP", True, False, "UP", 200),
        ("UP", None, False, "UP", 200),
        ("UP", False, False, "DOWN", 503),
        ("DOWN", False, False, "DOWN", 503),
        ("DOWN", True, False, "DOWN", 503),
        ("STARTING", None, False, "DOWN", 503),
        ("STARTING", True, False, "DOWN", 503),
        ("OUT_OF_SERVICE", True, False, "OUT_OF_SERVICE", 503),
        ("UNKNOWN", None, False, "UP", 200),
        ("SURPRISE", None, False, "UP", 200),
        ("UP", True, True, "OUT_OF_SERVICE", 503),
        ("UNKNOWN", None, True, "OUT_OF_SERVICE", 503),
        ("OUT_OF_SERVICE", True, True, "OUT_OF_SERVICE", 503),
        ("DOWN", False, True, "DOWN", 503),
        (None, None, False, "UP", 200),
        (None, None, True, "OUT_OF_SERVICE", 503),
    ],
)
@pytest.mark.parametrize("eureka_problem", ["", "connection refused"])
def test_overall_status_is_the_apps_and_the_drains_whatever_eureka_does(
    app: AppView,
    eureka: EurekaView,
    proxy: ProxyView,
    app_status: str | None,
    healthy: bool | None,
    draining: bool,
    status: str,
    http_status: int,
    eureka_problem: str,
) -> None:
    views = [] if app_status is None else [replace(app, status=app_status, healthy=healthy)]
    seen = health(views, replace(eureka, problem=eureka_problem), replace(proxy, draining=draining), with_details=True)
    assert (seen.document["status"], seen.http_status) == (status, http_status)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, "UP"),
        ({"enabled": False}, "UNKNOWN"),
        ({"problem": "connection refused"}, "DOWN"),
        ({"problem": "connection refused", "apps_registered": 0}, "DOWN"),
        ({"apps_registered": 0}, "UNKNOWN"),
        ({"apps_registered": 0, "registering": False}, "UP"),
        ({"read": False}, "UNKNOWN"),
        ({"read": False, "fetching": False}, "UP"),
    ],
)
def test_eureka_shows_in_its_own_component(
    app: AppView, eureka: EurekaView, proxy: ProxyView, change: dict[str, Any], status: str
) -> None:
    seen = health([app], replace(eureka, **change), proxy, with_details=True)
    assert component(seen, "eureka")["status"] == status
    assert seen.http_status == 200


def test_details_say_why_and_where(app: AppView, eureka: EurekaView, proxy: ProxyView) -> None:
    sick = replace(
        app, status="DOWN", healthy=False, reason="HTTP 500", last_failure="HTTP 500", last_failure_age_s=2.5
    )
    seen = health([sick], replace(eureka, problem="connection refused"), proxy, with_details=True)
    assert component(seen, "app")["details"] == {
        "name": "orders",
        "eureka_status": "DOWN",
        "address": "127.0.0.1:5000",
        "reason": "HTTP 500",
        "last_failure": "HTTP 500",
        "last_failure_age_s": 2.5,
    }
    assert component(seen, "eureka")["details"]["problem"] == "connection refused"
    assert component(seen, "eureka")["details"]["servers"] == ["http://***@eureka-1:8761/eureka/"]
    assert component(seen, "proxy")["details"]["listening"] == ["127.0.0.1:8078"]


@pytest.mark.parametrize(
    ("app_status", "healthy", "reason"),
    [("STARTING", None, "not yet healthy"), ("DOWN", False, "the health check fails"), ("UP", True, "")],
)
def test_an_app_without_a_reason_gets_a_plain_one(
    app: AppView, eureka: EurekaView, proxy: ProxyView, app_status: str, healthy: bool | None, reason: str
) -> None:
    seen = health([replace(app, status=app_status, healthy=healthy)], eureka, proxy, with_details=True)
    assert component(seen, "app")["details"]["reason"] == reason


def test_without_an_app_its_component_says_so(eureka: EurekaView, proxy: ProxyView) -> None:
    seen = health([], eureka, proxy, with_details=True)
    assert component(seen, "app") == {"status": "UNKNOWN", "details": {"reason": "no app is configured"}}


@pytest.mark.parametrize(
    ("statuses", "status", "http_status"),
    [
        (("UP", "UP"), "UP", 200),
        (("UP", "DOWN"), "DOWN", 503),
        (("STARTING", "UP"), "DOWN", 503),
        (("UP", "UNKNOWN"), "UP", 200),
        (("OUT_OF_SERVICE", "UP", "DOWN"), "DOWN", 503),
    ],
)
def test_of_several_apps_the_worst_decides(
    app: AppView, eureka: EurekaView, proxy: ProxyView, statuses: tuple[str, ...], status: str, http_status: int
) -> None:
    apps = [replace(app, port=5000 + index, status=each) for index, each in enumerate(statuses)]
    seen = health(apps, eureka, proxy, with_details=True)
    assert (seen.document["status"], seen.http_status) == (status, http_status)
    assert component(seen, "app")["status"] == status


def test_each_of_several_apps_is_a_component_by_name_and_port(
    app: AppView, eureka: EurekaView, proxy: ProxyView
) -> None:
    apps = [app, replace(app, port=5001, status="DOWN", healthy=False, reason="exit code 1")]
    with_details = component(health(apps, eureka, proxy, with_details=True), "app")
    assert set(with_details) == {"status", "components"}
    assert with_details["components"]["orders:5000"]["status"] == "UP"
    assert with_details["components"]["orders:5001"]["details"]["reason"] == "exit code 1"
    assert component(health(apps, eureka, proxy, with_details=False), "app") == {
        "status": "DOWN",
        "components": {"orders:5000": {"status": "UP"}, "orders:5001": {"status": "DOWN"}},
    }


@pytest.mark.parametrize(
    ("change", "status"),
    [({}, "UP"), ({"listening": ()}, "DOWN"), ({"draining": True}, "OUT_OF_SERVICE")],
)
def test_the_proxy_shows_in_its_own_component(
    app: AppView, eureka: EurekaView, proxy: ProxyView, change: dict[str, Any], status: str
) -> None:
    assert component(health([app], eureka, replace(proxy, **change), with_details=True), "proxy")["status"] == status


def test_without_details_a_component_is_its_status_only(app: AppView, eureka: EurekaView, proxy: ProxyView) -> None:
    seen = health([app], eureka, proxy, with_details=False)
    assert seen.document["components"] == {
        "app": {"status": "UP"},
        "eureka": {"status": "UP"},
        "proxy": {"status": "UP"},
    }


@pytest.mark.parametrize(
    ("eureka_change", "proxy_change", "missing"),
    [
        ({}, {}, set()),
        ({"apps_registered": 0}, {}, {"registered"}),
        ({"apps": 3, "apps_registered": 2}, {}, {"registered"}),
        ({"apps": 3, "apps_registered": 3}, {}, set()),
        ({"apps_registered": 0, "registering": False}, {}, set()),
        ({"read": False}, {}, {"registry-read"}),
        ({"read": False, "fetching": False}, {}, set()),
        ({}, {"listening": ()}, {"listening"}),
        ({}, {"draining": True}, {"not-draining"}),
        ({}, {"warming_up": True}, {"warmed-up"}),
        ({"problem": "connection refused"}, {}, set()),
    ],
)
def test_ready_means_registered_if_asked_registry_read_if_asked_warmed_up_listening_and_not_draining(
    eureka: EurekaView,
    proxy: ProxyView,
    eureka_change: dict[str, Any],
    proxy_change: dict[str, Any],
    missing: set[str],
) -> None:
    conditions = readiness(replace(eureka, **eureka_change), replace(proxy, **proxy_change))
    assert {name for name, holds in conditions.items() if not holds} == missing
    assert len(conditions) == 5
