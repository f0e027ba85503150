"""The configured chain of a command, put together."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

from msgspec import UnsetType

from prana.config.settings import Fallback, Settings
from prana.fallback.elsewhere import Elsewhere, Find
from prana.fallback.file import content_of
from prana.fallback.fixed import Fixed
from prana.fallback.last_good import LastGood
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


class Chains:
    """Makes the chain of a command."""

    def __init__(self, files: Mapping[str, bytes], find: Find, clock: Callable[[], float]) -> None:
        """`files` are the contents of those that fallbacks name, `find` finds the services."""
        self._files = files
        self._find = find
        self._clock = clock

    def chain_of(self, steps: Sequence[Fallback]) -> Sequence[Substitute]:
        """In the order of the configuration."""
        return [self._substitute(step) for step in steps]

    def _substitute(self, step: Fallback) -> Substitute:
        if not isinstance(step.service, UnsetType):
            return Elsewhere(step.service, self._find, self._clock)
        if step.last_good is True:
            return LastGood(step.max_age, step.max_entry_bytes, step.max_bytes, self._clock)
        if not isinstance(step.file, UnsetType):
            return Fixed(Kind.FILE, step.status, step.media_type, self._files[step.file])
        return Fixed(Kind.STATIC, step.status, step.media_type, step.content)


def last_good_of(chain: Sequence[Substitute]) -> LastGood | None:
    return next((each for each in chain if isinstance(each, LastGood)), None)
