"""Taking a failing node out of the rotation for a while: linkerd's unified failure accrual, and two signs more.

A node that detectors complain about waits, twice as long each time; after that one real request probes it and decides.
Who may be out, and how many at once, is the judge's business.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from random import Random
from typing import Final

from loadbalancer.detectors import ConsecutiveFailures, Detector, SuccessRatio
from loadbalancer.latency import Latencies
from loadbalancer.outcome import Trouble

_JITTER = 0.5  # linkerd: up to half the backoff on top, so that many sidecars do not probe in step

LATE = 0  # a ticket that is never valid


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """In `shadow` a detector reports what it would have done, and does nothing."""

    enabled: bool = True
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class LatencySettings(DetectorSettings):
    """`loadbalancer.latency` has the meaning of these; with few nodes or answers it is not looked at."""

    enabled: bool = False
    deviations: float = 5.0
    min_samples: int = 20  # good answers of a node within the window
    min_nodes: int = 5  # that have as many
    floor_s: float = 0.05


@dataclass(frozen=True, slots=True)
class EjectionSettings:
    """Defaults are linkerd's, and Envoy's advice for the shares that may be out and that make a panic."""

    enabled: bool = True
    consecutive_failures: int = 7
    min_success_ratio: float = 0.8
    min_requests: int = 5
    window_s: float = 10.0
    base_s: float = 1.0
    max_s: float = 60.0
    max_ejected_percent: float = 50.0
    panic_percent: float = 50.0  # with fewer in rotation, ejection is ignored
    shadow: bool = False  # of all detectors
    consecutive: DetectorSettings = field(default_factory=DetectorSettings)
    success_ratio: DetectorSettings = field(default_factory=DetectorSettings)
    refused: DetectorSettings = field(default_factory=DetectorSettings)
    latency: LatencySettings = field(default_factory=LatencySettings)

    @property
    def any_rehearses(self) -> bool:
        return any(map(self.rehearses, (self.consecutive, self.success_ratio, self.refused, self.latency)))

    def acts(self, detector: DetectorSettings) -> bool:
        """Whether this one of the detectors ejects."""
        return self.enabled and detector.enabled and not self.rehearses(detector)

    def rehearses(self, detector: DetectorSettings) -> bool:
        """Whether it only tells whom it would eject."""
        return self.enabled and detector.enabled and (self.shadow or detector.shadow)


class Reason(StrEnum):
    """Why a node was ejected or readmitted."""

    REFUSED = "refused"
    CONSECUTIVE_FAILURES = "consecutive_failures"
    SUCCESS_RATIO = "success_ratio"
    LATENCY = "latency"
    PROBE_FAILED = "probe_failed"
    PROBE_SUCCEEDED = "probe_succeeded"
    REGISTERED_AGAIN = "registered_again"


EJECTING: Final = (
    Reason.REFUSED,
    Reason.CONSECUTIVE_FAILURES,
    Reason.SUCCESS_RATIO,
    Reason.LATENCY,
    Reason.PROBE_FAILED,
)
"""Reasons to leave the rotation; the others are to come back."""


class Standing:
    """Whether one node is in the rotation, and what its outcomes say about that.

    Outcomes carry the ticket that was current when their attempt began. Leaving and joining the rotation each make a
    new one, so a late answer to an attempt from before can neither eject nor readmit. Ordinary attempts on an ejected
    node get none that counts; the probe does, and so it alone decides about the node.
    """

    __slots__ = (
        "_backoff_s",
        "_detectors",
        "_heeds_refusal",
        "_on_success",
        "_rng",
        "_settings",
        "current",
        "ejected",
        "latencies",
        "limit_s",
        "probing",
        "reason",
        "retry_at_s",
        "ticket",
    )

    def __init__(
        self, settings: EjectionSettings, clock: Callable[[], float], rng: Random, *, shadow: bool = False
    ) -> None:
        """With the detectors that act, or those `shadow` ones that only tell."""
        self._settings = settings
        self._rng = rng
        self.latencies: Latencies | None = None  # of whoever is compared with its peers
        wanted = settings.rehearses if shadow else settings.acts
        self._heeds_refusal = wanted(settings.refused)
        self._detectors = self._watching(wanted, clock)
        self._on_success = [(reason, detector.success) for reason, detector in self._detectors]
        self.current = LATE + 1  # the ticket of those whose outcomes count
        self.ticket = self.current  # of an ordinary attempt; one on an ejected node (panic) proves nothing
        self._backoff_s = settings.base_s
        self.ejected = False
        self.probing = False
        self.reason: Reason | None = None  # while ejected: what began it
        self.retry_at_s = 0.0  # while ejected: when the next probe may start
        self.limit_s = inf  # what a probe may take

    def _watching(
        self, wanted: Callable[[DetectorSettings], bool], clock: Callable[[], float]
    ) -> list[tuple[Reason, Detector]]:
        settings = self._settings
        found: list[tuple[Reason, Detector]] = []
        if wanted(settings.consecutive):
            found.append((Reason.CONSECUTIVE_FAILURES, ConsecutiveFailures(settings.consecutive_failures)))
        if wanted(settings.success_ratio):
            ratio = SuccessRatio(settings.min_success_ratio, settings.min_requests, settings.window_s, clock)
            found.append((Reason.SUCCESS_RATIO, ratio))
        if wanted(settings.latency):
            self.latencies = Latencies(settings.window_s, clock)
            found.append((Reason.LATENCY, self.latencies))
        return found

    def succeed(self, latency_s: float) -> Reason | None:
        """Take in an ordinary attempt that succeeded; gives why the node should be ejected, if it should."""
        complaint = None
        for reason, complains in self._on_success:
            if complains(latency_s):
                complaint = complaint or reason
        return complaint

    def fail(self, trouble: Trouble) -> Reason | None:
        """Take in an ordinary attempt that failed; gives why the node should be ejected, if it should."""
        # Nobody listens there, whatever the registry says: one refused connection is proof enough.
        complaint = Reason.REFUSED if self._heeds_refusal and trouble is Trouble.REFUSED else None
        for reason, detector in self._detectors:
            if detector.failure(trouble):
                complaint = complaint or reason
        return complaint

    def eject(self, now_s: float, reason: Reason) -> float:
        """Out of the rotation, again or still; gives the seconds until a probe may start."""
        base_s = self._backoff_s
        backoff_s = min(base_s * (1 + _JITTER * self._rng.random()), self._settings.max_s)
        self._backoff_s = min(base_s * 2, self._settings.max_s)
        self.reason = self.reason or reason
        self.ejected = True
        self.probing = False
        self.retry_at_s = now_s + backoff_s
        self.current += 1
        self.ticket = LATE
        return backoff_s

    def probe(self) -> int:
        """Begin the one probe; gives its ticket."""
        self.probing = True
        return self.current

    def withdraw_probe(self) -> None:
        """The probe ended without a verdict: the next request may probe."""
        self.probing = False

    def retire(self) -> None:
        """The node is no longer a member: nothing that is still under way counts."""
        self.current += 1

    def readmit(self, now_s: float) -> None:
        """Back into the rotation with a clean record."""
        self.retry_at_s = min(self.retry_at_s, now_s)  # until then nothing counts for a shadow
        self.ejected = False
        self.probing = False
        self.reason = None
        self.limit_s = inf
        self._backoff_s = self._settings.base_s
        self.current += 1
        self.ticket = self.current
        for _, detector in self._detectors:
            detector.reset()
