"""What tests of several packages share: the real Eureka server."""

import os
from collections.abc import Iterator
from typing import NoReturn

import pytest

from tests.eureka.spring_eureka import EurekaUnavailableError, SpringEureka, build_jar, find_toolchain


@pytest.fixture(scope="session")
def spring_eureka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpringEureka]:
    """A running Spring Cloud Eureka server; whoever stops it starts it again."""
    try:
        tools = find_toolchain()
        jar = build_jar(tools.mvn)
    except EurekaUnavailableError as error:
        _unavailable(str(error))
    server = SpringEureka(tools.java, jar, tmp_path_factory.mktemp("eureka") / "server.log")
    server.start()
    yield server
    server.stop()


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("PRANA_REQUIRE_EUREKA") == "1":
        pytest.fail(f"a real Eureka server is required: {reason}")
    pytest.skip(f"no real Eureka server: {reason}")
