from structlog.testing import capture_logs

from admin.metrics import ProxyMetrics, RequestOutcome
from prana.journal import BreakerJournal, ShadowJournal, access_sink
from prana.request import Instead, Request, Response
from prana.resilience.breaker import Breaker, BreakerSettings
from prana.resilience.verdict import Verdict
from registry.instance import Instance, Status
from registry.snapshot import EMPTY, Snapshot


def instance(app: str, *vips: str) -> Instance:
    return Instance(app, "1", "h", "10.0.0.1", 80, Status.DOWN, vips=vips)


def test_a_service_that_an_endpoint_hides_is_told_of_once() -> None:
    journal = ShadowJournal()
    first = Snapshot.of([instance("STATUS"), instance("ORDERS", "hosts")])
    with capture_logs() as logs:
        journal.update(EMPTY)
        journal.update(first)
        journal.update(first.changed([instance("EUREKA")]))
    assert [(line["log_level"], line["service"], line["paths"]) for line in logs] == [
        ("warning", "status", "/status"),
        ("warning", "hosts", "/hosts and /hosts/NAME"),
        ("warning", "eureka", "/eureka/hosts"),
    ]


def test_the_access_log_says_which_fallback_answered_and_why() -> None:
    request, response = Request(b"GET", b"/orders/", [], 0.0), Response(200, b"OK", [], b"")
    log = access_sink("all")
    assert log is not None
    with capture_logs() as logs:
        log(request, response, RequestOutcome.SUCCESS, 0.1)
        response.fallback = Instead("last_good", "timeout")
        log(request, response, RequestOutcome.FALLBACK, 0.1)
    assert [(line.get("fallback"), line.get("fallback_reason")) for line in logs] == [
        (None, None),
        ("last_good", "timeout"),
    ]


def test_the_log_says_why_a_circuit_opened() -> None:
    breaker: Breaker = Breaker(
        "orders", BreakerSettings(request_volume=2), lambda: 0.0, [BreakerJournal("orders", lambda: breaker.reason)]
    )
    with capture_logs() as logs:
        for verdict in (Verdict.SUCCESS, Verdict.FAILURE):
            permit = breaker.admit()
            assert permit is not None
            breaker.record(permit, verdict)
    assert logs == [
        {
            "event": "breaker open",
            "log_level": "warning",
            "service": "orders",
            "before": "closed",
            "reason": "50 % of 2 recent requests to this service failed",
        }
    ]


def test_the_access_log_names_the_route() -> None:
    request, response = Request(b"GET", b"/orders/", [], 0.0), Response(200, b"OK", [], b"")
    metrics = ProxyMetrics(lambda: 0.0).service("orders")
    log = access_sink("all")
    assert log is not None
    with capture_logs() as logs:
        for key in ("orders", "orders:slow"):
            request.command = metrics.command(key)
            log(request, response, RequestOutcome.SUCCESS, 0.1)
    assert [line.get("route") for line in logs] == [None, "slow"]
