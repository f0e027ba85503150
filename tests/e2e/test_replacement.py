"""A new process takes the place of a running one: nobody is refused, nothing is reset, no lease is lost."""

import signal
import socket
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import StartApp, StartSidecar
from tests.e2e.eureka import Eureka
from tests.e2e.load import Load, Slow
from tests.e2e.processes import App, Sidecar, accepts, call, free_port, until

Settings = dict[str, dict[str, Any]]
UNDISTURBED = "not replaced: the successor ended before it was ready"


@pytest.fixture
def orders(start_app: StartApp) -> App:
    return start_app(f"orders-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def settings(orders: App, tmp_path: Path) -> Settings:
    return {
        "services": {"orders": {"instances": [f"127.0.0.1:{orders.port}"]}},
        "proxy": {"listen": [f"127.0.0.1:{free_port()}", f"unix:{tmp_path}/p.sock"]},
        "admin": {"listen": f"127.0.0.1:{free_port()}"},
        "shutdown": {"drain_delay": "500ms", "grace": "20s", "hand_over": f"{tmp_path}/hand-over.sock"},
    }


def until_in_flight(sidecar: Sidecar) -> None:
    until(lambda: sidecar.metrics["proxy"]["in_flight"] >= 1, "it to be in flight")


def test_a_chain_of_successors_refuses_and_resets_nobody(
    start_sidecar: StartSidecar, settings: Settings, tmp_path: Path
) -> None:
    running = start_sidecar(settings, "--replace")
    loads = [
        Load(running.port, "/orders/x", keeping=3, renewing=3),
        Load(f"{tmp_path}/p.sock", "/orders/x", keeping=1, renewing=1),
        Load(running.admin_port, "/livez", "GET", renewing=1),
    ]
    with loads[0], loads[1], loads[2]:
        for _ in range(2):  # the second takes over what the first was given
            slow = Slow(running.port, "/orders/?delay_s=1.5")
            until_in_flight(running)
            successor = start_sidecar(settings, "--replace")
            assert slow.end() == 200, "what is in flight stays with the old one"
            assert running.exit_code() == 0
            running = successor
        served = [load.served for load in loads]
        until(lambda: all(load.served > before for load, before in zip(loads, served, strict=True)), "service")
    for load in loads:
        assert (load.failures, load.refused) == ([], 0)


def until_registered(eureka: Eureka, app: App) -> None:
    until(lambda: eureka.status(app.name, f"{app.name}-1") == "UP", "the registration")


@pytest.fixture
def registered(settings: Settings, orders: App, embedded: Eureka) -> Settings:
    """With a lease of a second, so that one that nobody renews is seen to end."""
    health = {"url": f"http://127.0.0.1:{orders.port}/health", "interval": "100ms"}
    app = {"name": orders.name, "port": orders.port, "instance_id": f"{orders.name}-1", "health": health}
    eureka = {"urls": [embedded.url], "renewal_interval": "300ms", "lease_duration": "1s", "fetch_interval": "200ms"}
    return {**settings, "app": app, "eureka": eureka}


def test_the_registration_stays_up_all_the_time(
    start_sidecar: StartSidecar, registered: Settings, orders: App, embedded: Eureka
) -> None:
    running = start_sidecar(registered)
    until_registered(embedded, orders)
    before = embedded.instance(orders.name, f"{orders.name}-1")
    seen: set[str | None] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            seen.add(embedded.status(orders.name, f"{orders.name}-1"))
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    successor = start_sidecar(registered, "--replace")
    assert running.exit_code() == 0
    time.sleep(1.2)  # longer than the lease
    over.set()
    watcher.join()
    assert seen == {"UP"}
    after = embedded.instance(orders.name, f"{orders.name}-1")
    assert before is not None
    assert after is not None
    assert int(after["lastDirtyTimestamp"]) > int(before["lastDirtyTimestamp"])
    assert not running.events("deregistered")
    assert call(successor.admin_port, "/readyz").status == 200
    successor.signal(signal.SIGTERM)
    assert successor.exit_code() == 0
    assert embedded.status(orders.name, f"{orders.name}-1") is None


def test_an_app_that_the_successor_does_not_keep_is_deregistered(
    start_sidecar: StartSidecar, registered: Settings, orders: App, embedded: Eureka
) -> None:
    running = start_sidecar(registered)
    until_registered(embedded, orders)
    other = {**registered["app"], "instance_id": f"{orders.name}-2"}
    start_sidecar({**registered, "app": other}, "--replace")
    assert running.exit_code() == 0
    assert embedded.status(orders.name, f"{orders.name}-1") is None
    until(lambda: embedded.status(orders.name, f"{orders.name}-2") == "UP", "the new registration")


def test_a_successor_that_ends_before_it_is_ready_changes_nothing(
    start_sidecar: StartSidecar, registered: Settings, orders: App, embedded: Eureka
) -> None:
    unix = registered["proxy"]["listen"][1].removeprefix("unix:")
    running = start_sidecar(registered)
    until_registered(embedded, orders)
    with Load(running.port, "/orders/", keeping=1, renewing=1) as load, Load(unix, "/orders/", renewing=1) as more:
        app = {**registered["app"], "health": {"url": "http://127.0.0.1:1/"}}  # so it waits for it
        heir = start_sidecar({**registered, "app": app}, "--replace", listens=False)
        until(lambda: running.events("a successor is starting"), "the hand-over to begin")
        until(lambda: heir.events("ports taken over, not open yet"), "its start")
        heir.signal(signal.SIGTERM)
        assert heir.exit_code() == 0
        until(lambda: running.events(UNDISTURBED), "the old one to notice")
        served = load.served, more.served
        until(lambda: load.served > served[0] and more.served > served[1], "service")
    assert (load.failures, load.refused, more.failures, more.refused) == ([], 0, [], 0)
    assert embedded.status(orders.name, f"{orders.name}-1") == "UP"
    start_sidecar(registered, "--replace")
    assert running.exit_code() == 0, "the next one succeeds it"


def test_a_successor_that_cannot_start_changes_nothing(
    start_sidecar: StartSidecar, settings: Settings, orders: App
) -> None:
    running = start_sidecar(settings)
    listen = [*settings["proxy"]["listen"], f"127.0.0.1:{orders.port}"]
    heir = start_sidecar({**settings, "proxy": {"listen": listen}}, "--replace", listens=False)
    assert heir.exit_code() == 1
    assert f"port {orders.port} is taken" in heir.output
    until(lambda: running.events(UNDISTURBED), "the old one to notice")
    with Load(running.port, "/orders/", renewing=1) as load, Load(listen[1][5:], "/orders/", renewing=1) as more:
        until(lambda: load.served and more.served, "service")
    assert (load.failures, load.refused, more.failures, more.refused) == ([], 0, [], 0)


def test_a_replaced_process_may_be_told_to_stop(start_sidecar: StartSidecar, settings: Settings) -> None:
    """As a supervisor does that starts the new one and then stops the old one."""
    running = start_sidecar(settings)
    slow = Slow(running.port, "/orders/?delay_s=2")
    until_in_flight(running)
    start_sidecar(settings, "--replace")
    running.signal(signal.SIGTERM)
    assert slow.end() == 200
    assert running.exit_code() == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_ends_while_its_successor_starts_leaves_everything_to_it(
    start_sidecar: StartSidecar, registered: Settings, orders: App, embedded: Eureka, number: signal.Signals
) -> None:
    unix = registered["proxy"]["listen"][1].removeprefix("unix:")
    running = start_sidecar(registered)
    until_registered(embedded, orders)
    orders.set_health(500)  # so the successor waits
    heir = start_sidecar(registered, "--replace", listens=False)
    until(lambda: heir.events("ports taken over, not open yet"), "its start")
    with Load(running.port, "/orders/", renewing=2) as load, Load(unix, "/orders/", renewing=1) as more:
        running.signal(number)
        running.exit_code()
        served = load.served, more.served
        until(lambda: load.served > served[0] + 5 and more.served > served[1] + 5, "service")
    assert (load.refused, more.refused) == (0, 0)
    assert number is signal.SIGKILL or (load.failures, more.failures) == ([], []), "who was served may be cut by a kill"
    orders.set_health(200)
    until_registered(embedded, orders)
    heir.signal(signal.SIGTERM)
    assert heir.exit_code() == 0
    assert not Path(unix).exists()
    assert not Path(registered["shutdown"]["hand_over"]).exists()


def test_it_takes_a_path_and_the_flag_to_replace(start_sidecar: StartSidecar, settings: Settings) -> None:
    running = start_sidecar(settings)
    second = start_sidecar(settings, listens=False)
    assert second.exit_code() == 1
    assert "is taken" in second.output
    nowhere = start_sidecar({**settings, "shutdown": {}}, "--replace", listens=False)
    assert nowhere.exit_code() == 2
    assert "shutdown.hand_over" in nowhere.output
    assert running.running


def test_the_path_may_belong_to_something_else(start_sidecar: StartSidecar, settings: Settings) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(settings["shutdown"]["hand_over"])
        other.listen()
        sidecar = start_sidecar(settings, "--replace", listens=False)
        other.accept()[0].close()
        assert sidecar.exit_code() == 1
        assert "is being replaced, or is no Prana" in sidecar.output


LIKE_SYSTEMD = """
import os, socket, sys
sockets = [socket.create_server(("127.0.0.1", int(port))) for port in sys.argv[1].split(",")]
for number, sock in enumerate(sockets, 3):
    os.dup2(sock.fileno(), number + 10, inheritable=False)
for number in range(3, 3 + len(sockets)):
    os.dup2(number + 10, number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(sockets)))
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_the_sockets_of_systemd_are_used(start_sidecar: StartSidecar, settings: Settings) -> None:
    """sd_listen_fds(3). One that cannot be bound again would show if they were not."""
    mine, surplus = settings["proxy"]["listen"][0].rpartition(":")[2], str(free_port())
    admin = settings["admin"]["listen"].rpartition(":")[2]
    prefix = (sys.executable, "-c", LIKE_SYSTEMD, ",".join([admin, surplus, mine]))
    sidecar = start_sidecar(settings, prefix=prefix)
    assert call(sidecar.port, "/orders/").status == 200
    assert call(sidecar.admin_port, "/livez").status == 200
    (unused,) = sidecar.events("a listening socket passed to us is not in the configuration")
    assert surplus in str(unused["address"])
    assert not accepts(int(surplus))
