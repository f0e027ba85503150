from collections.abc import Callable
from typing import Any

import pytest

from admin.metrics import (
    OTHER,
    CommandMetrics,
    Event,
    ProxyMetrics,
    RequestCount,
    RequestOutcome,
    ServiceMetrics,
    exceptions_thrown,
)
from loadbalancer.ejection import Reason
from loadbalancer.outcome import Outcome


@pytest.fixture
def service(metrics: ProxyMetrics) -> ServiceMetrics:
    return metrics.service("users")


def finish(service: ServiceMetrics, method: bytes, status: int, outcome: RequestOutcome, **more: Any) -> None:
    service.request_started()
    service.request_finished(method, status, outcome, 0.01, **more)


@pytest.mark.parametrize(
    ("method", "method_class"),
    [
        (b"GET", "safe"),
        (b"HEAD", "safe"),
        (b"OPTIONS", "safe"),
        (b"PUT", "idempotent"),
        (b"DELETE", "idempotent"),
        (b"POST", "other"),
        (b"PATCH", "other"),
        (b"BREW", "other"),
        (b"get", "other"),  # methods are case-sensitive
    ],
)
def test_requests_are_counted_by_method_class(service: ServiceMetrics, method: bytes, method_class: str) -> None:
    finish(service, method, 200, RequestOutcome.SUCCESS)
    assert list(service.requests()) == [RequestCount(method_class, "2xx", RequestOutcome.SUCCESS, 1)]


@pytest.mark.parametrize(
    ("status", "status_class"),
    [(0, "none"), (99, "none"), (101, "1xx"), (204, "2xx"), (304, "3xx"), (404, "4xx"), (599, "5xx"), (600, "none")],
)
def test_requests_are_counted_by_status_class(service: ServiceMetrics, status: int, status_class: str) -> None:
    finish(service, b"POST", status, RequestOutcome.CANCELLED)
    assert list(service.requests()) == [RequestCount("other", status_class, RequestOutcome.CANCELLED, 1)]


def test_every_combination_has_its_own_counter(service: ServiceMetrics) -> None:
    for method in (b"GET", b"PUT", b"POST"):
        for status in (0, 100, 200, 300, 400, 500):
            for outcome in RequestOutcome:
                finish(service, method, status, outcome)
    counts = list(service.requests())
    assert len({count[:3] for count in counts}) == len(counts) == 3 * 6 * len(RequestOutcome)
    assert {count.total for count in counts} == {1}
    assert service.requests_total == len(counts)


@pytest.mark.parametrize(
    ("status", "outcome", "failed"),
    [
        (200, RequestOutcome.SUCCESS, 0),
        (404, RequestOutcome.SUCCESS, 0),
        (499, RequestOutcome.REJECTED, 0),
        (500, RequestOutcome.FAILURE, 1),
        (503, RequestOutcome.REJECTED, 1),
        (200, RequestOutcome.FAILURE, 1),  # cut off in its body
        (200, RequestOutcome.FALLBACK, 0),
        (503, RequestOutcome.FALLBACK, 0),
        (0, RequestOutcome.CANCELLED, 0),
        (200, RequestOutcome.CANCELLED, 0),
    ],
)
def test_failed_are_answers_from_500_up_or_cut_off_but_never_fallbacks(
    service: ServiceMetrics, metrics: ProxyMetrics, status: int, outcome: RequestOutcome, failed: int
) -> None:
    finish(service, b"GET", status, outcome)
    assert service.requests_failed == metrics.requests_failed == failed


def test_in_flight_is_started_but_not_finished(service: ServiceMetrics, metrics: ProxyMetrics) -> None:
    service.request_started()
    service.request_started()
    metrics.other.request_started()
    assert (service.in_flight, metrics.in_flight) == (2, 3)
    service.request_finished(b"GET", 200, RequestOutcome.SUCCESS, 0.1)
    assert (service.in_flight, metrics.in_flight, metrics.requests_total) == (1, 2, 1)


@pytest.fixture
def command(service: ServiceMetrics) -> CommandMetrics:
    return service.command("users")


def test_execute_and_total_latency_are_apart(command: CommandMetrics) -> None:
    command.executed(0.2)
    command.answered(0.4)
    command.rotate()
    assert command.execute_latency.summary.mean_ms == pytest.approx(200)
    assert command.total_latency.summary.mean_ms == pytest.approx(400)


def test_events_are_recent_for_ten_seconds_and_counted_for_ever(command: CommandMetrics, clock: Any) -> None:
    command.event(Event.TIMEOUT)
    clock.now_s += 9.0
    command.event(Event.FAILURE)
    assert [command.recent_events()[event] for event in (Event.TIMEOUT, Event.FAILURE)] == [1, 1]
    clock.now_s += 1.0
    assert [command.recent_events()[event] for event in (Event.TIMEOUT, Event.FAILURE)] == [0, 1]
    assert command.events[Event.TIMEOUT] == command.events[Event.FAILURE] == 1


def test_a_fallback_counts_by_kind_by_cause_and_as_an_event(command: CommandMetrics) -> None:
    command.fallback("static", "timeout")
    command.fallback("static", "http_503")
    assert command.fallbacks_by_kind == {"static": 2}
    assert command.fallbacks_by_cause == {"timeout": 1, "http_503": 1}
    assert command.events[Event.FALLBACK_SUCCESS] == command.recent_events()[Event.FALLBACK_SUCCESS] == 2


def test_a_service_sums_up_its_commands(service: ServiceMetrics) -> None:
    assert service.events == [0] * len(Event)
    for key in ("users", "users:slow"):
        command = service.command(key)
        command.fallback("static", "timeout")
        command.fallback_failed("file")
    assert service.events[Event.FALLBACK_SUCCESS] == service.fallbacks_by_kind["static"] == 2
    assert service.fallbacks_by_cause["timeout"] == service.fallback_failures_by_kind["file"] == 2


@pytest.mark.parametrize(
    ("record", "read"),
    [
        (ServiceMetrics.retried, lambda service: service.retries),
        (ServiceMetrics.retry_refused, lambda service: service.retries_refused),
        (lambda service: service.node_ejected(Reason.REFUSED, False), lambda service: service.ejections["refused"]),
        (
            lambda service: service.node_ejected(Reason.LATENCY, True),
            lambda service: service.shadow_ejections["latency"],
        ),
        (lambda service: service.attempt(Outcome.FAILURE), lambda service: service.attempts[Outcome.FAILURE]),
    ],
)
def test_each_counter_counts_its_own(
    service: ServiceMetrics, record: Callable[[ServiceMetrics], None], read: Callable[[ServiceMetrics], int]
) -> None:
    def everything() -> int:
        by_kind = (service.attempts, service.ejections, service.shadow_ejections)
        return service.retries + service.retries_refused + sum(sum(counts.values()) for counts in by_kind)

    record(service)
    assert (read(service), everything()) == (1, 1)


def test_exceptions_thrown_are_what_reached_the_caller_as_an_error_of_the_command() -> None:
    events = [10**event for event in Event]
    thrown = (Event.BAD_REQUEST, Event.FALLBACK_FAILURE, Event.FALLBACK_REJECTION, Event.FALLBACK_MISSING)
    assert exceptions_thrown(events) == sum(10**event for event in thrown)


def test_a_service_has_one_series_and_a_service_named_other_shares_that_of_unknown_names(metrics: ProxyMetrics) -> None:
    assert metrics.service("users") is metrics.service("users")
    assert metrics.service(OTHER) is metrics.other
    assert [series.name for series in metrics.all_series()] == ["other", "users"]


def test_a_registry_full_of_names_cannot_make_series_without_end(metrics: ProxyMetrics) -> None:
    for number in range(2000):
        metrics.service(f"service-{number}")
    assert len(metrics.all_series()) == 1000
    assert metrics.service("service-1999") is metrics.other
    assert metrics.service("service-0") is not metrics.other


def test_process_latency_merges_all_services(metrics: ProxyMetrics) -> None:
    assert metrics.latency.count == 0
    for name, seconds in (("users", 0.1), ("orders", 0.3)):
        command = metrics.service(name).command(name)
        command.answered(seconds)
    for _ in metrics.rotate():
        pass
    assert metrics.latency.count == 2
    assert metrics.latency.mean_ms == pytest.approx(200)
    assert metrics.latency.percentiles_ms[99.0] == pytest.approx(300, rel=0.01)


def test_connections_are_counted_now_and_in_total(metrics: ProxyMetrics) -> None:
    metrics.connection_opened()
    metrics.connection_opened()
    metrics.connection_closed()
    assert (metrics.connections, metrics.connections_total) == (1, 2)
