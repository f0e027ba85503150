"""How Hystrix describes a command and a thread pool: the fields of its event stream.

Field names, order and types are those of HystrixDashboardStream and `serialize` in hystrix-serialization; dashboards
drop a command when one is missing, and Turbine refuses one whose set of keys changes. Hence integers only, and
constants for what a proxy does not have.
"""

from admin.latency import PERCENTILES, LatencySummary
from admin.metrics import EVENT_WINDOW_S, Event, exceptions_thrown
from admin.views import CommandView, PoolView

GROUP = "prana"
ISOLATION = "SEMAPHORE"
_PERCENTILE_KEYS = {percentile: f"{percentile:g}" for percentile in PERCENTILES}


def whole_ms(span_s: float) -> int:
    """As configured: 1001 ms are 1.001 s, of which a thousand times is 1000.9999999999999."""
    return round(span_s * 1000)


def command_fields(command: CommandView, now_epoch_ms: object) -> dict[str, object]:
    """One HystrixCommand. Times are milliseconds; health counts cover the breaker's window, events the last 10 s."""
    breaker = command.breaker
    events = command.metrics.recent_events()
    return {
        "type": "HystrixCommand",
        "name": command.key,
        "group": GROUP,
        "currentTime": now_epoch_ms,
        "isCircuitBreakerOpen": breaker.is_open,
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
        "threadPool": command.service,
    }


def _rolling_counts(events: list[int]) -> dict[str, object]:
    return {
        "rollingCountBadRequests": events[Event.BAD_REQUEST],
        "rollingCountCollapsedRequests": events[Event.COLLAPSED],
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
    """What is in force, whatever was configured."""
    breaker = command.breaker
    timeout_ms = whole_ms(command.timeout_s)
    return {
        "propertyValue_circuitBreakerRequestVolumeThreshold": breaker.request_volume_threshold,
        "propertyValue_circuitBreakerSleepWindowInMilliseconds": whole_ms(breaker.sleep_window_s),
        "propertyValue_circuitBreakerErrorThresholdPercentage": breaker.error_threshold_percentage,
        "propertyValue_circuitBreakerForceOpen": breaker.force == "open",
        "propertyValue_circuitBreakerForceClosed": breaker.force == "closed",
        "propertyValue_circuitBreakerEnabled": breaker.enabled,
        "propertyValue_executionIsolationStrategy": ISOLATION,
        "propertyValue_executionIsolationThreadTimeoutInMilliseconds": timeout_ms,
        "propertyValue_executionTimeoutInMilliseconds": timeout_ms,
        "propertyValue_executionIsolationThreadInterruptOnTimeout": True,
        "propertyValue_executionIsolationThreadPoolKeyOverride": None,
        "propertyValue_executionIsolationSemaphoreMaxConcurrentRequests": command.max_concurrent,
        "propertyValue_fallbackIsolationSemaphoreMaxConcurrentRequests": command.fallback_max_concurrent,
        # The window that requestCount is summed over: dashboards divide by it.
        "propertyValue_metricsRollingStatisticalWindowInMilliseconds": whole_ms(breaker.window_s),
        "propertyValue_requestCacheEnabled": False,
        "propertyValue_requestLogEnabled": False,
    }


def pool_fields(pool: PoolView, now_epoch_ms: object) -> dict[str, object]:
    """One HystrixThreadPool: the connections to a service. It refuses nothing and has no queue; what bounds it are the
    commands' own limits."""
    return {
        "type": "HystrixThreadPool",
        "name": pool.name,
        "currentTime": now_epoch_ms,
        "currentActiveCount": pool.in_use,
        "currentCompletedTaskCount": pool.attempts_total,
        "currentCorePoolSize": pool.max_concurrent,
        "currentLargestPoolSize": pool.largest,
        "currentMaximumPoolSize": pool.max_concurrent,
        "currentPoolSize": pool.open,
        "currentQueueSize": 0,
        "currentTaskCount": pool.attempts_total + pool.in_use,
        "rollingCountThreadsExecuted": pool.executions,
        "rollingMaxActiveThreads": pool.max_in_flight_seen,
        "rollingCountCommandRejections": 0,
        "propertyValue_queueSizeRejectionThreshold": 0,
        "propertyValue_metricsRollingStatisticalWindowInMilliseconds": whole_ms(EVENT_WINDOW_S),
        "reportingHosts": 1,
    }
