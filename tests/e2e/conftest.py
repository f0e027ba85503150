"""Real processes: fixtures that start them, and see to it that none is left."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.eureka import EmbeddedServer, Eureka
from tests.e2e.processes import App, Sidecar

StartApp = Callable[..., App]
StartSidecar = Callable[..., Sidecar]


@pytest.fixture(scope="session")
def embedded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(tmp_path_factory.mktemp("registry") / "server.log")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(params=["embedded_server", pytest.param("spring_eureka", marks=pytest.mark.eureka)])
def eureka(request: pytest.FixtureRequest) -> Eureka:
    """The same test against both servers. They are shared, so each test uses an app name of its own."""
    return Eureka(request.getfixturevalue(request.param))


@pytest.fixture
def embedded(embedded_server: EmbeddedServer) -> Eureka:
    """The embedded server, for tests that are not about registration."""
    return Eureka(embedded_server)


@pytest.fixture
def start_app(tmp_path: Path) -> Iterator[StartApp]:
    started: list[App] = []

    def start(name: str = "app") -> App:
        app = App(name, tmp_path)
        started.append(app)
        app.start()
        return app

    yield start
    for app in started:
        app.kill()


@pytest.fixture
def start_sidecar(tmp_path: Path) -> Iterator[StartSidecar]:
    """Start `prana run` with these settings, as the sections of its file. None may log an internal error."""
    started: list[Sidecar] = []

    def start(settings: Mapping[str, Any], *flags: str, prefix: Sequence[str] = (), listens: bool = True) -> Sidecar:
        directory = tmp_path / f"sidecar-{len(started)}"
        directory.mkdir()
        sidecar = Sidecar(directory, settings, *flags, prefix=prefix, listens=listens)
        started.append(sidecar)
        return sidecar

    yield start
    for sidecar in started:
        sidecar.end()
        assert "Traceback" not in sidecar.output
        assert not sidecar.events("internal error")
