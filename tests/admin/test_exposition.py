"""The two text forms, read back by a parser that accepts nothing the formats do not allow."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.exposition import Buckets, Family, openmetrics_text, prometheus_text
from admin.latency import BUCKET_BOUNDS_S
from admin.metrics import Event, ProxyMetrics, RequestOutcome
from admin.series import families
from admin.views import AppView, BreakerView, CircuitState, EurekaView, Force, NodeView, ServiceView, Sources
from loadbalancer.ejection import Reason
from loadbalancer.outcome import Outcome

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[0-9.e+-]+|\+Inf|NaN)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
ESCAPES = {r"\\": "\\", r"\n": "\n", r"\"": '"'}
SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}

Key = tuple[str, tuple[tuple[str, str], ...]]


@dataclass
class Parsed:
    kind: str = ""
    help: str = ""
    samples: dict[Key, float] = field(default_factory=dict)


def unescaped(text: str) -> str:
    return re.sub(r'\\[\\n"]', lambda match: ESCAPES[match[0]], text)


def labels_of(text: str) -> tuple[tuple[str, str], ...]:
    labels, position = [], 0
    while position < len(text):
        match = LABEL.match(text, position)
        assert match, f"not labels: {text!r}"
        labels.append((match[1], unescaped(match[2])))
        position = match.end()
    assert len({name for name, _ in labels}) == len(labels), f"label twice: {text!r}"
    return tuple(labels)


def parsed(text: str, suffixes: dict[str, tuple[str, ...]]) -> dict[str, Parsed]:
    """Families by name; fails on samples before HELP and TYPE, strange names, duplicates, families in pieces."""
    assert text.endswith("\n")
    seen: dict[str, Parsed] = {}
    current = ""
    for line in text[:-1].split("\n"):
        if line.startswith("# "):
            _, word, name, rest = line.split(" ", 3)
            if name != current:
                assert name not in seen, f"{name} comes in pieces"
                current = name
            family = seen.setdefault(name, Parsed())
            assert not family.samples, f"{line!r} after samples"
            assert not getattr(family, word.lower() if word == "HELP" else "kind"), f"{word} twice"
            setattr(family, "help" if word == "HELP" else "kind", rest)
            assert word in ("HELP", "TYPE")
        else:
            match = SAMPLE.fullmatch(line)
            assert match, f"not a sample: {line!r}"
            family = seen[current]
            assert family.kind, f"{line!r} before its TYPE"
            assert family.help, f"{line!r} before its HELP"
            assert match[1] in [current + suffix for suffix in suffixes[family.kind]], f"{match[1]} in {current}"
            key = (match[1], labels_of(match[2] or ""))
            assert key not in family.samples, f"twice: {line!r}"
            family.samples[key] = float(match[3])
    return seen


def parsed_prometheus(text: str) -> dict[str, Parsed]:
    seen = parsed(text, SUFFIXES | {"counter": ("",)})
    for name, family in seen.items():
        assert name.endswith("_total") == (family.kind == "counter"), name
    return seen


def parsed_openmetrics(text: str) -> dict[str, Parsed]:
    assert text.count("# EOF") == 1
    assert text.endswith("# EOF\n")
    seen = parsed(text.removesuffix("# EOF\n"), SUFFIXES | {"counter": ("_total",), "info": ("_info",)})
    assert not [name for name in seen if name.endswith(("_total", "_info"))]
    return seen


@pytest.fixture
def busy(metrics: ProxyMetrics) -> ProxyMetrics:
    users = metrics.service("users")
    for status, outcome in ((200, RequestOutcome.SUCCESS), (503, RequestOutcome.FAILURE)):
        users.request_started()
        users.request_finished(b"GET", status, outcome, 0.003)
    users.attempt(Outcome.FAILURE)
    users.command("users").fallback("static", "circuit_open")
    users.commands[0].fallback_failed("last_good")
    users.commands[0].event(Event.COLLAPSED)
    users.retried()
    for _ in range(2):
        users.node_ejected(Reason.REFUSED, shadow=False)
    users.node_ejected(Reason.LATENCY, shadow=True)
    users.request_started()
    metrics.other.request_started()
    metrics.other.request_finished(b"GET", 404, RequestOutcome.REJECTED, 20.0)
    return metrics


def value(family: Parsed, sample: str, **labels: str) -> float:
    return family.samples[(sample, tuple(labels.items()))]


@pytest.mark.parametrize("openmetrics", [False, True])
def test_everything_exported_reads_back(
    sources_of: Callable[..., Sources], busy: ProxyMetrics, openmetrics: bool
) -> None:
    everything = list(families(sources_of(), busy))
    seen = (
        parsed_openmetrics(openmetrics_text(everything))
        if openmetrics
        else parsed_prometheus(prometheus_text(everything))
    )
    assert len(seen) == len(everything)
    assert all(name.startswith("prana_") for name in seen)
    allowed = {"service", "state", "method_class", "status_class", "outcome", "le"}
    used = {
        label
        for name, family in seen.items()
        if not name.startswith("prana_build")
        for _, labels in family.samples
        for label, _ in labels
    }
    assert used == allowed


def test_requests_are_counted_with_their_classes_and_unknown_names_in_one_series(
    sources_of: Callable[..., Sources], busy: ProxyMetrics
) -> None:
    seen = parsed_prometheus(prometheus_text(families(sources_of(), busy)))
    name = "prana_http_requests_total"
    assert seen[name].samples == {
        (name, tuple(zip(("service", "method_class", "status_class", "outcome"), labels, strict=True))): 1
        for labels in (
            ("users", "safe", "2xx", "success"),
            ("users", "safe", "5xx", "failure"),
            ("other", "safe", "4xx", "rejected"),
        )
    }


def test_durations_are_a_cumulative_histogram_in_seconds(
    sources_of: Callable[..., Sources], busy: ProxyMetrics
) -> None:
    name = "prana_http_request_duration_seconds"
    family = parsed_prometheus(prometheus_text(families(sources_of(), busy)))[name]
    assert family.kind == "histogram"
    bounds = [*(str(bound) for bound in BUCKET_BOUNDS_S), "+Inf"]
    users = [value(family, f"{name}_bucket", service="users", le=bound) for bound in bounds]
    assert users == [0, 0, 0] + [2] * 12
    assert value(family, f"{name}_count", service="users") == 2
    assert value(family, f"{name}_sum", service="users") == pytest.approx(0.006)
    other = [value(family, f"{name}_bucket", service="other", le=bound) for bound in bounds]
    assert other == [0] * 14 + [1]


def test_service_counters_and_gauges_have_their_values(sources_of: Callable[..., Sources], busy: ProxyMetrics) -> None:
    seen = parsed_prometheus(prometheus_text(families(sources_of(), busy)))

    def of_users(name: str, **labels: str) -> float:
        return value(seen[name], name, service="users", **labels)

    assert of_users("prana_http_requests_in_flight") == 1
    assert of_users("prana_upstream_attempts_total", outcome="failure") == 1
    assert of_users("prana_upstream_attempts_total", outcome="success") == 0
    assert of_users("prana_fallbacks_total", outcome="success") == 1
    assert of_users("prana_fallbacks_total", outcome="missing") == 0
    assert of_users("prana_fallback_answers_total", outcome="static") == 1
    assert of_users("prana_fallback_causes_total", outcome="circuit_open") == 1
    assert of_users("prana_fallback_step_failures_total", outcome="last_good") == 1
    assert of_users("prana_retries_total") == 1
    assert of_users("prana_collapsed_total") == 1
    assert of_users("prana_retries_refused_total") == 0
    assert of_users("prana_ejections_total", outcome="refused") == 2
    assert of_users("prana_ejections_total", outcome="latency") == 0
    assert of_users("prana_shadow_ejections_total", outcome="latency") == 1
    assert of_users("prana_lb_panic") == 0
    assert of_users("prana_short_circuited_total") == 0
    assert of_users("prana_bulkhead_rejected_total") == 0
    assert of_users("prana_bulkhead_in_use") == 3
    assert of_users("prana_bulkhead_limit") == 512


def test_a_panic_shows(sources_of: Callable[..., Sources], metrics: ProxyMetrics, service: ServiceView) -> None:
    text = prometheus_text(families(sources_of(services=[replace(service, panic=True)]), metrics))
    assert value(parsed_prometheus(text)["prana_lb_panic"], "prana_lb_panic", service="users") == 1


def test_websockets_are_counted_open_and_ever_and_their_bytes_when_they_close(
    sources_of: Callable[..., Sources], busy: ProxyMetrics
) -> None:
    users = busy.service("users")
    users.tunnel_opened()
    users.tunnel_opened()
    users.tunnel_closed(5, 70)
    seen = parsed_prometheus(prometheus_text(families(sources_of(), busy)))
    names = ("prana_tunnels", "prana_tunnels_opened_total", "prana_tunnel_received_bytes_total")
    assert [value(seen[name], name, service="users") for name in names] == [1, 2, 5]
    assert value(seen["prana_tunnel_sent_bytes_total"], "prana_tunnel_sent_bytes_total", service="users") == 70
    assert (busy.tunnels, busy.tunnels_total) == (1, 2)


@pytest.mark.parametrize("state", ["closed", "open", "half-open"])
def test_the_circuit_is_in_exactly_one_state(
    sources_of: Callable[..., Sources],
    metrics: ProxyMetrics,
    service: ServiceView,
    breaker: BreakerView,
    state: CircuitState,
) -> None:
    view = replace(service, commands=[replace(service.own, breaker=replace(breaker, state=state))])
    family = parsed_prometheus(prometheus_text(families(sources_of(services=[view]), metrics)))["prana_circuit_state"]
    shown = {dict(labels)["state"]: number for (_, labels), number in family.samples.items()}
    assert shown == {each: float(each == state) for each in ("closed", "open", "half-open")}


@pytest.mark.parametrize("force", ["none", "open", "closed"])
def test_what_an_operator_wants_of_a_circuit_is_exported(
    sources_of: Callable[..., Sources],
    metrics: ProxyMetrics,
    service: ServiceView,
    breaker: BreakerView,
    force: Force,
) -> None:
    view = replace(service, commands=[replace(service.own, breaker=replace(breaker, force=force))])
    family = parsed_prometheus(prometheus_text(families(sources_of(services=[view]), metrics)))["prana_circuit_forced"]
    shown = {dict(labels)["state"]: number for (_, labels), number in family.samples.items()}
    assert shown == {each: float(each == force) for each in ("open", "closed")}


def test_connections_are_counted_by_whether_they_carry_a_request(
    sources_of: Callable[..., Sources], metrics: ProxyMetrics
) -> None:
    family = parsed_prometheus(prometheus_text(families(sources_of(), metrics)))["prana_upstream_connections"]
    shown = {dict(labels)["state"]: number for (_, labels), number in family.samples.items()}
    assert shown == {"in_use": 2, "idle": 3}


def test_kept_answers_are_exported_of_those_who_keep_some(
    sources_of: Callable[..., Sources], metrics: ProxyMetrics, service: ServiceView
) -> None:
    orders = replace(service, name="orders", commands=[replace(service.own, key="orders")], last_good=None)
    services = [service, orders]
    seen = parsed_prometheus(prometheus_text(families(sources_of(services=services), metrics)))
    shown = [seen[f"prana_last_good_{name}"].samples for name in ("answers", "bytes")]
    assert [list(samples.values()) for samples in shown] == [[3], [4096]]


def test_what_is_left_of_the_retry_budget_is_exported(
    sources_of: Callable[..., Sources], metrics: ProxyMetrics
) -> None:
    family = parsed_prometheus(prometheus_text(families(sources_of(), metrics)))["prana_retry_budget"]
    assert value(family, "prana_retry_budget", service="users") == 99.5


def test_instances_are_counted_by_what_the_balancer_may_do(
    sources_of: Callable[..., Sources], metrics: ProxyMetrics, service: ServiceView, node: NodeView
) -> None:
    nodes = (node, node, replace(node, ejected=True), replace(node, status="DOWN"))
    text = prometheus_text(families(sources_of(services=[replace(service, nodes=nodes)]), metrics))
    family = parsed_prometheus(text)["prana_lb_instances"]
    shown = {dict(labels)["state"]: number for (_, labels), number in family.samples.items()}
    assert shown == {"available": 2, "ejected": 1, "unavailable": 1}


def test_eureka_is_exported_and_what_never_happened_is_absent(
    sources_of: Callable[..., Sources], metrics: ProxyMetrics, eureka: EurekaView
) -> None:
    def seen(view: EurekaView) -> dict[str, float]:
        read = parsed_prometheus(prometheus_text(families(sources_of(eureka=view), metrics)))
        name = "prana_eureka_refused_instances_total"
        refused = read.pop(name)
        assert (value(refused, name, outcome="loopback"), value(refused, name, outcome="own_port")) == (3, 1)
        return {name: value(read[name], name) for name in read if name.startswith("prana_eureka_")}

    assert seen(eureka) == {
        "prana_eureka_registered": 1,
        "prana_eureka_apps_registered": 1,
        "prana_eureka_last_heartbeat_timestamp_seconds": 1_800_000_000.5,
        "prana_eureka_registry_age_seconds": 4.25,
        "prana_eureka_heartbeats_total": 7,
        "prana_eureka_heartbeat_failures_total": 2,
        "prana_eureka_registrations_total": 1,
        "prana_eureka_fetches_total": 9,
        "prana_eureka_fetch_failures_total": 3,
        "prana_eureka_instances": 5,
        "prana_eureka_services": 4,
        "prana_eureka_registry_restored": 0,
        "prana_eureka_held_instances": 2,
    }
    never = seen(replace(eureka, apps_registered=0, last_heartbeat_epoch_s=None, last_fetch_age_s=None))
    assert never["prana_eureka_registered"] == 0
    assert "prana_eureka_last_heartbeat_timestamp_seconds" not in never
    assert "prana_eureka_registry_age_seconds" not in never


def test_build_info_is_an_info_where_the_format_knows_it(
    sources_of: Callable[..., Sources], metrics: ProxyMetrics
) -> None:
    everything = list(families(sources_of(), metrics))
    plain = parsed_prometheus(prometheus_text(everything))["prana_build_info"]
    info = parsed_openmetrics(openmetrics_text(everything))["prana_build"]
    assert (plain.kind, info.kind) == ("gauge", "info")
    assert plain.samples == info.samples
    assert value(plain, "prana_build_info", version="0.1.0", python="3.11.7") == 1


@given(st.text(st.sampled_from('ab"\\\n{},= é'), max_size=12), st.text(st.sampled_from('a"\\\n'), min_size=1))
def test_any_label_value_and_help_survive_the_way_out_and_back(label: str, help_text: str) -> None:
    family = Family("prana_x", "counter", help_text, [({"service": label}, 3)])
    key = ("prana_x_total", (("service", label),))
    plain = parsed_prometheus(prometheus_text([family]))["prana_x_total"]
    open_ = parsed_openmetrics(openmetrics_text([family]))["prana_x"]
    assert plain.samples == open_.samples == {key: 3}
    assert unescaped(open_.help) == help_text
    assert plain.help == help_text.replace("\\", r"\\").replace("\n", r"\n")


def test_a_histogram_without_labels_has_no_stray_comma() -> None:
    text = prometheus_text([Family("prana_x", "histogram", "x", [({}, Buckets((1,), [2, 3], 4.5))])])
    assert text.splitlines()[2:] == [
        'prana_x_bucket{le="1.0"} 2',
        'prana_x_bucket{le="+Inf"} 5',
        "prana_x_count 5",
        "prana_x_sum 4.5",
    ]


def test_apps_are_counted_by_their_status_and_registered_means_all(
    sources_of: Callable[..., Sources], metrics: ProxyMetrics, app: AppView, eureka: EurekaView
) -> None:
    apps = [app, replace(app, port=5001), replace(app, port=5002, status="DOWN")]
    some = replace(eureka, apps=3, apps_registered=2)
    read = parsed_prometheus(prometheus_text(families(sources_of(apps=apps, eureka=some), metrics)))
    counts = {dict(labels)["state"]: count for (_, labels), count in read["prana_apps"].samples.items()}
    assert counts == {"STARTING": 0, "UP": 2, "DOWN": 1}
    assert value(read["prana_eureka_registered"], "prana_eureka_registered") == 0
    assert value(read["prana_eureka_apps_registered"], "prana_eureka_apps_registered") == 2
