from structlog.testing import capture_logs

from prana.journal import ShadowJournal
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
