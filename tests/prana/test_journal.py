from structlog.testing import capture_logs

from admin.metrics import RequestOutcome
from prana.journal import ShadowJournal, access_sink
from prana.request import Instead, Request, Response
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
