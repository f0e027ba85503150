"""What tests of several packages share: Java, and the real Eureka servers that need it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.eureka.flavours import netflix, spring_cloud
from tests.eureka.server import RealEureka
from tests.eureka.toolchain import JavaUnavailableError, Toolchain, find_toolchain


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    """Java and Maven; skips the test where there are none, or fails it if they are required."""
    try:
        return find_toolchain()
    except JavaUnavailableError as error:
        unavailable(error)


@pytest.fixture(scope="session")
def spring_eureka(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealEureka]:
    """A running Spring Cloud Eureka server; whoever stops it starts it again."""
    yield from _running(spring_cloud, toolchain, tmp_path_factory.mktemp("spring"))


@pytest.fixture(scope="session")
def netflix_eureka(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealEureka]:
    """A running Eureka server of Netflix's own make; whoever stops it starts it again."""
    yield from _running(netflix, toolchain, tmp_path_factory.mktemp("netflix"))


def _running(
    make: Callable[[Toolchain, Path], RealEureka], toolchain: Toolchain, directory: Path
) -> Iterator[RealEureka]:
    try:
        server = make(toolchain, directory)
    except JavaUnavailableError as error:
        unavailable(error)
    server.start()
    yield server
    server.stop()


def unavailable(error: JavaUnavailableError) -> NoReturn:
    """Ends a test that needs what this machine lacks."""
    if os.environ.get("PRANA_REQUIRE_EUREKA") == "1":
        pytest.fail(f"Java programs are required: {error}")
    pytest.skip(f"no Java programs: {error}")
