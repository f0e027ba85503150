"""What is wrong, or doubtful, with a chain of fallbacks."""

from collections.abc import Container, Iterator, Sequence

from msgspec import UnsetType

from prana.config.finding import Finding
from prana.config.positions import Path
from prana.config.settings import FALLBACK_KINDS, Fallback, Settings
from prana.config.shapes import Tables
from prana.config.sources import dotted
from prana.fallback.file import content_of


def fallback_findings(
    at: Path, chain: Sequence[Fallback], settings: Settings, given: Container[Path]
) -> Iterator[Finding]:
    """Of the chain at this path, which begins with that of its service."""
    steps = Tables.located(at, chain)
    for step_at, step in steps:
        yield from _kind(step_at, step, given)
        yield from _file(step_at, step)
        yield from _service(step_at, step, settings)
    keeping = [(*step_at, "last_good") for step_at, step in steps if step.last_good is True]
    for repeated in keeping[1:]:
        yield Finding((repeated,), f"is given already in {dotted(keeping[0])}; once is enough")
    always = next((index for index, (_, step) in enumerate(steps) if step.always_answers), len(steps))
    for step_at, _ in steps[always + 1 :]:
        before = dotted(steps[always][0])
        message = f"is never reached, for {before} before it always answers; leave it out, or put it first"
        yield Finding((step_at,), message, warning=True)


def _kind(at: Path, step: Fallback, given: Container[Path]) -> Iterator[Finding]:
    kinds = step.given
    if len(kinds) != 1:
        has = f"has {' and '.join(kinds)}" if kinds else "has no answer"
        message = f"{has}; allowed is exactly one of {', '.join(FALLBACK_KINDS)}"
        yield Finding((at, *((*at, key) for key in FALLBACK_KINDS)), message)
        return
    for key in step.without_effect:
        if (*at, key) in given:
            yield Finding(((*at, key),), f"has no effect beside {kinds[0]}; leave it out")


def _file(at: Path, step: Fallback) -> Iterator[Finding]:
    if not isinstance(step.file, UnsetType):
        try:
            content_of(step.file)
        except ValueError as error:
            yield Finding(((*at, "file"),), str(error))


def _service(at: Path, step: Fallback, settings: Settings) -> Iterator[Finding]:
    name, key = step.service, (*at, "service")
    if isinstance(name, UnsetType):
        return
    if name == at[1]:
        yield Finding((key,), f"is {name}, the service that has failed; name another")
    known = name in settings.services and settings.services[name].instances
    if not known and not (settings.eureka.fetch and settings.eureka.configured):
        message = f"is {name}, which has no instances, and no registry is read; it will never answer"
        yield Finding((key, ("eureka", "fetch"), ("eureka", "urls")), message, warning=True)
