"""A clock that passes only when told to, and a breaker's life in few words."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from prana.resilience.breaker import Breaker, BreakerSettings
from prana.resilience.trials import Permit
from prana.resilience.verdict import Verdict

SLEEP_S = 5.0
TICK_S = 0.001  # what Java's clock shows at least

NewBreaker = Callable[..., Breaker]


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def new_breaker(clock: Clock) -> NewBreaker:
    """With the defaults, but for what is given."""

    def new(**settings: Any) -> Breaker:
        return Breaker("orders", replace(BreakerSettings(), **settings), clock)

    return new


@pytest.fixture
def breaker(new_breaker: NewBreaker) -> Breaker:
    return new_breaker()


def state_of(breaker: Breaker) -> str:
    """Which may be another each time, unlike what a type checker takes it for."""
    return breaker.state


def request(breaker: Breaker, verdict: Verdict, duration_s: float = 0.0) -> bool:
    """One request from admission to verdict; whether it was admitted."""
    permit = breaker.admit()
    if permit is None:
        return False
    breaker.record(permit, verdict, duration_s)
    return True


def requests(breaker: Breaker, successes: int = 0, failures: int = 0) -> None:
    for verdict in [Verdict.SUCCESS] * successes + [Verdict.FAILURE] * failures:
        assert request(breaker, verdict)


def permits(breaker: Breaker, count: int) -> list[Permit]:
    """What so many callers at once get."""
    return [permit for _ in range(count) if (permit := breaker.admit()) is not None]


def trip(breaker: Breaker) -> None:
    requests(breaker, failures=20)
    assert breaker.state == "open"


def trial(breaker: Breaker, clock: Clock) -> Permit:
    """Wait for the sleep window to pass and take the trial."""
    clock.now_s += SLEEP_S + TICK_S
    permit = breaker.admit()
    assert permit is not None
    assert breaker.state == "half-open"
    return permit
