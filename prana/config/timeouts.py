"""Time limits that cannot work together: what one of them promises, another never lets happen.

Judged is what was chosen: written in the very table, or inherited and not what it is by default. The defaults
themselves, and a service that only shortens its timeout, mean just that: attempts are cut to the time that is left.
"""

from collections.abc import Container, Iterator

from prana.config.finding import Finding
from prana.config.positions import Path
from prana.config.settings import CommandPolicy
from prana.config.sources import dotted
from prana.config.units import format_duration

_DEFAULT = CommandPolicy()


def timeout_findings(at: Path, policy: CommandPolicy, given: Container[Path]) -> Iterator[Finding]:
    """Of the policy at this path; all are warnings. `given` are the paths that were written somewhere."""
    yield from _limits(at, policy, given)
    yield from _attempts(at, policy, given)
    for key, wait_s, limit, what in _waits(policy):
        limit_s = getattr(policy, limit)
        paths = (*at, *key), (*at, limit), (*at, key[0])
        if wait_s >= limit_s and any(path in given for path in paths):
            wait, ends = format_duration(wait_s), format_duration(limit_s)
            message = f"{dotted(key)} is {wait}, but {limit} is {ends}: {what}; choose a shorter one"
            yield Finding(paths, message, warning=True)


def _waits(policy: CommandPolicy) -> Iterator[tuple[Path, float, str, str]]:
    """What is waited for before something happens, the limit by which all is over, and what then never happens."""
    ends = "attempt_timeout" if policy.attempt_timeout < policy.timeout else "timeout"
    if policy.hedge.enabled:
        yield ("hedge", "min_delay"), policy.hedge.min_delay, ends, "no request is ever hedged"
    if policy.breaker.slow_call_percentage:
        wait_s = policy.breaker.slow_call_duration
        yield ("breaker", "slow_call_duration"), wait_s, "timeout", "no call is ever slow"
    if _retries(policy) and policy.retry.backoff != _DEFAULT.retry.backoff:
        wait_s = min(policy.retry.backoff, policy.retry.max_backoff)
        yield ("retry", "backoff"), wait_s, "timeout", "most retries would come too late"


def _limits(at: Path, policy: CommandPolicy, given: Container[Path]) -> Iterator[Finding]:
    """A limit within another that is shorter, and so always the first to end."""
    within = (
        ("attempt_timeout", "timeout"),
        ("connect_timeout", "timeout" if policy.connect_timeout > policy.timeout else "attempt_timeout"),
    )
    for key, outer in within:
        limit_s, outer_s = getattr(policy, key), getattr(policy, outer)
        if limit_s > outer_s and (*at, key) in given:
            message = f"is {format_duration(limit_s)}, which never ends before {outer} ({format_duration(outer_s)})"
            yield Finding(((*at, key), (*at, outer)), message, warning=True)


def _attempts(at: Path, policy: CommandPolicy, given: Container[Path]) -> Iterator[Finding]:
    """Retries that have no time left when the attempts before them took theirs, as Ribbon's under Hystrix's timeout.

    Connecting is part of an attempt here. Retries by default promise nothing: most of them are for what fails quickly.
    """
    timeout, attempt_timeout, max_retries = (*at, "timeout"), (*at, "attempt_timeout"), (*at, "retry", "max_retries")
    here = tuple(path for path in (timeout, attempt_timeout, max_retries) if path in given)
    chosen = attempt_timeout in given or policy.attempt_timeout != _DEFAULT.attempt_timeout
    if not (here and chosen and _retries(policy)):
        return
    promised = _retries(policy) if _retries(policy) != _retries(_DEFAULT) else 0
    told = policy.attempt_timeout > policy.timeout and attempt_timeout in given
    if not told and (1 + promised) * policy.attempt_timeout > policy.timeout:
        yield Finding(here, _no_time_left(policy, promised), warning=True)


def _retries(policy: CommandPolicy) -> int:
    return policy.retry.max_retries if policy.retry.enabled else 0


def _no_time_left(policy: CommandPolicy, promised: int) -> str:
    attempts, each = 1 + (promised or 1), format_duration(policy.attempt_timeout)
    needed, fitting = format_duration(attempts * policy.attempt_timeout), int(policy.timeout * 1000 / attempts) / 1000
    taken = (
        f"{attempts} attempts (retry.max_retries = {promised}) of up to {each} (attempt_timeout) take {needed}"
        if promised
        else f"an attempt takes up to {each} (attempt_timeout)"
    )
    return (
        f"{taken}, but timeout is {format_duration(policy.timeout)}: after slow attempts there is no time for a retry; "
        f"set timeout to {needed} or attempt_timeout to {format_duration(fitting)}"
    )
