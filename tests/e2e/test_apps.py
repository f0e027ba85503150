"""One sidecar beside two apps, in the embedded and in a real Eureka server."""

import signal
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import StartApp, StartSidecar
from tests.e2e.eureka import Eureka
from tests.e2e.processes import App, Sidecar, call, until


class Two:
    """Orders, checked over HTTP, and billing, checked by a command that fails while a file has a reason for it."""

    def __init__(self, orders: App, billing: App, trouble: Path) -> None:
        self.orders, self.billing = orders, billing
        self._trouble = trouble

    def settings(self, eureka: Eureka) -> dict[str, Any]:
        check = f"test ! -e '{self._trouble}' || {{ cat '{self._trouble}'; exit 3; }}"
        quick = {"interval": "100ms", "fall": 2}
        return {
            "app": [
                self._app(self.orders, {"url": f"http://127.0.0.1:{self.orders.port}/health", **quick}),
                self._app(self.billing, {"command": ["sh", "-c", check], "timeout": "10s", **quick}),
            ],
            "eureka": {
                "urls": [eureka.url],
                "renewal_interval": "1s",
                "lease_duration": "3s",
                "fetch_interval": "200ms",
            },
        }

    def _app(self, app: App, health: dict[str, Any]) -> dict[str, Any]:
        return {"name": app.name, "port": app.port, "instance_id": f"{app.name}-1", "health": health}

    def break_billing(self, reason: str) -> None:
        self._trouble.write_text(reason)

    def mend_billing(self) -> None:
        self._trouble.unlink()

    def until_statuses(self, eureka: Eureka, orders: str | None, billing: str | None) -> None:
        def seen() -> bool:
            return [eureka.status(app.name, f"{app.name}-1") for app in (self.orders, self.billing)] == [
                orders,
                billing,
            ]

        until(seen, f"orders to be {orders} and billing to be {billing}")


@pytest.fixture
def two(start_app: StartApp, tmp_path: Path) -> Two:
    """Two apps with names that no other test uses."""
    unique = uuid.uuid4().hex[:8]
    return Two(start_app(f"orders-{unique}"), start_app(f"billing-{unique}"), tmp_path / "trouble")


def app_health(sidecar: Sidecar, app: App) -> dict[str, Any]:
    """What the sidecar says about one of its apps."""
    shown: dict[str, Any] = sidecar.admin("/health").json["components"]["app"]["components"][f"{app.name}:{app.port}"]
    return shown


def test_both_apps_are_registered_and_callable(eureka: Eureka, two: Two, start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(two.settings(eureka))
    two.until_statuses(eureka, "UP", "UP")
    until(lambda: sidecar.ready, "the sidecar to be ready")
    for app in (two.orders, two.billing):
        until(lambda app=app: call(sidecar.port, f"/{app.name}/").status == 200, f"{app.name} to be callable")  # type: ignore[misc]
        assert call(sidecar.port, f"/{app.name}/").json["app"] == app.name
        registered = eureka.instance(app.name, f"{app.name}-1")
        assert registered is not None
        assert registered["port"]["$"] == app.port
        page = registered["healthCheckUrl"].partition(f":{sidecar.admin_port}")[2]
        assert sidecar.admin(page).json["components"]["app"]["details"]["name"] == app.name
    seen = sidecar.metrics["eureka"]
    assert (seen["registered"], seen["apps"], seen["apps_registered"]) == (True, 2, 2)
    assert 'prana_apps{state="UP"} 2' in sidecar.admin("/prometheus").body.decode()
    ids = [instance["instance_id"] for instance in sidecar.admin("/info").json["instances"]]
    assert ids == [f"{two.orders.name}-1", f"{two.billing.name}-1"]


def test_only_the_app_whose_check_fails_goes_down(eureka: Eureka, two: Two, start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(two.settings(eureka))
    two.until_statuses(eureka, "UP", "UP")
    two.break_billing("no database\nand more of it\n")
    two.until_statuses(eureka, "UP", "DOWN")
    answer = sidecar.admin("/health")
    assert (answer.status, answer.json["status"]) == (503, "DOWN")
    assert app_health(sidecar, two.orders)["status"] == "UP"
    billing = app_health(sidecar, two.billing)
    assert (billing["status"], billing["details"]["reason"]) == ("DOWN", "exit code 3: no database")
    assert sidecar.ready, "readiness is not the apps' health"
    two.mend_billing()
    two.until_statuses(eureka, "UP", "UP")
    until(lambda: sidecar.admin("/health").status == 200, "all to be well")
    details = app_health(sidecar, two.billing)["details"]
    assert (details["reason"], details["last_failure"]) == ("exit code 0", "exit code 3: no database")
    two.orders.set_health(500)
    two.until_statuses(eureka, "DOWN", "UP")


def test_sigterm_takes_both_out_of_service_and_then_out_of_eureka(
    eureka: Eureka, two: Two, start_sidecar: StartSidecar
) -> None:
    settings = two.settings(eureka) | {"shutdown": {"drain_delay": "3s"}}
    sidecar = start_sidecar(settings)
    two.until_statuses(eureka, "UP", "UP")
    sidecar.signal(signal.SIGTERM)
    two.until_statuses(eureka, "OUT_OF_SERVICE", "OUT_OF_SERVICE")
    assert sidecar.exit_code() == 0
    two.until_statuses(eureka, None, None)
    assert len(sidecar.events("deregistered")) == 2


def test_an_app_that_flaps_is_held_down_until_it_has_calmed(
    embedded: Eureka, two: Two, start_sidecar: StartSidecar
) -> None:
    settings = two.settings(embedded)
    settings["app"][1]["health"] |= {"fall": 1, "max_changes": 2, "window": "4s"}
    sidecar = start_sidecar(settings)
    two.until_statuses(embedded, "UP", "UP")
    for _ in range(2):
        two.break_billing("no database")
        until(lambda: app_health(sidecar, two.billing)["status"] == "DOWN", "billing to be down")
        two.mend_billing()
        until(lambda: "exit code 0" in app_health(sidecar, two.billing)["details"]["reason"], "its check to succeed")
    held = app_health(sidecar, two.billing)
    assert held["status"] == "DOWN"
    assert held["details"]["reason"].startswith("exit code 0, but flapping: more than 2 changes in 4 s; up in ")
    two.until_statuses(embedded, "UP", "UP")
