"""Stages of the pipeline around a fake `next`, and a clock that passes only when told to."""

from collections.abc import Callable

import pytest

from admin.metrics import CommandMetrics, ProxyMetrics, ServiceMetrics
from prana.request import Request, Response


class Clock:
    """Monotonic seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Next:
    """What comes after a stage: gives or raises its results in turn, the last one for ever."""

    def __init__(self, *results: Response | BaseException | Callable[[Request], Response]) -> None:
        self.results = list(results)
        self.calls = 0

    async def __call__(self, request: Request) -> Response:
        self.calls += 1
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, BaseException):
            raise result
        return result if isinstance(result, Response) else result(request)


def answer(status: int = 200, body: bytes = b"") -> Response:
    return Response(status, b"", [], body)


def request(method: bytes = b"GET", target: bytes = b"/orders/a") -> Request:
    return Request(method, target, [], 1000.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def proxy_metrics(clock: Clock) -> ProxyMetrics:
    return ProxyMetrics(clock)


@pytest.fixture
def metrics(proxy_metrics: ProxyMetrics) -> ServiceMetrics:
    return proxy_metrics.service("orders")


@pytest.fixture
def command(metrics: ServiceMetrics) -> CommandMetrics:
    return metrics.command("orders")
