"""What tests of several packages share: Java, and the real Eureka servers that need it."""

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import pytest

from tests.eureka.flavours import netflix, spring_cloud
from tests.eureka.server import RealEureka
from tests.eureka.toolchain import JavaUnavailableError, Toolchain, find_toolchain

# A deadline is wall-clock time, and a busy machine is no defect.
hypothesis.settings.register_profile("prana", deadline=None)
hypothesis.settings.load_profile("prana")

LOGS = pytest.StashKey[list[Path]]()
SHOWN_CHARACTERS = 4000


@pytest.fixture(scope="session")
def logs(pytestconfig: pytest.Config) -> list[Path]:
    """Logs whose ends are shown with every failure of a test marked `eureka`."""
    return pytestconfig.stash.setdefault(LOGS, [])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """For runs with several processes; all others need no xdist."""
    from tests.scheduling import SharedServers

    return SharedServers(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A fixture's first Maven build takes minutes and has a limit of its own; the usual one is for the test alone."""
    for item in items:
        if item.get_closest_marker("eureka"):
            item.add_marker(pytest.mark.timeout(func_only=True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and item.get_closest_marker("eureka"):
        for log in item.config.stash.get(LOGS, []):
            report.sections.append((f"end of {log.name}", log.read_text(errors="replace")[-SHOWN_CHARACTERS:]))
    return report


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    """Java and Maven; skips the test where there are none, or fails it if they are required."""
    try:
        return find_toolchain()
    except JavaUnavailableError as error:
        unavailable(error)


@pytest.fixture(scope="session")
def spring_eureka(
    toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory, logs: list[Path]
) -> Iterator[RealEureka]:
    """A running Spring Cloud Eureka server; whoever stops it starts it again."""
    yield from _running(spring_cloud, toolchain, tmp_path_factory.mktemp("spring"), logs)


@pytest.fixture(scope="session")
def netflix_eureka(
    toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory, logs: list[Path]
) -> Iterator[RealEureka]:
    """A running Eureka server of Netflix's own make; whoever stops it starts it again."""
    yield from _running(netflix, toolchain, tmp_path_factory.mktemp("netflix"), logs)


def _running(
    make: Callable[[Toolchain, Path], RealEureka], toolchain: Toolchain, directory: Path, logs: list[Path]
) -> Iterator[RealEureka]:
    try:
        server = make(toolchain, directory)
    except JavaUnavailableError as error:
        unavailable(error)
    server.start()
    logs.append(server.log)
    yield server
    server.stop()


def unavailable(error: JavaUnavailableError) -> NoReturn:
    """Ends a test that needs what this machine lacks."""
    if os.environ.get("PRANA_REQUIRE_EUREKA") == "1":
        pytest.fail(f"Java programs are required: {error}")
    pytest.skip(f"no Java programs: {error}")
