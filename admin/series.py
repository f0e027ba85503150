"""Which Prometheus series there are. Names and labels are an interface: dashboards and alerts break with them.

Base units, counters in `_total`. Labels are service, state, method class, status class and outcome only: each has a
few values, and services beyond those known share one `other` series, so that no caller can make series.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from admin.exposition import Buckets, Family, Kind, Labels
from admin.latency import BUCKET_BOUNDS_S
from admin.metrics import Event, ProxyMetrics, ServiceMetrics
from admin.views import CIRCUIT_STATES, AppView, EurekaView, InfoView, NodeView, ProxyView, ServiceView, Sources
from loadbalancer.ejection import Reason

_APP_STATUSES = ("STARTING", "UP", "DOWN")
_NODE_STATES = ("available", "ejected", "unavailable")
_FALLBACK_EVENTS = {
    "success": Event.FALLBACK_SUCCESS,
    "failure": Event.FALLBACK_FAILURE,
    "rejected": Event.FALLBACK_REJECTION,
    "missing": Event.FALLBACK_MISSING,
}


def families(sources: Sources, metrics: ProxyMetrics) -> Iterator[Family]:
    """Everything that is exported, as of now."""
    yield from _process_families(sources.info(), sources.proxy(), metrics)
    yield from _request_families(metrics.all_series())
    yield from _service_families(list(sources.services()))
    yield _app_family(sources.apps())
    yield from _eureka_families(sources.eureka())


def _process_families(info: InfoView, proxy: ProxyView, metrics: ProxyMetrics) -> Iterator[Family]:
    build = {"version": info.version, "python": info.python}
    yield Family("prana_build", "info", "Version of this sidecar.", [(build, 1)])
    yield _single("prana_start_time_seconds", "gauge", "When this sidecar started, epoch.", info.started_epoch_s)
    yield _single("prana_proxy_connections", "gauge", "Open connections of callers.", proxy.connections)
    yield _single("prana_proxy_connections_accepted", "counter", "Callers' connections.", metrics.connections_total)
    yield _single("prana_event_loop_lag_seconds", "gauge", "How late a timer ran, last sample.", metrics.loop_lag_s)
    yield _single("prana_proxy_draining", "gauge", "1 while this sidecar drains.", int(proxy.draining))


def _request_families(series: list[ServiceMetrics]) -> Iterator[Family]:
    yield Family(
        "prana_http_requests",
        "counter",
        "Requests that ended, by what their caller got.",
        [
            (
                {
                    "service": each.name,
                    "method_class": count.method_class,
                    "status_class": count.status_class,
                    "outcome": count.outcome.label,
                },
                count.total,
            )
            for each in series
            for count in each.requests()
        ],
    )
    yield Family(
        "prana_http_request_duration_seconds",
        "histogram",
        "Seconds a caller waited for its whole answer, or for its WebSocket to stand.",
        [
            ({"service": each.name}, Buckets(BUCKET_BOUNDS_S, each.duration.counts, each.duration.sum_s))
            for each in series
        ],
    )
    yield _by_service("prana_http_requests_in_flight", "gauge", "Requests in progress.", series, _in_flight)
    yield _by_service("prana_tunnels", "gauge", "Open WebSockets.", series, _tunnels)
    yield Family(
        "prana_upstream_attempts",
        "counter",
        "Attempts at instances, retries included.",
        [
            ({"service": each.name, "outcome": outcome.value}, count)
            for each in series
            for outcome, count in each.attempts.items()
        ],
    )
    for name, help_text, ejections in _EJECTION_COUNTERS:
        samples: list[tuple[Labels, float | Buckets]] = [
            ({"service": each.name, "outcome": reason.value}, count)
            for each in series
            for reason, count in ejections(each).items()
        ]
        yield Family(name, "counter", help_text, samples)
    yield Family(
        "prana_fallbacks",
        "counter",
        "Requests that needed a fallback; missing: none was configured, rejected: too many were in progress.",
        [
            ({"service": each.name, "outcome": outcome}, each.events[event])
            for each in series
            for outcome, event in _FALLBACK_EVENTS.items()
        ],
    )
    for name, help_text, counts in _FALLBACK_COUNTERS:
        samples = [
            ({"service": each.name, "outcome": word}, count)
            for each in series
            for word, count in sorted(counts(each).items())
        ]
        yield Family(name, "counter", help_text, samples)
    for name, help_text, value in _SERVICE_COUNTERS:
        yield _by_service(name, "counter", help_text, series, value)


def _in_flight(series: ServiceMetrics) -> int:
    return series.in_flight


def _tunnels(series: ServiceMetrics) -> int:
    return series.tunnels


_FALLBACK_COUNTERS: tuple[tuple[str, str, Callable[[ServiceMetrics], Mapping[str, int]]], ...] = (
    ("prana_fallback_answers", "Answers by fallbacks, by kind.", lambda series: series.fallbacks_by_kind),
    (
        "prana_fallback_causes",
        "Answers by fallbacks, by their reason.",
        lambda series: series.fallbacks_by_cause,
    ),
    (
        "prana_fallback_step_failures",
        "Steps of fallback chains that had no answer, by kind.",
        lambda series: series.fallback_failures_by_kind,
    ),
)
_EJECTION_COUNTERS: tuple[tuple[str, str, Callable[[ServiceMetrics], Mapping[Reason, int]]], ...] = (
    ("prana_ejections", "Times a node was taken out of balancing, by reason.", lambda series: series.ejections),
    ("prana_shadow_ejections", "Times shadow mode would have, by reason.", lambda series: series.shadow_ejections),
)
_SERVICE_COUNTERS: tuple[tuple[str, str, Callable[[ServiceMetrics], int]], ...] = (
    ("prana_retries", "Attempts beyond a request's first.", lambda series: series.retries),
    ("prana_retries_refused", "Retries that the budget did not grant.", lambda series: series.retries_refused),
    (
        "prana_collapsed",
        "Requests that shared the answer to a like one.",
        lambda series: series.events[Event.COLLAPSED],
    ),
    ("prana_hedges", "Second attempts beside slow ones.", lambda series: series.hedges),
    ("prana_hedges_won", "Hedges whose answer came first.", lambda series: series.hedges_won),
    ("prana_hedges_refused", "Hedges that the budget did not grant.", lambda series: series.hedges_refused),
    (
        "prana_deadlines_refused",
        "Requests whose callers left less time than half of the answers take.",
        lambda series: series.deadlines_refused,
    ),
    ("prana_tunnels_opened", "WebSockets since start.", lambda series: series.tunnels_total),
    (
        "prana_tunnel_received_bytes",
        "From callers through WebSockets that are closed.",
        lambda series: series.tunnel_received_bytes,
    ),
    (
        "prana_tunnel_sent_bytes",
        "To callers through WebSockets that are closed.",
        lambda series: series.tunnel_sent_bytes,
    ),
    (
        "prana_short_circuited",
        "Requests refused by an open breaker.",
        lambda series: series.events[Event.SHORT_CIRCUITED],
    ),
    (
        "prana_bulkhead_rejected",
        "Requests over max_concurrent.",
        lambda series: series.events[Event.SEMAPHORE_REJECTED],
    ),
)


def _service_families(services: list[ServiceView]) -> Iterator[Family]:
    commands = [command for service in services for command in service.commands]
    yield Family(
        "prana_circuit_state",
        "gauge",
        "1 for the state the breaker is in; that of a route as service:route.",
        [
            ({"service": command.key, "state": state}, int(command.breaker.state == state))
            for command in commands
            for state in CIRCUIT_STATES
        ],
    )
    yield Family(
        "prana_circuit_forced",
        "gauge",
        "1 for what an operator wants of the breaker, whatever its state.",
        [
            ({"service": command.key, "state": force}, int(command.breaker.force == force))
            for command in commands
            for force in ("open", "closed")
        ],
    )
    yield Family(
        "prana_upstream_connections",
        "gauge",
        "Open connections to instances.",
        [
            ({"service": service.name, "state": state}, count)
            for service in services
            for state, count in (("in_use", service.pool.in_use), ("idle", service.pool.open - service.pool.in_use))
        ],
    )
    yield Family(
        "prana_lb_instances",
        "gauge",
        "Instances by what the balancer may do with them.",
        [
            ({"service": service.name, "state": state}, [_node_state(node) for node in service.nodes].count(state))
            for service in services
            for state in _NODE_STATES
        ],
    )
    yield Family(
        "prana_retry_budget",
        "gauge",
        "Retries that the budget would grant now.",
        [({"service": service.name}, service.retry_budget_balance) for service in services],
    )
    kept = [(service.name, service.last_good) for service in services if service.last_good is not None]
    name, help_text = "prana_last_good_answers", "Answers kept to be given when a service has none."
    yield Family(name, "gauge", help_text, [({"service": service}, view.answers) for service, view in kept])
    name, help_text = "prana_last_good_bytes", "What the kept answers take in memory."
    yield Family(name, "gauge", help_text, [({"service": service}, view.size_bytes) for service, view in kept])
    yield Family(
        "prana_lb_panic",
        "gauge",
        "1 while so few instances are in rotation that ejected ones are called as well.",
        [({"service": service.name}, int(service.panic)) for service in services],
    )
    yield Family(
        "prana_bulkhead_in_use",
        "gauge",
        "Permits of max_concurrent in use; those of a route as service:route.",
        [({"service": command.key}, command.in_flight) for command in commands],
    )
    yield Family(
        "prana_bulkhead_limit",
        "gauge",
        "Permits of max_concurrent, or what an adaptive limit is now.",
        [({"service": command.key}, command.max_concurrent) for command in commands],
    )


def _node_state(node: NodeView) -> str:
    if node.ejected:
        return "ejected"
    return "available" if node.status == "UP" else "unavailable"


def _app_family(apps: Sequence[AppView]) -> Family:
    statuses = [app.status for app in apps]
    samples = [({"state": status}, statuses.count(status)) for status in _APP_STATUSES]
    return Family("prana_apps", "gauge", "Apps beside this sidecar by their Eureka status.", samples)


def _eureka_families(eureka: EurekaView) -> Iterator[Family]:
    yield _single("prana_eureka_registered", "gauge", "1 while all apps are registered.", int(eureka.registered))
    yield _single("prana_eureka_apps_registered", "gauge", "Apps that are registered.", eureka.apps_registered)
    # Absent rather than 0 before the first: 0 would read as 1970 and fire every alert on age.
    if eureka.last_heartbeat_epoch_s is not None:
        name = "prana_eureka_last_heartbeat_timestamp_seconds"
        yield _single(name, "gauge", "Last accepted heartbeat, epoch.", eureka.last_heartbeat_epoch_s)
    if eureka.last_fetch_age_s is not None:
        name = "prana_eureka_registry_age_seconds"
        yield _single(name, "gauge", "Since the registry was last read.", eureka.last_fetch_age_s)
    yield _single("prana_eureka_heartbeats", "counter", "Heartbeats sent.", eureka.heartbeats_total)
    name = "prana_eureka_heartbeat_failures"
    yield _single(name, "counter", "Heartbeats not accepted.", eureka.heartbeat_failures_total)
    yield _single("prana_eureka_registrations", "counter", "Registrations accepted.", eureka.registrations_total)
    yield _single("prana_eureka_fetches", "counter", "Reads of the registry tried.", eureka.fetches_total)
    yield _single("prana_eureka_fetch_failures", "counter", "Reads that failed.", eureka.fetch_failures_total)
    yield _single("prana_eureka_instances", "gauge", "Instances in the registry.", eureka.instances)
    yield _single("prana_eureka_services", "gauge", "Service names in the registry.", eureka.services)
    help_text = "1 while the registry is that of the cache file."
    yield _single("prana_eureka_registry_restored", "gauge", help_text, int(eureka.restored))
    help_text = "Instances served although Eureka suddenly lists them no more."
    yield _single("prana_eureka_held_instances", "gauge", help_text, eureka.held_instances)
    refused = [({"outcome": reason}, count) for reason, count in sorted(eureka.refused_instances.items())]
    yield Family("prana_eureka_refused_instances", "counter", "Instances refused as not trustworthy.", refused)


def _single(name: str, kind: Kind, help_text: str, value: float) -> Family:
    return Family(name, kind, help_text, [({}, value)])


def _by_service(
    name: str, kind: Kind, help_text: str, series: list[ServiceMetrics], value: Callable[[ServiceMetrics], int]
) -> Family:
    samples: list[tuple[Labels, float | Buckets]] = [({"service": each.name}, value(each)) for each in series]
    return Family(name, kind, help_text, samples)
