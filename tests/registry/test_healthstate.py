"""The state of an app over time, one probe every ten seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.healthstate import HealthState, Verdict
from registry.hysteresis import FlapDamping, RiseFall

INTERVAL_S = 10.0
OK = Verdict(True, "HTTP 200")
BAD = Verdict(False, "HTTP 500")


class Watched:
    """A state that is fed with "+" and "-", and what became of it after each."""

    def __init__(self, rise: int = 1, fall: int = 1, max_changes: int = 4, window_s: float = 100.0) -> None:
        self.now_s = 0.0
        self.state = HealthState(
            RiseFall(rise, fall), FlapDamping(max_changes, window_s, lambda: self.now_s), lambda: self.now_s
        )
        self.changes: list[bool] = []

    def feed(self, results: str) -> str:
        seen = ""
        for result in results:
            self.now_s += INTERVAL_S
            self.changes.append(self.state.observe(OK if result == "+" else BAD))
            seen += {None: "?", True: "U", False: "D"}[self.state.up]
        return seen


@pytest.mark.parametrize(
    ("results", "seen"),
    [
        ("+++", "UUU"),
        ("--+", "??U"),
        ("+-+-+", "UDUDU"),  # four changes are allowed; to be up for the first time is none
        ("+-+-+-", "UDUDUD"),  # going down never waits
        ("+-+-+-+", "UDUDUDD"),  # the sixth change would be up
        ("+-+-+-+++++++", "UDUDUDDDDDDDU"),  # four changes are left at 130 s
        ("+-+-+-+-+-+-+-+-", "UDUDUDDDDDDDDDDD"),  # who goes on stays down
        ("+-+-+-------++", "UDUDUDDDDDDDUU"),  # who calms while down comes back at once
    ],
)
def test_an_app_that_flaps_is_down_until_it_has_calmed(results: str, seen: str) -> None:
    watched = Watched()
    assert watched.feed(results) == seen
    shown = ["?", *seen]
    assert watched.changes == [before != after for before, after in zip(shown, seen, strict=False)]


def test_a_rise_and_a_fall_are_what_counts_and_not_every_result() -> None:
    watched = Watched(rise=2, fall=3)
    assert watched.feed("+" + "+--" * 8) == "?" + "U" * 24


def test_without_a_limit_every_change_is_followed() -> None:
    assert Watched(max_changes=0).feed("+-" * 50) == "UD" * 50


def test_the_reason_is_that_of_the_present_state() -> None:
    watched = Watched(fall=2)
    assert (watched.state.reason, watched.state.last_failure) == ("not checked yet", "")
    assert watched.state.last_failure_age_s is None
    watched.feed("-")
    assert (watched.state.up, watched.state.reason) == (None, "HTTP 500")
    watched.feed("+-")
    assert (watched.state.up, watched.state.reason, watched.state.last_failure) == (True, "HTTP 200", "HTTP 500")
    watched.feed("+")
    assert watched.state.last_failure_age_s == INTERVAL_S
    watched.feed("--")
    assert (watched.state.up, watched.state.reason, watched.state.last_failure_age_s) == (False, "HTTP 500", 0)


def test_the_reason_of_a_lasting_failure_is_the_latest() -> None:
    watched = Watched()
    watched.feed("+-")
    watched.state.observe(Verdict(False, "timed out"))
    assert (watched.state.reason, watched.state.last_failure) == ("timed out", "timed out")


def test_the_reason_says_that_it_flaps_and_for_how_long_it_is_held() -> None:
    watched = Watched()
    watched.feed("+-+-+-+")
    assert watched.state.reason == ("HTTP 200, but flapping: more than 4 changes in 100 s; up in 60 s if it stays so")
    watched.feed("-")
    assert watched.state.reason == "HTTP 500"


@given(st.text("+-", max_size=200), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3))
def test_an_app_is_never_up_while_it_is_down_and_comes_back_when_it_is_well(
    results: str, max_changes: int, rise: int, fall: int
) -> None:
    watched, undamped = Watched(rise, fall, max_changes), RiseFall(rise, fall)
    seen = watched.feed(results)
    for result, shown in zip(results, seen, strict=True):
        undamped.observe(result == "+")
        assert shown == "?" if undamped.up is None else undamped.up or shown == "D"
    assert watched.feed("+" * 13)[-1] == "U", "well for longer than the window"


@given(st.text("+-", max_size=200), st.integers(1, 5))
def test_changes_are_rare_in_every_window(results: str, max_changes: int) -> None:
    watched = Watched(max_changes=max_changes)
    watched.feed("+" + results)
    changes_s = [index * INTERVAL_S for index, changed in enumerate(watched.changes) if changed][1:]
    for start_s in changes_s:
        # Those that were allowed, and one pair that was held back from an earlier window.
        assert sum(start_s <= change_s < start_s + 100 for change_s in changes_s) <= max_changes + 2
