"""Configurations written as properties: in a .properties file, in [properties] of TOML, in the environment."""

from collections.abc import Callable
from pathlib import Path

import pytest

from prana.config import ConfigError, Loaded, load

LoadProperties = Callable[[str], Loaded]
Lines = Callable[[str], list[str]]


@pytest.fixture(scope="session")
def properties_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config") / "prana.properties"


@pytest.fixture(scope="session")
def load_properties(properties_file: Path) -> LoadProperties:
    def load_it(text: str) -> Loaded:
        properties_file.write_text(text)
        return load(properties_file, {})

    return load_it


@pytest.fixture(scope="session")
def problems_of(load_properties: LoadProperties, properties_file: Path) -> Lines:
    """The lines that a user sees, the file being called "prana.properties"."""

    def problems(text: str) -> list[str]:
        try:
            load_properties(text)
        except ConfigError as error:
            return str(error).replace(str(properties_file), "prana.properties").splitlines()
        return []

    return problems


@pytest.fixture(scope="session")
def left_of(load_properties: LoadProperties, properties_file: Path) -> Lines:
    """What `prana check` lists as without counterpart."""

    def left(text: str) -> list[str]:
        without = load_properties(text).without_counterpart
        return [str(problem).replace(str(properties_file), "prana.properties") for problem in without]

    return left
