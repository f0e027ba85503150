"""What is wrong, or doubtful, with settings that are each right by themselves."""

from dataclasses import dataclass

from prana.config.positions import Path


@dataclass(frozen=True, slots=True)
class Finding:
    """`paths` are the keys that it is about, the one to point at first. A warning stops nothing."""

    paths: tuple[Path, ...]
    message: str
    warning: bool = False
