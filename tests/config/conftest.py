"""Configurations written as text, as the loader sees them: in a file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from prana.config import ConfigError, FlagValue, Loaded, load

Load = Callable[..., Loaded]
Problems = Callable[..., list[str]]


@pytest.fixture(scope="session")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config") / "prana.toml"


@pytest.fixture(scope="session")
def load_text(config_file: Path) -> Load:
    """Loads a text, an environment and flags."""

    def load_it(text: str = "", environ: dict[str, str] | None = None, *flags: FlagValue) -> Loaded:
        config_file.write_text(text)
        return load(config_file, environ or {}, flags)

    return load_it


@pytest.fixture(scope="session")
def problems_of(load_text: Load, config_file: Path) -> Problems:
    """The lines that a user sees for a text, an environment and flags, the file being called "prana.toml"."""

    def problems(text: str = "", environ: dict[str, str] | None = None, *flags: FlagValue) -> list[str]:
        try:
            load_text(text, environ, *flags)
        except ConfigError as error:
            return str(error).replace(str(config_file), "prana.toml").splitlines()
        return []

    return problems
