"""`prana check` tells of time limits of which one never lets another happen, with the figures."""

from collections.abc import Callable

import pytest

from prana.config import Loaded

Load = Callable[..., Loaded]
Problems = Callable[..., list[str]]

STACKS = [
    (
        "[defaults]\ntimeout = '1s'\nattempt_timeout = '5s'",
        "defaults.attempt_timeout: is 5s, which never ends before timeout (1s)",
    ),
    (
        "[services.a]\nattempt_timeout = '2s'\nconnect_timeout = '3s'",
        "services.a.connect_timeout: is 3s, which never ends before attempt_timeout (2s)",
    ),
    (
        "[defaults]\nattempt_timeout = '3s'\n[services.a]\ntimeout = '1s'",
        "services.a.timeout: an attempt takes up to 3s (attempt_timeout), but timeout is 1s: "
        "after slow attempts there is no time for a retry; set timeout to 6s or attempt_timeout to 500ms",
    ),
    (
        "[defaults]\ntimeout = '7s'\nattempt_timeout = '2s'\nretry.max_retries = 3",
        "defaults.timeout: 4 attempts (retry.max_retries = 3) of up to 2s (attempt_timeout) take 8s, but timeout is "
        "7s: after slow attempts there is no time for a retry; set timeout to 8s or attempt_timeout to 1750ms",
    ),
    (
        "[defaults]\nattempt_timeout = '2s'\n[services.a]\nretry.max_retries = 5",
        "services.a.retry.max_retries: 6 attempts (retry.max_retries = 5) of up to 2s (attempt_timeout) take 12s, but "
        "timeout is 10s: after slow attempts there is no time for a retry; set timeout to 12s or attempt_timeout to "
        "1666ms",
    ),
    (
        "[defaults]\nattempt_timeout = '2s'\n[[services.a.routes]]\nprefix = '/x'\ntimeout = '1s'",
        "services.a.routes[0].timeout: an attempt takes up to 2s (attempt_timeout), but timeout is 1s: after slow "
        "attempts there is no time for a retry; set timeout to 4s or attempt_timeout to 500ms",
    ),
    (
        "[defaults]\nattempt_timeout = '2s'\nhedge = { enabled = true, min_delay = '2s' }",
        "defaults.hedge.min_delay: hedge.min_delay is 2s, but attempt_timeout is 2s: no request is ever hedged; "
        "choose a shorter one",
    ),
    (
        "[defaults]\nhedge = { enabled = true, min_delay = '1s' }\n[services.a]\ntimeout = '900ms'",
        "services.a.timeout: hedge.min_delay is 1s, but timeout is 900ms: no request is ever hedged; "
        "choose a shorter one",
    ),
    (
        "[defaults]\nhedge.min_delay = '20s'\n[services.a.hedge]\nenabled = true",
        "services.a.hedge: hedge.min_delay is 20s, but attempt_timeout is 5s: no request is ever hedged; "
        "choose a shorter one",
    ),
    (
        "[services.a]\ntimeout = '2s'\n[services.a.breaker]\nslow_call_percentage = 50\nslow_call_duration = '3s'",
        "services.a.breaker.slow_call_duration: breaker.slow_call_duration is 3s, but timeout is 2s: "
        "no call is ever slow; choose a shorter one",
    ),
    (
        "[services.a]\ntimeout = '2s'\nretry = { backoff = '2s', max_backoff = '3s' }",
        "services.a.retry.backoff: retry.backoff is 2s, but timeout is 2s: most retries would come too late; "
        "choose a shorter one",
    ),
]


@pytest.mark.parametrize(("text", "warning"), STACKS)
def test_a_stack_that_cannot_work_is_a_warning(text: str, warning: str, load_text: Load) -> None:
    (found,) = load_text(text).warnings
    assert str(found).partition(": ")[2] == warning


FINE = [
    "",
    "[defaults]\ntimeout = '10s'\nattempt_timeout = '5s'\nconnect_timeout = '1s'\nretry.max_retries = 2",
    "[defaults]\ntimeout = '10s'\nattempt_timeout = '5s'\nretry.max_retries = 2\n[services.a]\ntimeout = '800ms'",
    "[services.a]\ntimeout = '800ms'",
    "[services.a]\nretry.max_retries = 5",
    "[services.poll]\ntimeout = '1m'\nattempt_timeout = '1m'",
    "[defaults]\ntimeout = '8s'\nattempt_timeout = '2s'\nretry.max_retries = 3",
    "[defaults]\nattempt_timeout = '3s'\n[services.a]\ntimeout = '1s'\nretry.max_retries = 0",
    "[defaults]\nattempt_timeout = '3s'\n[services.a]\ntimeout = '1s'\nretry.enabled = false",
    "[services.a]\ntimeout = '20ms'",
    "[services.a]\ntimeout = '2s'\nretry = { backoff = '2s' }",
    "[services.a]\ntimeout = '2s'\nretry = { backoff = '3s', max_backoff = '3s', enabled = false }",
    "[services.a]\ntimeout = '2s'\nhedge.min_delay = '3s'",
    "[services.a]\ntimeout = '2s'\nbreaker.slow_call_duration = '3s'",
    "[defaults]\ntimeout = '2s'\nhedge = { enabled = true, min_delay = '1s' }",
    "[defaults]\nattempt_timeout = '3s'\n[services.a]\ntimeout = '1s'\nattempt_timeout = '400ms'",
    "[services.a]\ntimeout = '3s'\nattempt_timeout = '2s'\n[[services.a.routes]]\nprefix = '/x'\nmax_concurrent = 3",
]


@pytest.mark.parametrize("text", FINE)
def test_a_stack_that_can_work_is_none(text: str, load_text: Load) -> None:
    assert load_text(text).warnings == []


def test_hystrix_and_ribbon_are_told_of_by_their_own_names(load_text: Load) -> None:
    timeout = "hystrix.command.orders.execution.isolation.thread.timeoutInMilliseconds"
    text = f"[properties]\n'{timeout}' = '1000'\n'ribbon.ReadTimeout' = '3000'"
    (found,) = load_text(text).warnings
    assert f'prana.toml:2: properties."{timeout}": an attempt takes up to 3s' in str(found)


def test_a_warning_is_given_once_where_the_difference_is_made(load_text: Load) -> None:
    text = (
        "[defaults]\ntimeout = '7s'\nattempt_timeout = '2s'\nretry.max_retries = 3\n[services.a]\nidle_timeout = '2s'"
    )
    assert len(load_text(text).warnings) == 1
