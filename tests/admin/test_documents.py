from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest

from admin.documents import info_document, metrics_document, service_document, services_document
from admin.metrics import Event, ProxyMetrics, RequestOutcome
from admin.views import AppView, BreakerView, EurekaView, NodeView, ServiceView, Sources
from loadbalancer.ejection import EJECTING, Reason
from loadbalancer.outcome import Outcome

NOW_EPOCH_S = 1_800_000_000.1234


def as_json(document: dict[str, object]) -> dict[str, Any]:
    return cast(dict[str, Any], msgspec.json.decode(msgspec.json.encode(document)))


def test_metrics_have_four_parts_with_one_entry_per_service(
    sources_of: Callable[..., Sources], metrics: ProxyMetrics
) -> None:
    document = as_json(metrics_document(sources_of(), metrics, NOW_EPOCH_S))
    assert list(document) == ["hystrix", "ribbon", "eureka", "proxy"]
    assert list(document["hystrix"]) == list(document["ribbon"]) == ["users"]
    assert document["hystrix"]["users"]["type"] == "HystrixCommand"
    assert document["hystrix"]["users"]["currentTime"] == 1_800_000_000_123


def test_proxy_counts_requests_and_gives_latencies_in_milliseconds(
    sources_of: Callable[..., Sources], metrics: ProxyMetrics
) -> None:
    users = metrics.service("users")
    for outcome in (RequestOutcome.SUCCESS, RequestOutcome.FAILURE):
        users.request_started()
        users.request_finished(b"GET", 200, outcome, 0.25)
    own = users.command("users")
    own.answered(0.25)
    for _ in metrics.rotate():
        pass
    metrics.connection_opened()
    users.tunnel_opened()
    users.tunnel_opened()
    users.tunnel_closed(0, 0)
    proxy = as_json(metrics_document(sources_of(), metrics, NOW_EPOCH_S))["proxy"]
    assert (proxy["requests_total"], proxy["requests_failed"]) == (2, 1)
    assert proxy["latency_mean"] == 250
    assert proxy["latency_p50"] == proxy["latency_p90"] == proxy["latency_p99"] == pytest.approx(250, rel=0.01)
    assert (proxy["connections"], proxy["connections_total"], proxy["in_flight"]) == (3, 1, 2)
    assert (proxy["tunnels"], proxy["tunnels_total"]) == (1, 2)
    assert proxy["draining"] is False


def test_eureka_gives_epoch_seconds_of_the_last_heartbeat_and_no_addresses(
    sources_of: Callable[..., Sources], metrics: ProxyMetrics, eureka: EurekaView
) -> None:
    seen = as_json(metrics_document(sources_of(), metrics, NOW_EPOCH_S))["eureka"]
    assert (seen["registered"], seen["last_heartbeat"]) == (True, 1_800_000_000.5)
    assert (seen["heartbeats_total"], seen["heartbeat_failures_total"], seen["fetch_failures_total"]) == (7, 2, 3)
    assert "eureka-1" not in str(seen)
    never = replace(eureka, apps_registered=0, last_heartbeat_epoch_s=None)
    seen = as_json(metrics_document(sources_of(eureka=never), metrics, NOW_EPOCH_S))["eureka"]
    assert (seen["registered"], seen["last_heartbeat"]) == (False, None)


def test_ribbon_shows_rule_nodes_and_retries(
    sources_of: Callable[..., Sources], metrics: ProxyMetrics, service: ServiceView
) -> None:
    for outcome in (Outcome.SUCCESS, Outcome.SUCCESS, Outcome.FAILURE):
        service.metrics.attempt(outcome)
    service.metrics.retried()
    for reason in (Reason.REFUSED, Reason.PROBE_FAILED, Reason.PROBE_FAILED):
        service.metrics.node_ejected(reason, shadow=False)
    service.metrics.node_ejected(Reason.LATENCY, shadow=True)
    seen = as_json(metrics_document(sources_of(), metrics, NOW_EPOCH_S))["ribbon"]["users"]
    assert seen == {
        "rule": "p2c-ewma",
        "source": "eureka",
        "filtered_out": 5,
        "nodes": [
            {
                "id": "host-1:users:9001",
                "host": "10.0.0.1",
                "port": 9001,
                "secure": False,
                "zone": "eu-1",
                "near": True,
                "status": "UP",
                "pending": 2,
                "load_ms": 12.5,
                "ejected": False,
                "ejected_for_s": 0.0,
                "circuit_tripped": False,
                "ejection_reason": "",
                "shadow_ejection_reason": "latency",
                "weight": 1.0,
                "consecutive_failures": 1,
                "successes_total": 100,
                "failures_total": 4,
            }
        ],
        "attempts": {"success": 2, "failure": 1, "ignored": 0},
        "retries_total": 1,
        "retries_refused_total": 0,
        "hedges_total": 0,
        "hedges_won_total": 0,
        "hedges_refused_total": 0,
        "deadlines_refused_total": 0,
        "retry_budget_balance": 99.5,
        "panic": False,
        "ejections_total": 3,
        "ejections": dict.fromkeys(EJECTING, 0) | {"refused": 1, "probe_failed": 2},
        "shadow_ejections": dict.fromkeys(EJECTING, 0) | {"latency": 1},
    }


def test_the_list_of_services_counts_ejected_nodes_and_names_the_breaker(
    service: ServiceView, breaker: BreakerView, node: NodeView
) -> None:
    shaky = replace(
        service,
        nodes=(node, replace(node, ejected=True)),
        panic=True,
        commands=[replace(service.own, breaker=replace(breaker, state="open"))],
    )
    bare = replace(service, name="bare", commands=[replace(service.own, breaker=replace(breaker, enabled=False))])
    forced = replace(service, name="cut", commands=[replace(service.own, breaker=replace(breaker, force="open"))])
    listed = as_json(services_document([shaky, bare, forced]))["services"]
    shown = [(each["name"], each["breaker"]) for each in listed]
    assert shown == [("users", "open"), ("bare", "disabled"), ("cut", "forced-open")]
    assert (listed[0]["instances"], listed[0]["ejected"], listed[0]["panic"]) == (2, 1, True)
    assert [each["routes"] for each in listed] == [[], [], []]


def test_the_list_of_services_names_the_breaker_of_each_route(service: ServiceView, breaker: BreakerView) -> None:
    own = replace(service.own, in_flight=2)
    slow = replace(service.own, key="users:slow", in_flight=3, breaker=replace(breaker, state="half-open"))
    (listed,) = as_json(services_document([replace(service, commands=[own, slow])]))["services"]
    assert (listed["breaker"], listed["in_flight"]) == ("closed", 5)
    assert listed["routes"] == [{"key": "users:slow", "breaker": "half-open", "in_flight": 3}]


def test_one_service_shows_breaker_bulkhead_and_what_happened(service: ServiceView, breaker: BreakerView) -> None:
    service.own.metrics.event(Event.SEMAPHORE_REJECTED)
    service.own.metrics.fallback("static", "timeout")
    service.own.metrics.fallback_failed("last_good")
    view = replace(
        service,
        commands=[
            replace(
                service.own,
                breaker=replace(breaker, state="open", reason="it failed", allows_request=False, retry_after_s=4.98765),
            )
        ],
    )
    document = as_json(service_document(view))
    assert (document["name"], document["source"], document["known"]) == ("users", "eureka", True)
    assert document["breaker"] == {
        "enabled": True,
        "state": "open",
        "reason": "it failed",
        "mode": "eager",
        "force": "none",
        "allows_request": False,
        "error_percentage": 25,
        "error_count": 10,
        "request_count": 40,
        "slow_call_percentage": 5,
        "retry_after_s": 4.988,
        "request_volume": 20,
        "error_threshold_percentage": 50,
        "slow_call_threshold_percentage": 80,
        "slow_call_s": 1.0,
        "half_open_permits": 1,
        "ramp_s": 0.0,
        "sleep_window_s": 5.0,
        "window_s": 10.0,
    }
    assert document["bulkhead"] == {
        "in_flight": 3,
        "max_concurrent": 512,
        "adaptive": False,
        "max_in_flight_seen": 17,
        "rejected_total": 1,
    }
    assert document["fallback_bulkhead"] == {"in_flight": 2, "max_concurrent": 64, "rejected_total": 0}
    assert document["requests"]["fallbacks"] == {"static": 1}
    assert document["requests"]["fallback_causes"] == {"timeout": 1}
    assert document["requests"]["fallback_failures"] == {"last_good": 1}
    assert document["requests"]["events"]["fallback_success"] == 1
    assert document["requests"]["latency_ms"]["99.5"] == 0
    assert [document["requests"][name] for name in ("tunnels", "tunnels_total")] == [0, 0]
    assert document["connections"] == {"open": 5, "in_use": 2}
    assert document["last_good"] == {"answers": 3, "bytes": 4096}
    assert as_json(service_document(replace(service, last_good=None)))["last_good"] is None
    assert document["balancer"]["nodes"][0]["id"] == "host-1:users:9001"


def test_info_names_version_start_and_the_instance_as_registered(sources_of: Callable[..., Sources]) -> None:
    document = as_json(info_document(sources_of().info()))
    assert (document["name"], document["version"]) == ("prana", "0.1.0")
    assert document["started"] == "2027-01-15T08:00:00+00:00"
    assert document["instance"] == {"instanceId": "orders"}
    assert document["instances"] == [{"instanceId": "orders"}]


def test_info_lists_the_instances_of_several_apps_and_makes_none_the_only_one(
    sources_of: Callable[..., Sources], app: AppView
) -> None:
    several = as_json(info_document(sources_of(apps=[app, replace(app, name="billing")]).info()))
    assert several["instances"] == [{"instanceId": "orders"}, {"instanceId": "billing"}]
    none = as_json(info_document(sources_of(apps=[]).info()))
    assert several["instance"] is none["instance"] is None


@pytest.mark.parametrize(("apps", "registered", "all_are"), [(1, 1, True), (2, 2, True), (2, 1, False), (0, 0, False)])
def test_registered_means_every_app(
    sources_of: Callable[..., Sources],
    metrics: ProxyMetrics,
    eureka: EurekaView,
    apps: int,
    registered: int,
    all_are: bool,
) -> None:
    view = replace(eureka, apps=apps, apps_registered=registered)
    seen = as_json(metrics_document(sources_of(eureka=view), metrics, NOW_EPOCH_S))["eureka"]
    assert (seen["registered"], seen["apps"], seen["apps_registered"]) == (all_are, apps, registered)
