"""SIGTERM and SIGINT under load: what fits in the grace is answered, and nothing else holds up the end."""

import signal
import time

import pytest

from tests.e2e.conftest import StartApp, StartSidecar
from tests.e2e.load import Load, Slow
from tests.e2e.processes import App, accepts, call, until


@pytest.fixture
def orders(start_app: StartApp) -> App:
    return start_app("orders")


def static(orders: App, drain_delay: str) -> dict[str, dict[str, object]]:
    instances = [f"127.0.0.1:{orders.port}"]
    return {
        "services": {"orders": {"instances": instances}},
        "shutdown": {"drain_delay": drain_delay, "grace": "20s"},
    }


def test_sigterm_under_load_fails_no_request(start_sidecar: StartSidecar, orders: App) -> None:
    sidecar = start_sidecar(static(orders, "700ms"))
    with Load(sidecar.port, "/orders/x", keeping=4, renewing=4) as load:
        until(lambda: load.served > 100, "load")
        slow = Slow(sidecar.port, "/orders/?delay_s=1.5")
        upload = Slow(sidecar.port, "/orders/upload", upload_s=1.5)
        until(lambda: sidecar.metrics["proxy"]["in_flight"] >= 2, "both to be in flight")
        sidecar.signal(signal.SIGTERM)
        until(lambda: not sidecar.ready, "readiness to go")
        served = load.served
        time.sleep(0.3)
        assert load.served > served, "served during the drain delay"
        until(lambda: not accepts(sidecar.port), "the port to close")
        assert call(sidecar.admin_port, "/livez").status == 200, "the admin port stays until the end"
        assert (slow.end(), upload.end()) == (200, 200)
        assert sidecar.exit_code() == 0
    assert not load.failures
    assert load.asked_to_close


def test_ctrl_c_waits_for_what_is_in_flight_and_for_nothing_else(start_sidecar: StartSidecar, orders: App) -> None:
    sidecar = start_sidecar(static(orders, "1h"))
    with Load(sidecar.port, "/orders/x", keeping=2, renewing=2) as load:
        until(lambda: load.served > 50, "load")
        slow = Slow(sidecar.port, "/orders/?delay_s=1")
        until(lambda: sidecar.metrics["proxy"]["in_flight"] >= 1, "it to be in flight")
        sidecar.signal(signal.SIGINT)
        assert slow.end() == 200
        assert sidecar.exit_code() == 0
    assert not load.failures


@pytest.mark.parametrize(
    ("second", "code"), [pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow), (signal.SIGINT, 130)]
)
def test_a_second_signal_ends_it_at_once(
    start_sidecar: StartSidecar, orders: App, second: signal.Signals, code: int
) -> None:
    sidecar = start_sidecar(static(orders, "1h"))
    sidecar.signal(signal.SIGTERM)
    until(lambda: sidecar.events("draining"), "the drain to begin")
    sidecar.signal(second)
    assert sidecar.exit_code() == code
