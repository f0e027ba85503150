"""Configuration files of the programs that are started, from the templates in `configs/`."""

import re
from collections.abc import Mapping
from pathlib import Path

_TEMPLATES = Path(__file__).parent / "configs"
_NAME = re.compile(r"<<(\w+)>>")  # $, @, % and {} all mean something to one of the programs


def render(text: str, values: Mapping[str, object]) -> str:
    """Replaces each <<name>>; a name without a value is a KeyError."""
    return _NAME.sub(lambda match: str(values[match[1]]), text)


def write(template: str, directory: Path, values: Mapping[str, object]) -> None:
    """Renders one template into `directory`, under its own name."""
    (directory / template).write_text(render((_TEMPLATES / template).read_text(), values))
