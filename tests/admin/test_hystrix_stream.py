"""The texts of the streams, and the fields that the configuration stream has."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from admin.hystrix import pool_fields
from admin.hystrix_config import command_config, pool_config
from admin.hystrix_stream import NOW, config_event, dashboard_events, utilization_event
from admin.views import BreakerView, CommandView, PoolView, ServiceView

from .conftest import FixedSources


def event(text: bytes) -> Any:
    assert text.startswith(b"data: ")
    assert text.endswith(b"\n\n")
    assert text.count(b"\n") == 2, "one line"
    return json.loads(text[6:])


def test_each_command_and_pool_is_an_event_whose_moment_is_left_open(sources_of: Callable[..., FixedSources]) -> None:
    texts = list(dashboard_events(sources_of()))
    assert [text.count(NOW) for text in texts] == [1, 1]
    events = [event(text.replace(NOW, b"1800000000123")) for text in texts]
    assert [(each["type"], each["name"]) for each in events] == [
        ("HystrixCommand", "users"),
        ("HystrixThreadPool", "users"),
    ]
    assert [each["currentTime"] for each in events] == [1_800_000_000_123] * 2


def test_no_name_can_break_out_of_its_event(
    sources_of: Callable[..., FixedSources], service: ServiceView, command: CommandView
) -> None:
    name = 'a"b\n\0<'
    for text in dashboard_events(sources_of([replace(service, commands=[replace(command, key=name)])])):
        assert text.count(NOW) == 1
        assert event(text.replace(NOW, b"1"))["name"] in (name, "users")


def test_a_pool_shows_the_connections_of_its_service(pool: PoolView) -> None:
    assert pool_fields(pool, 1) == {
        "type": "HystrixThreadPool",
        "name": "users",
        "currentTime": 1,
        "currentActiveCount": 2,
        "currentCompletedTaskCount": 1234,
        "currentCorePoolSize": 512,
        "currentLargestPoolSize": 8,
        "currentMaximumPoolSize": 512,
        "currentPoolSize": 5,
        "currentQueueSize": 0,
        "currentTaskCount": 1236,
        "rollingCountThreadsExecuted": 40,
        "rollingMaxActiveThreads": 17,
        "rollingCountCommandRejections": 0,
        "propertyValue_queueSizeRejectionThreshold": 0,
        "propertyValue_metricsRollingStatisticalWindowInMilliseconds": 10_000,
        "reportingHosts": 1,
    }


def test_the_settings_of_a_command_are_those_in_force(command: CommandView, breaker: BreakerView) -> None:
    view = replace(command, key="users:slow", breaker=replace(breaker, force="closed", health_interval_s=0.5))
    assert command_config(view) == {
        "threadPoolKey": "users",
        "groupKey": "prana",
        "execution": {
            "isolationStrategy": "SEMAPHORE",
            "threadPoolKeyOverride": None,
            "requestCacheEnabled": False,
            "requestLogEnabled": False,
            "timeoutEnabled": True,
            "fallbackEnabled": True,
            "timeoutInMilliseconds": 800,
            "semaphoreSize": 512,
            "fallbackSemaphoreSize": command.fallback_max_concurrent,
            "threadInterruptOnTimeout": True,
        },
        "metrics": {
            "healthBucketSizeInMs": 500,
            "percentileBucketSizeInMilliseconds": 10_000,
            "percentileBucketCount": 6,
            "percentileEnabled": True,
            "counterBucketSizeInMilliseconds": 1000,
            "counterBucketCount": 10,
        },
        "circuitBreaker": {
            "enabled": True,
            "isForcedOpen": False,
            "isForcedClosed": True,
            "requestVolumeThreshold": 20,
            "errorPercentageThreshold": 50,
            "sleepInMilliseconds": 5000,
        },
    }
    forced_open = command_config(replace(command, breaker=replace(breaker, force="open")))["circuitBreaker"]
    assert isinstance(forced_open, dict)
    assert (forced_open["isForcedOpen"], forced_open["isForcedClosed"]) == (True, False)


def test_all_settings_are_one_event(
    sources_of: Callable[..., FixedSources], service: ServiceView, command: CommandView, pool: PoolView
) -> None:
    route = replace(command, key="users:slow")
    sources = sources_of([replace(service, commands=[command, route])])
    assert event(b"".join(config_event(sources))) == {
        "type": "HystrixConfig",
        "commands": {"users": command_config(command), "users:slow": command_config(route)},
        "threadpools": {"users": pool_config(pool)},
        "collapsers": {},
    }


def test_what_is_in_use_is_one_event(sources_of: Callable[..., FixedSources]) -> None:
    assert event(b"".join(utilization_event(sources_of()))) == {
        "type": "HystrixUtilization",
        "commands": {"users": {"activeCount": 3}},
        "threadpools": {"users": {"activeCount": 2, "queueSize": 0, "corePoolSize": 512, "poolSize": 5}},
    }


def test_without_services_the_events_are_whole(sources_of: Callable[..., FixedSources]) -> None:
    sources = sources_of([])
    assert list(dashboard_events(sources)) == []
    assert event(b"".join(config_event(sources)))["commands"] == {}
    assert event(b"".join(utilization_event(sources)))["threadpools"] == {}
