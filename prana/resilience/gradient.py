"""A concurrency limit that follows what the service can take: Gradient2 of Netflix/concurrency-limits."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

_WINDOW_S = 1.0
_SHORTEST_S = 0.0001  # WindowedLimit's: no answer of another process is quicker
_MIN_SAMPLES = 10  # fewer in a window tell nothing
_LONG_WINDOW = 600  # windows that the long average covers
_WARM_UP = 10  # windows whose plain average it starts with
_TOLERANCE = 1.5  # how much slower than usual answers may be before the limit sinks
_DRIFT = 2.0  # the usual is that much slower than now: an overload is over, forget it faster
_FORGET = 0.95
_QUEUE = 4  # what the limit grows by while answers are no slower than usual
_SMOOTHING = 0.2
_DROPPED = 0.9


class Load(Enum):
    """What a request tells about how much its service has to do."""

    NORMAL = "normal"  # how long it took, that is
    EXCESS = "excess"  # more than it can take
    UNKNOWN = "unknown"


_NORMAL, _EXCESS = Load.NORMAL, Load.EXCESS  # named as in prana.resilience.classify, for speed


@dataclass(frozen=True, slots=True)
class AdaptiveSettings:
    """Where the limit starts and what it stays within; 1 <= min <= initial <= max."""

    min: int = 4
    max: int = 200
    initial: int = 20


class Gradient2:
    """Compares the mean answer time of each second with the average of the last ten minutes.

    Unlike the original's, the limit sinks by a tenth after a second in which anything was dropped: a service that
    answers nothing in time has no answer times to go by.
    """

    def __init__(self, settings: AdaptiveSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._limit = float(settings.initial)
        self._ends_s = clock() + _WINDOW_S
        self._samples = self._most_in_flight = 0
        self._sum_s = 0.0
        self._dropped = False
        self._usual_s = 0.0  # the long average
        self._windows = 0  # in it, up to _WARM_UP

    def learn(self, load: Load, took_s: float, in_flight: int) -> int:
        """From a request that took so long, while so many were in progress, itself included. The limit from now on."""
        if load is _NORMAL and took_s >= _SHORTEST_S:
            self._samples += 1
            self._sum_s += took_s
            if in_flight > self._most_in_flight:
                self._most_in_flight = in_flight
        elif load is _EXCESS:
            self._dropped = True
        if self._clock() >= self._ends_s:
            self._close()
        return int(self._limit)

    def _close(self) -> None:
        """Judge the window and start another."""
        if self._dropped:
            self._set(self._limit * _DROPPED)
        elif self._samples >= _MIN_SAMPLES:
            self._follow(self._sum_s / self._samples)
        self._samples = self._most_in_flight = 0
        self._sum_s = 0.0
        self._dropped = False
        self._ends_s = self._clock() + _WINDOW_S

    def _follow(self, mean_s: float) -> None:
        usual_s = self._averaged(mean_s)
        if usual_s > _DRIFT * mean_s:
            self._usual_s *= _FORGET
        if self._most_in_flight < self._limit / 2:
            return  # the callers do not need more, so nothing is known about it
        gradient = max(0.5, min(1.0, _TOLERANCE * usual_s / mean_s))
        self._set((1 - _SMOOTHING) * self._limit + _SMOOTHING * (self._limit * gradient + _QUEUE))

    def _averaged(self, mean_s: float) -> float:
        """ExpAvgMeasurement: the plain average first, exponential smoothing after that."""
        if self._windows < _WARM_UP:
            self._windows += 1
            self._usual_s += (mean_s - self._usual_s) / self._windows
        else:
            self._usual_s += (mean_s - self._usual_s) * 2 / (_LONG_WINDOW + 1)
        return self._usual_s

    def _set(self, limit: float) -> None:
        self._limit = max(float(self._settings.min), min(float(self._settings.max), limit))
