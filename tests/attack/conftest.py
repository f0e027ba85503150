"""A sidecar of its own for each attack, and the table of what all of them did."""

import resource
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tests.attack.instance import HostileInstance
from tests.attack.site import Figures, Probe, Site
from tests.e2e.processes import App, Sidecar, until

_FIGURES = pytest.StashKey[list[Figures]]()
StartSite = Callable[..., Awaitable[Site]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if sys.platform != "linux":
        for item in items:
            item.add_marker(pytest.mark.skip(reason="reads figures from /proc"))


@pytest.fixture(scope="session", autouse=True)
def many_descriptors() -> None:
    """An attacker needs them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.fixture
async def hostile() -> AsyncIterator[HostileInstance]:
    instance = HostileInstance()
    await instance.start()
    yield instance
    await instance.stop()


@pytest.fixture
def start_site(tmp_path: Path, hostile: HostileInstance) -> Iterator[Callable[..., Site]]:
    """Start a sidecar with the services `healthy`, which the probe asks, and `hostile`."""
    app = App("healthy", tmp_path)
    started: list[Probe | Sidecar] = []

    def start(idle_timeout: str, quiet_s: float) -> Site:
        app.start()
        policy: dict[str, Any] = {
            "instances": [f"127.0.0.1:{hostile.port}"],
            "idle_timeout": idle_timeout,
            "max_concurrent": 5000,
        }
        # Nothing but the limits of the wire shall protect the sidecar here.
        policy |= {"timeout": "10m", "attempt_timeout": "10m"}
        policy |= {"breaker": {"enabled": False}, "eject": {"max_ejected_percent": 0}, "retry": {"max_retries": 0}}
        services = {"healthy": {"instances": [f"127.0.0.1:{app.port}"]}, "hostile": policy}
        sidecar = Sidecar(tmp_path, {"services": services})
        probe = Probe(tmp_path / "probe.log", sidecar.port, "/healthy/")
        direct = Probe(tmp_path / "direct.log", app.port, "/")
        started.extend((probe, direct, sidecar))
        until(lambda: probe.output.count("\n") > 20, "the probe to get going")
        return Site(sidecar, probe, direct, quiet_s)

    yield start
    for process in started:
        process.end()
        assert not isinstance(process, Sidecar) or "Traceback" not in process.output
    app.kill()


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[[Figures], None]:
    return request.config.stash.setdefault(_FIGURES, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    figures = config.stash.get(_FIGURES, [])
    if not figures:
        return
    rows = [[field.name for field in fields(Figures)], *(each.columns() for each in figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    terminalreporter.section("attacks")
    for row in rows:
        terminalreporter.write_line("  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)))
