"""How Hystrix describes a command: the fields of its event stream.

Field names, order and types are those of HystrixDashboardStream and `serialize` in hystrix-serialization; dashboards
drop a command when one is missing, and Turbine refuses one whose set of keys changes. Hence integers only, and
constants for what a proxy does not have.
"""

from admin.latency import PERCENTILES, LatencySummary
from admin.metrics import Event, exceptions_thrown
from admin.views import CommandView

_GROUP = "prana"
_PERCENTILE_KEYS = {percentile: f"{percentile:g}" for percentile in PERCENTILES}


def described(command: CommandView, now_epoch_ms: int) -> dict[str, object]:
    """One HystrixCommand. Times are milliseconds; health counts cover the breaker's window, events the last 10 s."""
    breaker = command.breaker
    events = command.metrics.recent_events()
    return {
        "type": "HystrixCommand",
        "name": command.key,
        "group": _GROUP,
        "currentTime": now_epoch_ms,
        # Hystrix's isOpen() is true during the trial too.
        "isCircuitBreakerOpen": breaker.enabled and breaker.state != "closed",
        "errorPercentage": breaker.error_percentage,
        "errorCount": breaker.error_count,
        "requestCount": breaker.request_count,
        **_rolling_counts(events),
        "currentConcurrentExecutionCount": command.in_flight,
        "rollingMaxConcurrentExecutionCount": command.max_in_flight_seen,
        **_latency("latencyExecute", command.metrics.execute_latency.summary),
        **_latency("latencyTotal", command.metrics.total_latency.summary),
        **_properties(command),
        "reportingHosts": 1,
        "threadPool": _GROUP,
    }


def _rolling_counts(events: list[int]) -> dict[str, object]:
    return {
        "rollingCountBadRequests": events[Event.BAD_REQUEST],
        "rollingCountCollapsedRequests": 0,
        "rollingCountEmit": 0,
        "rollingCountExceptionsThrown": exceptions_thrown(events),
        "rollingCountFailure": events[Event.FAILURE],
        "rollingCountFallbackEmit": 0,
        "rollingCountFallbackFailure": events[Event.FALLBACK_FAILURE],
        "rollingCountFallbackMissing": events[Event.FALLBACK_MISSING],
        "rollingCountFallbackRejection": events[Event.FALLBACK_REJECTION],
        "rollingCountFallbackSuccess": events[Event.FALLBACK_SUCCESS],
        "rollingCountResponsesFromCache": 0,
        "rollingCountSemaphoreRejected": events[Event.SEMAPHORE_REJECTED],
        "rollingCountShortCircuited": events[Event.SHORT_CIRCUITED],
        "rollingCountSuccess": events[Event.SUCCESS],
        "rollingCountThreadPoolRejected": 0,
        "rollingCountTimeout": events[Event.TIMEOUT],
    }


def _latency(name: str, summary: LatencySummary) -> dict[str, object]:
    values = {key: int(summary.percentiles_ms[percentile]) for percentile, key in _PERCENTILE_KEYS.items()}
    return {f"{name}_mean": int(summary.mean_ms), name: values}


def _properties(command: CommandView) -> dict[str, object]:
    breaker = command.breaker
    timeout_ms = int(command.timeout_s * 1000)
    properties: dict[str, object] = {
        "circuitBreakerRequestVolumeThreshold": breaker.request_volume_threshold,
        "circuitBreakerSleepWindowInMilliseconds": int(breaker.sleep_window_s * 1000),
        "circuitBreakerErrorThresholdPercentage": breaker.error_threshold_percentage,
        "circuitBreakerForceOpen": False,
        "circuitBreakerForceClosed": False,
        "circuitBreakerEnabled": breaker.enabled,
        "executionIsolationStrategy": "SEMAPHORE",
        "executionIsolationThreadTimeoutInMilliseconds": timeout_ms,
        "executionTimeoutInMilliseconds": timeout_ms,
        "executionIsolationThreadInterruptOnTimeout": True,
        "executionIsolationThreadPoolKeyOverride": None,
        "executionIsolationSemaphoreMaxConcurrentRequests": command.max_concurrent,
        "fallbackIsolationSemaphoreMaxConcurrentRequests": command.fallback_max_concurrent,
        # The window that requestCount is summed over: dashboards divide by it.
        "metricsRollingStatisticalWindowInMilliseconds": int(breaker.window_s * 1000),
        "requestCacheEnabled": False,
        "requestLogEnabled": False,
    }
    return {f"propertyValue_{name}": value for name, value in properties.items()}
