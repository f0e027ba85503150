"""The JSON documents of the admin port, built from views."""

from collections.abc import Sequence
from datetime import UTC, datetime

from admin import hystrix
from admin.metrics import CommandMetrics, Event, ProxyMetrics, ServiceMetrics
from admin.views import (
    BreakerView,
    CommandView,
    EurekaView,
    InfoView,
    LastGoodView,
    NodeView,
    ProxyView,
    ServiceView,
    Sources,
)


def metrics_document(sources: Sources, metrics: ProxyMetrics, now_epoch_s: float) -> dict[str, object]:
    """All metrics. The shape is a contract: names, types and units stay, additions are allowed."""
    services = sources.services()
    now_epoch_ms = int(now_epoch_s * 1000)
    return {
        "hystrix": {
            command.key: hystrix.command_fields(command, now_epoch_ms)
            for service in services
            for command in service.commands
        },
        "ribbon": {service.name: _balancing(service) for service in services},
        "eureka": _eureka(sources.eureka()),
        "proxy": _proxy(sources.proxy(), metrics),
    }


def breaker_document(command: CommandView) -> dict[str, object]:
    """What an operator is told who has forced a circuit."""
    return {"key": command.key, "breaker": _breaker(command.breaker)}


def services_document(services: Sequence[ServiceView]) -> dict[str, object]:
    """One line per service; /services/{name} has the rest."""
    return {"services": [_summary(service) for service in services]}


def service_document(service: ServiceView) -> dict[str, object]:
    """Everything about one service. Times are in the unit of the name's suffix."""
    metrics = service.metrics
    return {
        "name": service.name,
        "source": service.source,
        "known": service.known,
        **_command(service.own),
        "balancer": _balancing(service),
        "connections": {"open": service.pool.open, "in_use": service.pool.in_use},
        "last_good": _last_good(service.last_good),
        "requests": {
            "total": metrics.requests_total,
            "failed": metrics.requests_failed,
            "in_flight": metrics.in_flight,
            "events": _events(metrics.events),
            **_fallbacks(metrics),
            "tunnels": metrics.tunnels,
            "tunnels_total": metrics.tunnels_total,
            "tunnel_received_bytes_total": metrics.tunnel_received_bytes,
            "tunnel_sent_bytes_total": metrics.tunnel_sent_bytes,
            "latency_ms": _percentiles_ms(service.own),
        },
        "routes": [
            {
                "key": route.key,
                **_command(route),
                "events": _events(route.metrics.events),
                **_fallbacks(route.metrics),
                "latency_ms": _percentiles_ms(route),
            }
            for route in service.commands[1:]
        ],
    }


def _last_good(kept: LastGoodView | None) -> dict[str, object] | None:
    return {"answers": kept.answers, "bytes": kept.size_bytes} if kept is not None else None


def _command(command: CommandView) -> dict[str, object]:
    return {
        "timeout_s": command.timeout_s,
        "breaker": _breaker(command.breaker),
        "bulkhead": {
            "in_flight": command.in_flight,
            "max_concurrent": command.max_concurrent,
            "adaptive": command.adaptive,
            "max_in_flight_seen": command.max_in_flight_seen,
            "rejected_total": command.metrics.events[Event.SEMAPHORE_REJECTED],
        },
        "fallback_bulkhead": {
            "in_flight": command.fallbacks_in_flight,
            "max_concurrent": command.fallback_max_concurrent,
            "rejected_total": command.metrics.events[Event.FALLBACK_REJECTION],
        },
    }


def _fallbacks(metrics: ServiceMetrics | CommandMetrics) -> dict[str, object]:
    return {
        "fallbacks": dict(metrics.fallbacks_by_kind),
        "fallback_causes": dict(metrics.fallbacks_by_cause),
        "fallback_failures": dict(metrics.fallback_failures_by_kind),
    }


def _events(events: list[int]) -> dict[str, int]:
    return {event.name.lower(): events[event] for event in Event}


def _percentiles_ms(command: CommandView) -> dict[str, float]:
    percentiles_ms = command.metrics.total_latency.summary.percentiles_ms
    return {f"{percentile:g}": value for percentile, value in percentiles_ms.items()}


def info_document(info: InfoView) -> dict[str, object]:
    started = datetime.fromtimestamp(info.started_epoch_s, UTC)
    return {
        "name": "prana",
        "version": info.version,
        "started": started.isoformat(timespec="seconds"),
        "python": info.python,
        "event_loop": info.event_loop,
        "http_parser": info.http_parser,
        "instance": info.instances[0] if len(info.instances) == 1 else None,
        "instances": info.instances,
    }


def _summary(service: ServiceView) -> dict[str, object]:
    return {
        "name": service.name,
        "source": service.source,
        "known": service.known,
        "breaker": _breaker_word(service.own.breaker),
        "instances": len(service.nodes),
        "ejected": sum(node.ejected for node in service.nodes),
        "panic": service.panic,
        "in_flight": sum(command.in_flight for command in service.commands),
        "requests_total": service.metrics.requests_total,
        "requests_failed": service.metrics.requests_failed,
        "routes": [
            {"key": route.key, "breaker": _breaker_word(route.breaker), "in_flight": route.in_flight}
            for route in service.commands[1:]
        ],
    }


def _breaker_word(breaker: BreakerView) -> str:
    if not breaker.enabled:
        return "disabled"
    return breaker.state if breaker.force == "none" else f"forced-{breaker.force}"


def _breaker(breaker: BreakerView) -> dict[str, object]:
    return {
        "enabled": breaker.enabled,
        "state": breaker.state,
        "reason": breaker.reason,
        "mode": breaker.mode,
        "force": breaker.force,
        "allows_request": breaker.allows_request,
        "error_percentage": breaker.error_percentage,
        "error_count": breaker.error_count,
        "request_count": breaker.request_count,
        "slow_call_percentage": breaker.slow_call_percentage,
        "retry_after_s": round(breaker.retry_after_s, 3),
        "request_volume": breaker.request_volume_threshold,
        "error_threshold_percentage": breaker.error_threshold_percentage,
        "slow_call_threshold_percentage": breaker.slow_call_threshold_percentage,
        "slow_call_s": breaker.slow_call_s,
        "half_open_permits": breaker.half_open_permits,
        "ramp_s": breaker.ramp_s,
        "sleep_window_s": breaker.sleep_window_s,
        "window_s": breaker.window_s,
    }


def _balancing(service: ServiceView) -> dict[str, object]:
    metrics = service.metrics
    return {
        "rule": service.rule,
        "source": service.source,
        "filtered_out": service.filtered_out,
        "nodes": [_node(node) for node in service.nodes],
        "attempts": {outcome.value: count for outcome, count in metrics.attempts.items()},
        "retries_total": metrics.retries,
        "retries_refused_total": metrics.retries_refused,
        "hedges_total": metrics.hedges,
        "hedges_won_total": metrics.hedges_won,
        "hedges_refused_total": metrics.hedges_refused,
        "deadlines_refused_total": metrics.deadlines_refused,
        "retry_budget_balance": round(service.retry_budget_balance, 3),
        "panic": service.panic,
        "ejections_total": sum(metrics.ejections.values()),
        "ejections": {reason.value: count for reason, count in metrics.ejections.items()},
        "shadow_ejections": {reason.value: count for reason, count in metrics.shadow_ejections.items()},
    }


def _node(node: NodeView) -> dict[str, object]:
    return {
        "id": node.instance_id,
        "host": node.host,
        "port": node.port,
        "secure": node.secure,
        "zone": node.zone,
        "near": node.near,
        "status": node.status,
        "pending": node.pending,
        "load_ms": round(node.load_ms, 3),
        "ejected": node.ejected,
        "ejected_for_s": round(node.ejected_for_s, 3),
        "circuit_tripped": node.circuit_tripped,
        "ejection_reason": node.ejection_reason,
        "shadow_ejection_reason": node.shadow_ejection_reason,
        "weight": round(node.weight, 3),
        "consecutive_failures": node.consecutive_failures,
        "successes_total": node.successes_total,
        "failures_total": node.failures_total,
    }


def _eureka(eureka: EurekaView) -> dict[str, object]:
    """Everybody may read this, so the servers' addresses and the last error are only in /health's details."""
    return {
        "enabled": eureka.enabled,
        "registered": eureka.registered,
        "apps": eureka.apps,
        "apps_registered": eureka.apps_registered,
        "last_heartbeat": eureka.last_heartbeat_epoch_s,
        "registry_read": eureka.read,
        "last_fetch_age_s": eureka.last_fetch_age_s,
        "heartbeats_total": eureka.heartbeats_total,
        "heartbeat_failures_total": eureka.heartbeat_failures_total,
        "registrations_total": eureka.registrations_total,
        "fetches_total": eureka.fetches_total,
        "fetch_failures_total": eureka.fetch_failures_total,
        "instances": eureka.instances,
        "services": eureka.services,
        "restored_from_cache": eureka.restored,
        "held_instances": eureka.held_instances,
        "refused_instances_total": dict(eureka.refused_instances),
    }


def _proxy(proxy: ProxyView, metrics: ProxyMetrics) -> dict[str, object]:
    """Latencies are milliseconds over the last minute, all services, as their callers saw them."""
    percentiles_ms = metrics.latency.percentiles_ms
    return {
        "requests_total": metrics.requests_total,
        "requests_failed": metrics.requests_failed,
        "latency_mean": round(metrics.latency.mean_ms, 3),
        "latency_p50": percentiles_ms[50.0],
        "latency_p90": percentiles_ms[90.0],
        "latency_p99": percentiles_ms[99.0],
        "in_flight": proxy.in_flight,
        "tunnels": metrics.tunnels,
        "tunnels_total": metrics.tunnels_total,
        "connections": proxy.connections,
        "connections_total": metrics.connections_total,
        "draining": proxy.draining,
        "loop_lag_ms": round(metrics.loop_lag_s * 1000, 3),
    }
