"""The circuit breaker as callers and operators see it, and as the instance feels it."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from tests.e2e.conftest import StartApp, StartSidecar
from tests.e2e.processes import Answer, App, Sidecar, call, until

VOLUME = 20  # the default
SLEEP_WINDOW_S = 1
FALLBACK = {"recommendations": [], "fallback": True}


class Service:
    """`shop`, with one instance that fails when a request asks it to."""

    def __init__(self, sidecar: Sidecar, app: App) -> None:
        self.sidecar = sidecar
        self.app = app

    def call(self, *, failing: bool = False, path: str = "") -> Answer:
        return call(self.sidecar.port, f"/shop/{path}" + ("?status=500" if failing else ""))

    @property
    def state(self) -> str:
        state: str = self.sidecar.service("shop")["breaker"]["state"]
        return state

    def open_circuit(self) -> None:
        for _ in range(VOLUME):
            self.call(failing=True)
        assert self.state == "open"


@pytest.fixture
def app(start_app: StartApp) -> App:
    return start_app("shop")


def settings(app: App, **policy: Mapping[str, Any]) -> dict[str, Any]:
    # A long window, so that a busy machine does not spread the calls of a test over two.
    breaker = {"window": "60s", "sleep_window": f"{SLEEP_WINDOW_S}s"}
    return {"services": {"shop": {"instances": [f"127.0.0.1:{app.port}"], "breaker": breaker, **policy}}}


@pytest.fixture
def service(app: App, start_sidecar: StartSidecar) -> Service:
    return Service(start_sidecar(settings(app)), app)


@pytest.fixture
def guarded(app: App, start_sidecar: StartSidecar) -> Service:
    """With a fallback."""
    return Service(start_sidecar(settings(app, fallback={"status": 200, "json": FALLBACK})), app)


def test_it_opens_at_the_twentieth_request_when_half_have_failed(service: Service) -> None:
    for number in range(VOLUME - 1):
        assert service.call(failing=number < VOLUME / 2).status == (500 if number < VOLUME / 2 else 200)
    assert service.state == "closed", "too few requests to judge by"
    assert service.call().status == 200
    assert service.state == "open"
    refused = service.call()
    assert refused.status == 503
    assert refused.headers["Proxy-Status"] == "prana; error=destination_unavailable; details=circuit_open"
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.json["type"] == "urn:prana:error:circuit_open"
    assert service.app.seen == VOLUME, "the refused one was not sent"
    assert [event["service"] for event in service.sidecar.events("breaker open")] == ["shop"]


def test_it_stays_closed_when_less_than_half_have_failed(service: Service) -> None:
    for number in range(VOLUME):
        service.call(failing=number < 9)
    assert service.state == "closed"
    assert service.call().status == 200


def test_the_fallback_answers_for_failures_and_for_the_open_circuit(guarded: Service) -> None:
    for reason in ["http_500"] * VOLUME + ["circuit_open"]:
        answer = guarded.call(failing=True)
        assert (answer.status, answer.json) == (200, FALLBACK)
        assert answer.headers["X-Prana-Fallback"] == f"static; reason={reason}"
        assert answer.headers["Content-Type"] == "application/json"
    assert guarded.app.seen == VOLUME


def test_the_admin_port_shows_it_in_every_form(guarded: Service) -> None:
    sidecar = guarded.sidecar
    guarded.open_circuit()
    guarded.call()

    seen = sidecar.metrics["hystrix"]["shop"]
    assert seen["isCircuitBreakerOpen"] is True
    assert (seen["requestCount"], seen["errorCount"], seen["errorPercentage"]) == (VOLUME, VOLUME, 100)
    assert (seen["rollingCountShortCircuited"], seen["rollingCountFallbackSuccess"]) == (1, VOLUME + 1)

    lines = [
        'prana_circuit_state{service="shop",state="open"} 1',
        'prana_circuit_state{service="shop",state="closed"} 0',
        'prana_short_circuited_total{service="shop"} 1',
        f'prana_fallbacks_total{{service="shop",outcome="success"}} {VOLUME + 1}',
    ]
    prometheus = sidecar.admin("/metrics", "text/plain")
    assert prometheus.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert set(lines) <= set(prometheus.body.decode().splitlines())
    openmetrics = sidecar.admin("/metrics", "application/openmetrics-text")
    assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert set(lines) <= set(openmetrics.body.decode().splitlines())
    assert openmetrics.body.endswith(b"# EOF\n")

    (summary,) = sidecar.admin("/services").json["services"]
    assert (summary["name"], summary["breaker"], summary["requests_total"]) == ("shop", "open", VOLUME + 1)
    assert 0 < sidecar.service("shop")["breaker"]["retry_after_s"] <= SLEEP_WINDOW_S


def test_exactly_one_trial_closes_it_after_the_sleep_window(guarded: Service) -> None:
    guarded.open_circuit()
    until(lambda: guarded.sidecar.service("shop")["breaker"]["retry_after_s"] == 0, "the sleep window to pass")
    seen = guarded.app.seen
    answers: list[Answer] = []
    callers = [threading.Thread(target=lambda: answers.append(guarded.call(path="?delay_s=1"))) for _ in range(10)]
    for caller in callers:
        caller.start()
    until(lambda: len(answers) == 9, "all but the trial to be answered at once")
    assert {answer.headers["X-Prana-Fallback"] for answer in answers} == {"static; reason=circuit_open"}
    assert guarded.state == "half-open"
    assert guarded.app.seen == seen + 1
    for caller in callers:
        caller.join()
    assert guarded.state == "closed"
    assert "X-Prana-Fallback" not in answers[-1].headers
    assert guarded.call().json["app"] == "shop"


def test_a_failed_trial_opens_it_for_another_sleep_window(service: Service) -> None:
    service.open_circuit()
    until(lambda: service.sidecar.service("shop")["breaker"]["retry_after_s"] == 0, "the sleep window to pass")
    assert service.call(failing=True).status == 500
    assert service.state == "open"
    seen = service.app.seen
    assert service.call().status == 503
    assert service.app.seen == seen
