import json
from dataclasses import replace
from typing import Any

import pytest

from admin.hystrix import command_fields
from admin.hystrix_config import command_config
from admin.metrics import Event
from admin.views import BreakerView, CommandView

NOW_EPOCH_MS = 1_800_000_000_123

# Hystrix Dashboard drops a command (hystrixCommand.js, "Key Missing") unless each of these is present and not null.
INTEGERS = [
    "reportingHosts",
    "errorPercentage",
    "errorCount",
    "requestCount",
    "rollingCountCollapsedRequests",
    "rollingCountExceptionsThrown",
    "rollingCountFailure",
    "rollingCountFallbackFailure",
    "rollingCountFallbackRejection",
    "rollingCountFallbackSuccess",
    "rollingCountResponsesFromCache",
    "rollingCountSemaphoreRejected",
    "rollingCountShortCircuited",
    "rollingCountSuccess",
    "rollingCountThreadPoolRejected",
    "rollingCountTimeout",
    "rollingCountBadRequests",
    "currentConcurrentExecutionCount",
    "latencyExecute_mean",
    "propertyValue_circuitBreakerRequestVolumeThreshold",
    "propertyValue_circuitBreakerSleepWindowInMilliseconds",
    "propertyValue_circuitBreakerErrorThresholdPercentage",
    "propertyValue_executionIsolationThreadTimeoutInMilliseconds",
    "propertyValue_executionIsolationSemaphoreMaxConcurrentRequests",
    "propertyValue_fallbackIsolationSemaphoreMaxConcurrentRequests",
    "propertyValue_metricsRollingStatisticalWindowInMilliseconds",
]
BOOLEANS = [
    "isCircuitBreakerOpen",
    "propertyValue_circuitBreakerForceOpen",
    "propertyValue_circuitBreakerForceClosed",
    "propertyValue_executionIsolationThreadInterruptOnTimeout",
    "propertyValue_requestCacheEnabled",
    "propertyValue_requestLogEnabled",
]
STRINGS = ["type", "name", "group", "propertyValue_executionIsolationStrategy"]
# What the stream has beyond that.
MORE_INTEGERS = [
    "currentTime",
    "rollingCountEmit",
    "rollingCountFallbackEmit",
    "rollingCountFallbackMissing",
    "rollingMaxConcurrentExecutionCount",
    "latencyTotal_mean",
    "propertyValue_executionTimeoutInMilliseconds",
]
LATENCIES = ["latencyExecute", "latencyTotal"]
OTHERS = [
    "propertyValue_circuitBreakerEnabled",
    "propertyValue_executionIsolationThreadPoolKeyOverride",
    "threadPool",
]


def as_json(command: CommandView) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(command_fields(command, NOW_EPOCH_MS)))
    return document


def test_every_key_of_the_stream_is_there_and_nothing_else(command: CommandView) -> None:
    wanted = [*INTEGERS, *MORE_INTEGERS, *BOOLEANS, *STRINGS, *LATENCIES, *OTHERS]
    assert sorted(as_json(command)) == sorted(wanted)


@pytest.mark.parametrize("key", [*INTEGERS, *MORE_INTEGERS])
def test_numbers_are_json_integers(command: CommandView, key: str) -> None:
    command.metrics.executed(0.0123)
    command.metrics.rotate()
    assert type(as_json(command)[key]) is int


@pytest.mark.parametrize("key", [*BOOLEANS, "propertyValue_circuitBreakerEnabled"])
def test_booleans_are_json_booleans(command: CommandView, key: str) -> None:
    assert type(as_json(command)[key]) is bool


@pytest.mark.parametrize("key", [*STRINGS, "threadPool"])
def test_names_are_strings(command: CommandView, key: str) -> None:
    assert isinstance(as_json(command)[key], str)


@pytest.mark.parametrize("key", LATENCIES)
def test_latencies_are_whole_milliseconds_by_hystrix_percentiles(command: CommandView, key: str) -> None:
    for view in (command.metrics.execute_latency, command.metrics.total_latency):
        view.record(0.25)
    command.metrics.rotate()
    document = as_json(command)
    assert list(document[key]) == ["0", "25", "50", "75", "90", "95", "99", "99.5", "100"]
    assert all(type(value) is int and value == pytest.approx(250, rel=0.01) for value in document[key].values())
    assert document[f"{key}_mean"] == 250


def test_execute_and_total_latency_are_not_mixed_up(command: CommandView) -> None:
    command.metrics.execute_latency.record(0.1)
    command.metrics.total_latency.record(0.3)
    command.metrics.rotate()
    document = as_json(command)
    assert (document["latencyExecute_mean"], document["latencyTotal_mean"]) == (100, 300)


def test_each_event_shows_in_its_own_counter(command: CommandView) -> None:
    for event in Event:
        for _ in range(event + 1):
            command.metrics.event(event)
    document = as_json(command)
    counters = {
        Event.SUCCESS: "Success",
        Event.FAILURE: "Failure",
        Event.TIMEOUT: "Timeout",
        Event.BAD_REQUEST: "BadRequests",
        Event.SHORT_CIRCUITED: "ShortCircuited",
        Event.SEMAPHORE_REJECTED: "SemaphoreRejected",
        Event.FALLBACK_SUCCESS: "FallbackSuccess",
        Event.FALLBACK_FAILURE: "FallbackFailure",
        Event.FALLBACK_REJECTION: "FallbackRejection",
        Event.FALLBACK_MISSING: "FallbackMissing",
        Event.COLLAPSED: "CollapsedRequests",
    }
    shown = {event: document[f"rollingCount{name}"] for event, name in counters.items()}
    assert shown == {event: event + 1 for event in counters}
    thrown = (Event.BAD_REQUEST, Event.FALLBACK_FAILURE, Event.FALLBACK_REJECTION, Event.FALLBACK_MISSING)
    assert document["rollingCountExceptionsThrown"] == sum(event + 1 for event in thrown)


def test_the_circuit_and_its_force_are_shown_as_they_are(command: CommandView, breaker: BreakerView) -> None:
    forced_open = as_json(replace(command, breaker=replace(breaker, is_open=True, force="open")))
    assert forced_open["isCircuitBreakerOpen"] is True
    assert forced_open["propertyValue_circuitBreakerForceOpen"] is True
    assert forced_open["propertyValue_circuitBreakerForceClosed"] is False
    forced_closed = as_json(replace(command, breaker=replace(breaker, state="open", force="closed")))
    assert forced_closed["isCircuitBreakerOpen"] is False
    assert forced_closed["propertyValue_circuitBreakerForceOpen"] is False
    assert forced_closed["propertyValue_circuitBreakerForceClosed"] is True


def test_health_counts_and_their_window_are_the_breakers(command: CommandView, breaker: BreakerView) -> None:
    command.metrics.event(Event.FAILURE)
    document = as_json(replace(command, breaker=replace(breaker, window_s=20.0)))
    assert (document["errorPercentage"], document["errorCount"], document["requestCount"]) == (25, 10, 40)
    assert document["propertyValue_metricsRollingStatisticalWindowInMilliseconds"] == 20_000


@pytest.mark.parametrize("configured_ms", [1, 1001, 1009, 59_999])
def test_spans_are_the_milliseconds_that_were_configured(
    command: CommandView, breaker: BreakerView, configured_ms: int
) -> None:
    """1.001 s times 1000 is a little less than 1001."""
    span_s = configured_ms / 1000
    breaker = replace(breaker, sleep_window_s=span_s, window_s=span_s, health_interval_s=span_s)
    document = as_json(replace(command, timeout_s=span_s, breaker=breaker))
    names = ["circuitBreakerSleepWindow", "executionTimeout", "executionIsolationThreadTimeout"]
    names.append("metricsRollingStatisticalWindow")
    assert {document[f"propertyValue_{name}InMilliseconds"] for name in names} == {configured_ms}
    config: dict[str, Any] = command_config(replace(command, timeout_s=span_s, breaker=breaker))
    assert config["execution"]["timeoutInMilliseconds"] == configured_ms
    assert config["metrics"]["healthBucketSizeInMs"] == configured_ms
    assert config["circuitBreaker"]["sleepInMilliseconds"] == configured_ms


def test_properties_are_those_in_force(command: CommandView) -> None:
    document = as_json(command)
    assert document["name"] == "users"
    assert document["currentTime"] == NOW_EPOCH_MS
    assert document["propertyValue_circuitBreakerRequestVolumeThreshold"] == 20
    assert document["propertyValue_circuitBreakerSleepWindowInMilliseconds"] == 5000
    assert document["propertyValue_circuitBreakerErrorThresholdPercentage"] == 50
    assert document["propertyValue_executionTimeoutInMilliseconds"] == 800
    assert document["propertyValue_executionIsolationThreadTimeoutInMilliseconds"] == 800
    assert document["propertyValue_executionIsolationSemaphoreMaxConcurrentRequests"] == 512
    assert document["propertyValue_fallbackIsolationSemaphoreMaxConcurrentRequests"] == 64
    assert document["propertyValue_executionIsolationStrategy"] == "SEMAPHORE"
    assert (document["currentConcurrentExecutionCount"], document["rollingMaxConcurrentExecutionCount"]) == (3, 17)
