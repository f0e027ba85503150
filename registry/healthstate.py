"""What the results of probes add up to: is the app up, and why."""

from collections.abc import Callable
from typing import NamedTuple

from registry.hysteresis import FlapDamping, RiseFall


class Verdict(NamedTuple):
    healthy: bool
    reason: str  # for people, one line


class HealthState:
    """The state of one app, from one verdict to the next.

    `up` is None until the app is first up. An app that flaps is down until it has calmed: going down is never held
    back, since a caller sent to an app that is ill is worse off than one sent elsewhere.
    """

    def __init__(self, rise_fall: RiseFall, damping: FlapDamping, clock: Callable[[], float]) -> None:
        self.up: bool | None = None
        self.last_failure = ""  # reason of the last probe that failed, "" when none did
        self._rise_fall = rise_fall
        self._damping = damping
        self._clock = clock
        self._reason = "not checked yet"
        self._failed_at_s = 0.0

    @property
    def reason(self) -> str:
        """Of the present state: what the last probe said that agrees with it."""
        if self._rise_fall.up and not self.up:
            damping = self._damping
            flaps = f"more than {damping.max_changes} changes in {damping.window_s:g} s"
            return f"{self._reason}, but flapping: {flaps}; up in {damping.calm_in_s:.0f} s if it stays so"
        return self._reason

    @property
    def last_failure_age_s(self) -> float | None:
        """None when no probe ever failed."""
        return self._clock() - self._failed_at_s if self.last_failure else None

    def observe(self, verdict: Verdict) -> bool:
        """Take the result of one probe; true if it changed `up`."""
        if not verdict.healthy:
            self.last_failure, self._failed_at_s = verdict.reason, self._clock()
        before, started = self.up, self._rise_fall.up is not None
        if self._rise_fall.observe(verdict.healthy) and started:
            self._damping.changed()
        if verdict.healthy is bool(self._rise_fall.up):
            self._reason = verdict.reason
        self.up = self._rise_fall.up if self._damping.calm_in_s == 0 else False
        return self.up is not before
