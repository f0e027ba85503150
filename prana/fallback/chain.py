"""The configured chain of a command, put together."""

from collections.abc import Mapping, Sequence
from itertools import chain

from msgspec import UnsetType

from prana.config.settings import Fallback, Settings
from prana.fallback.file import content_of
from prana.fallback.fixed import Fixed
from prana.fallback.substitute import Kind, Substitute
from prana.startup import StartupError


def contents_of_files(settings: Settings) -> Mapping[str, bytes]:
    """Of all files that fallbacks name, by their paths. Raises StartupError."""
    contents: dict[str, bytes] = {}
    for name, policy in settings.services.items():
        for step in chain.from_iterable(command.fallback for command in policy.commands):
            if not isinstance(step.file, UnsetType):
                try:
                    contents[step.file] = content_of(step.file)
                except ValueError as error:
                    raise StartupError(f"services.{name}.fallback.file: {error}") from None
    return contents


def chain_of(steps: Sequence[Fallback], files: Mapping[str, bytes]) -> Sequence[Substitute]:
    """In the order of the configuration."""
    return [_substitute(step, files) for step in steps]


def _substitute(step: Fallback, files: Mapping[str, bytes]) -> Substitute:
    if not isinstance(step.file, UnsetType):
        return Fixed(Kind.FILE, step.status, step.media_type, files[step.file])
    return Fixed(Kind.STATIC, step.status, step.media_type, step.content)
