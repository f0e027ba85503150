"""Readers of /hystrix.stream as strict as the real ones: Turbine 1, Turbine 2 and the dashboard."""

import json
from collections import Counter
from typing import Any

Frame = dict[str, Any]

INTEGER_MAX = 2**31 - 1  # what Jackson reads as an Integer, which Turbine cannot cast to a Long
STALE_MS = 2500

_COMMAND_KEYS = """
    reportingHosts type name group isCircuitBreakerOpen errorPercentage errorCount requestCount
    rollingCountCollapsedRequests rollingCountExceptionsThrown rollingCountFailure rollingCountFallbackFailure
    rollingCountFallbackRejection rollingCountFallbackSuccess rollingCountResponsesFromCache
    rollingCountSemaphoreRejected rollingCountShortCircuited rollingCountSuccess rollingCountThreadPoolRejected
    rollingCountTimeout rollingCountBadRequests currentConcurrentExecutionCount latencyExecute_mean latencyExecute
    latencyTotal_mean latencyTotal
    propertyValue_circuitBreakerRequestVolumeThreshold propertyValue_circuitBreakerSleepWindowInMilliseconds
    propertyValue_circuitBreakerErrorThresholdPercentage propertyValue_circuitBreakerForceOpen
    propertyValue_circuitBreakerForceClosed propertyValue_executionIsolationStrategy
    propertyValue_executionIsolationThreadTimeoutInMilliseconds
    propertyValue_executionIsolationThreadInterruptOnTimeout
    propertyValue_executionIsolationSemaphoreMaxConcurrentRequests
    propertyValue_fallbackIsolationSemaphoreMaxConcurrentRequests
    propertyValue_requestCacheEnabled propertyValue_requestLogEnabled
    propertyValue_metricsRollingStatisticalWindowInMilliseconds
"""
"""hystrixCommand.js drops a command ("Key Missing") unless each of these is there and not null."""

_POOL_KEYS = """
    reportingHosts type name currentActiveCount currentCompletedTaskCount currentCorePoolSize currentLargestPoolSize
    currentMaximumPoolSize currentPoolSize currentQueueSize currentTaskCount rollingCountThreadsExecuted
    rollingMaxActiveThreads propertyValue_queueSizeRejectionThreshold
    propertyValue_metricsRollingStatisticalWindowInMilliseconds
"""
"""hystrixThreadPool.js, likewise."""


class Turbine1:
    """InstanceMonitor and DataFromSingleInstance of Turbine 1: one frame a line, sums of what is whole."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.sums: Counter[tuple[str, str, str]] = Counter()  # by type, name and attribute

    def read(self, line: str, now_epoch_ms: float) -> None:
        if not line.startswith("data"):
            return
        frame: Frame = json.loads(line[line.index("{") :])
        assert isinstance(frame["type"], str)
        assert isinstance(frame["name"], str)
        assert frame["currentTime"] > INTEGER_MAX, "ClassCastException"
        assert 0 <= now_epoch_ms - frame["currentTime"] < STALE_MS, "the next 500 ms of the stream are discarded"
        self.frames.append(frame)
        for key, value in frame.items():
            assert not isinstance(value, float), f"{key} becomes a histogram of strings"
            if type(value) is int:
                self.sums[frame["type"], frame["name"], key] += value
            elif isinstance(value, dict):
                assert all(type(each) is int for each in value.values()), f"{key} holds what is no number"


class Turbine2:
    """StreamAggregator of Turbine 2: the nested maps of one command keep their number of keys."""

    def __init__(self) -> None:
        self._sizes: dict[tuple[str, str, str], int] = {}

    def read(self, frame: Frame) -> None:
        for key, value in frame.items():
            if isinstance(value, dict):
                name = frame["type"], frame["name"], key
                assert self._sizes.setdefault(name, len(value)) == len(value), f"{key} changed its number of keys"


def shown_by_the_dashboard(frame: Frame) -> bool:
    """Whether a tile appears, and what it says can be trusted: its templates ask only for truth."""
    keys = (_COMMAND_KEYS if frame["type"] == "HystrixCommand" else _POOL_KEYS).split()
    flags = [value for key, value in frame.items() if key.startswith(("is", "propertyValue_circuitBreakerForce"))]
    return all(frame.get(key) is not None for key in keys) and all(isinstance(flag, bool) for flag in flags)
