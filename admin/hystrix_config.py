"""What Hystrix tells about its settings: the fields of its configuration stream.

Names and order are those of SerialHystrixConfiguration. Two of its defects are not kept: it prints forceOpen as
isForcedClosed, and as percentileBucketCount the number of the counters' buckets.
"""

from typing import Final

from admin.hystrix import GROUP, ISOLATION, whole_ms
from admin.latency import ROTATION_S, ROTATIONS
from admin.metrics import EVENT_BUCKETS, EVENT_WINDOW_S
from admin.views import CommandView, PoolView

_COUNTERS: Final = {
    "counterBucketSizeInMilliseconds": whole_ms(EVENT_WINDOW_S) // EVENT_BUCKETS,
    "counterBucketCount": EVENT_BUCKETS,
}


def command_config(command: CommandView) -> dict[str, object]:
    """One command's settings in force."""
    breaker = command.breaker
    return {
        "threadPoolKey": command.service,
        "groupKey": GROUP,
        "execution": {
            "isolationStrategy": ISOLATION,
            "threadPoolKeyOverride": None,
            "requestCacheEnabled": False,
            "requestLogEnabled": False,
            "timeoutEnabled": True,
            "fallbackEnabled": command.has_fallback,
            "timeoutInMilliseconds": whole_ms(command.timeout_s),
            "semaphoreSize": command.max_concurrent,
            "fallbackSemaphoreSize": command.fallback_max_concurrent,
            "threadInterruptOnTimeout": True,
        },
        "metrics": {
            "healthBucketSizeInMs": whole_ms(breaker.health_interval_s),
            "percentileBucketSizeInMilliseconds": whole_ms(ROTATION_S),
            "percentileBucketCount": ROTATIONS,
            "percentileEnabled": True,
            **_COUNTERS,
        },
        "circuitBreaker": {
            "enabled": breaker.enabled,
            "isForcedOpen": breaker.force == "open",
            "isForcedClosed": breaker.force == "closed",
            "requestVolumeThreshold": breaker.request_volume_threshold,
            "errorPercentageThreshold": breaker.error_threshold_percentage,
            "sleepInMilliseconds": whole_ms(breaker.sleep_window_s),
        },
    }


def pool_config(pool: PoolView) -> dict[str, object]:
    """One service's connections as a thread pool without a queue."""
    return {
        "coreSize": pool.max_concurrent,
        "maximumSize": pool.max_concurrent,
        "maxQueueSize": -1,
        "queueRejectionThreshold": 0,
        "keepAliveTimeInMinutes": 0,
        "allowMaximumSizeToDivergeFromCoreSize": False,
        **_COUNTERS,
    }


def pool_utilization(pool: PoolView) -> dict[str, object]:
    """Of /hystrix/utilization.stream."""
    return {
        "activeCount": pool.in_use,
        "queueSize": 0,
        "corePoolSize": pool.max_concurrent,
        "poolSize": pool.open,
    }
