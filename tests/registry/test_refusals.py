from structlog.testing import capture_logs

from registry.instance import Instance
from registry.refusals import Refusals
from registry.snapshot import EMPTY, Snapshot


def registry(*names: str) -> Snapshot:
    instances = [Instance(app="A", id=name, host=name, ip="10.0.0.1", port=80) for name in names]
    return Snapshot.of(instances, lambda each: "loopback" if each.id.startswith("bad") else None)


def test_each_refused_instance_is_logged_and_counted_once_while_it_is_listed() -> None:
    refusals = Refusals()
    with capture_logs() as logs:
        refusals.listed(registry("good", "bad-1"))
        refusals.listed(registry("good", "bad-1", "bad-2"))
        refusals.listed(registry("bad-1", "bad-2"))
    assert [(line["app"], line["instance"], line["reason"]) for line in logs] == [
        ("A", "bad-1", "loopback"),
        ("A", "bad-2", "loopback"),
    ]
    assert refusals.total == {"loopback": 2}


def test_one_that_comes_back_is_said_again() -> None:
    refusals = Refusals()
    for snapshot in (registry("bad"), EMPTY, registry("bad")):
        refusals.listed(snapshot)
    assert refusals.total == {"loopback": 2}


def test_a_registry_full_of_them_does_not_fill_the_log() -> None:
    refusals = Refusals()
    with capture_logs() as logs:
        refusals.listed(registry(*(f"bad-{number}" for number in range(1000))))
    assert len(logs) == 21
    assert logs[-1]["count"] == 980
    assert refusals.total == {"loopback": 1000}


def test_an_address_that_is_not_dialled_is_said_once() -> None:
    refusals = Refusals()
    with capture_logs() as logs:
        for _ in range(5):
            refusals.dialled("evil", "169.254.169.254", "metadata")
        refusals.dialled("evil", "127.0.0.1", "loopback")
        for number in range(2000):
            refusals.dialled(f"evil-{number}", "::1", "loopback")
    assert refusals.total == {"metadata": 1, "loopback": 2001}
    assert logs[0]["host"] == "evil"
    assert len(refusals._dialled) <= 1000
