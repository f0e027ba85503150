"""What the admin port is told about the registrations of several apps."""

from collections.abc import Sequence
from random import Random
from typing import Any, cast

import pytest

from prana.apps import AppBeside
from prana.config.settings import App, Settings
from prana.views import Views
from registry.registration import Registration


def beside(name: str, port: int) -> AppBeside:
    app = App(name=name, port=port)
    registration = Registration(app=name, instance_id=name, host="h", ip="10.0.0.7", port=port, vip=name)
    writes = cast(Any, object())  # nothing is written here
    return AppBeside(app, registration, writes, located=writes, clock=lambda: 0.0, epoch_ms=lambda: 0, rng=Random(1))


def views_of(*apps: AppBeside) -> Views:
    nothing = cast(Any, None)  # these views read the apps alone
    views = Views(Settings(apps=(App(),)), nothing, nothing, nothing, {}, nothing, None, None, lambda: 0.0, 0.0)
    views.beside = apps
    return views


@pytest.mark.parametrize(
    ("heartbeats_epoch_s", "last_epoch_s"),
    [((), None), ((None,), None), ((5.0,), 5.0), ((5.0, 3.0), 3.0), ((5.0, None), None), ((None, 5.0), None)],
)
def test_the_last_heartbeat_is_that_of_the_app_furthest_behind(
    heartbeats_epoch_s: Sequence[float | None], last_epoch_s: float | None
) -> None:
    apps = [beside(f"app-{index}", 5000 + index) for index, _ in enumerate(heartbeats_epoch_s)]
    for app, epoch_s in zip(apps, heartbeats_epoch_s, strict=True):
        assert app.registrar is not None
        app.registrar.last_heartbeat_epoch_s = epoch_s
    assert views_of(*apps).eureka().last_heartbeat_epoch_s == last_epoch_s


def test_counts_are_those_of_all_apps() -> None:
    apps = [beside("orders", 5000), beside("billing", 5001)]
    for app, heartbeats in zip(apps, (2, 3), strict=True):
        assert app.registrar is not None
        app.registrar.heartbeats_total = heartbeats
        app.registrar.heartbeat_failures_total = app.registrar.registrations_total = 1
    seen = views_of(*apps).eureka()
    assert (seen.apps, seen.apps_registered, seen.registered) == (2, 0, False)
    assert (seen.heartbeats_total, seen.heartbeat_failures_total, seen.registrations_total) == (5, 2, 2)


def test_each_app_is_seen_with_its_own_health() -> None:
    orders, billing = views_of(beside("orders", 5000), beside("billing", 5001)).apps()
    assert (orders.key, billing.key) == ("orders:5000", "billing:5001")
    assert (orders.status, orders.healthy, orders.reason) == ("STARTING", None, "not checked yet")
    assert (orders.last_failure, orders.last_failure_age_s) == ("", None)


def test_only_what_is_to_be_registered_is_an_instance() -> None:
    watched = beside("billing", 5001)
    watched.registrar = None
    (instance,) = views_of(beside("orders", 5000), watched).info().instances
    assert instance["app"] == "orders"
