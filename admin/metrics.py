"""What the data plane records. Plain integers in fixed places: no locks, no label look-ups, no allocation.

Everything runs on one event loop, so an increment needs no protection; readers see a consistent state because
they do not await while they read.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import NamedTuple

from admin.latency import NO_LATENCIES, DurationBuckets, RollingLatency, joined, summarise
from loadbalancer.ejection import EJECTING, Reason
from loadbalancer.outcome import Outcome
from loadbalancer.window import RollingWindow

OTHER = "other"
"""The series of requests for names nobody knows: callers cannot make series by making names up."""

COMPAT = "prana:compat"
"""The series of the endpoints that Prana answers on the proxy port; not a name that a service can be called by."""

EVENT_WINDOW_S = 10.0  # metrics.rollingStats.timeInMilliseconds
EVENT_BUCKETS = 10
_MAX_SERIES = 1000  # registry content is not trusted either: names beyond these also go to OTHER


class Event(IntEnum):
    """HystrixEventType, as far as a proxy has them; one request may cause several, such as TIMEOUT and
    FALLBACK_SUCCESS. EXCEPTION_THROWN is derived, as in Hystrix: `exceptions_thrown`."""

    SUCCESS = 0  # an answer below 500
    FAILURE = 1  # 5xx, broken or refused connection, no instance
    TIMEOUT = 2
    BAD_REQUEST = 3  # refused as malformed: neither success nor failure of the service
    SHORT_CIRCUITED = 4  # breaker open
    SEMAPHORE_REJECTED = 5  # bulkhead full
    FALLBACK_SUCCESS = 6
    FALLBACK_FAILURE = 7
    FALLBACK_REJECTION = 8  # too many fallbacks in progress, the caller got the error
    FALLBACK_MISSING = 9  # none configured, the caller got the error
    CANCELLED = 10  # the caller hung up
    COLLAPSED = 11  # got the answer to another's like request, or shared its failure


_THROWN = (Event.BAD_REQUEST, Event.FALLBACK_FAILURE, Event.FALLBACK_REJECTION, Event.FALLBACK_MISSING)


class RequestOutcome(IntEnum):
    """How a request ended, as its caller saw it; the lower-case name is the label value."""

    SUCCESS = 0  # an instance answered, below 500 and complete
    FAILURE = 1  # an instance's 5xx, an answer cut off, or an error of Prana after trying an instance
    FALLBACK = 2  # a fallback supplied the answer, whatever its status
    REJECTED = 3  # refused by Prana before any attempt: unknown, malformed, breaker open, bulkhead full
    CANCELLED = 4  # the caller hung up first

    @property
    def label(self) -> str:
        return self.name.lower()


class RequestCount(NamedTuple):
    method_class: str  # a member of METHOD_CLASSES
    status_class: str  # a member of STATUS_CLASSES
    outcome: RequestOutcome
    total: int


METHOD_CLASSES = ("safe", "idempotent", "other")
"""RFC 9110 9.2.1 and 9.2.2: what decides whether a request may be replayed. Extension methods are `other`."""

STATUS_CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
"""`none`: the caller left before there was a status."""

_STATUS_CLASSES = len(STATUS_CLASSES)
_OUTCOMES = len(RequestOutcome)
_METHOD_CLASS = {b"GET": 0, b"HEAD": 0, b"OPTIONS": 0, b"TRACE": 0, b"PUT": 1, b"DELETE": 1}
_OTHER_METHOD = 2
_FAILURE = RequestOutcome.FAILURE  # named as in loadbalancer.balancer, for speed


class CommandMetrics:
    """What Hystrix publishes of a command: event counts of the last 10 s, latencies of the last minute.

    A command is a service, or one of its routes.
    """

    __slots__ = (
        "_window",
        "events",
        "execute_latency",
        "fallback_failures_by_kind",
        "fallbacks_by_cause",
        "fallbacks_by_kind",
        "key",
        "total_latency",
    )

    def __init__(self, key: str, clock: Callable[[], float]) -> None:
        self.key = key
        self._window = RollingWindow(len(Event), EVENT_WINDOW_S, EVENT_BUCKETS, clock)
        self.events = [0] * len(Event)  # since start, by Event
        self.fallbacks_by_kind: Counter[str] = Counter()
        self.fallbacks_by_cause: Counter[str] = Counter()
        self.fallback_failures_by_kind: Counter[str] = Counter()
        self.execute_latency = RollingLatency()
        self.total_latency = RollingLatency()

    def event(self, event: Event) -> None:
        self._window.add(event)
        self.events[event] += 1

    def fallback(self, kind: str, cause: str) -> None:
        """A fallback of this configured kind supplied the answer; counts the event as well."""
        self.fallbacks_by_kind[kind] += 1
        self.fallbacks_by_cause[cause] += 1
        self.event(Event.FALLBACK_SUCCESS)

    def fallback_failed(self, kind: str) -> None:
        """One of this kind had no answer; when that goes for the whole chain, FALLBACK_FAILURE is counted apart."""
        self.fallback_failures_by_kind[kind] += 1

    def executed(self, latency_s: float) -> None:
        """Count a command that ran: seconds from admission to response headers, or to the failure."""
        self.execute_latency.record(latency_s)

    def answered(self, latency_s: float) -> None:
        """Count the caller's whole wait for a command that ran, which is known once the last byte is out.

        One that never ran (breaker open, bulkhead full, refused) stays out of the percentiles, as in Hystrix: its
        latency says nothing about the service.
        """
        self.total_latency.record(latency_s)

    def rotate(self) -> None:
        """Close the latency histograms of the last ROTATION_S; about 0.5 ms."""
        self.execute_latency.rotate()
        self.total_latency.rotate()

    def recent_events(self) -> list[int]:
        """Counts of the last 10 s, by Event."""
        return self._window.totals()


class ServiceMetrics:
    """Counters of one service since start."""

    __slots__ = (
        "_clock",
        "_requests",
        "attempts",
        "commands",
        "deadlines_refused",
        "duration",
        "ejections",
        "hedges",
        "hedges_refused",
        "hedges_won",
        "in_flight",
        "name",
        "requests_failed",
        "retries",
        "retries_refused",
        "shadow_ejections",
        "tunnel_received_bytes",
        "tunnel_sent_bytes",
        "tunnels",
        "tunnels_total",
    )

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.name = name
        self._clock = clock
        self.commands: list[CommandMetrics] = []
        self._requests = [0] * (len(METHOD_CLASSES) * _STATUS_CLASSES * _OUTCOMES)
        self.requests_failed = 0
        self.in_flight = 0
        self.attempts = dict.fromkeys(Outcome, 0)  # since start
        self.retries = 0
        self.retries_refused = 0
        self.hedges = 0
        self.hedges_won = 0
        self.hedges_refused = 0
        self.deadlines_refused = 0
        self.ejections = dict.fromkeys(EJECTING, 0)  # since start
        self.shadow_ejections = dict.fromkeys(EJECTING, 0)  # those that shadow mode left out
        self.tunnels = 0  # open now; each is also a request in flight
        self.tunnels_total = 0
        self.tunnel_received_bytes = 0  # from callers, of tunnels that are over
        self.tunnel_sent_bytes = 0  # to callers
        self.duration = DurationBuckets()

    def command(self, key: str) -> CommandMetrics:
        """The series of another command of this service."""
        command = CommandMetrics(key, self._clock)
        self.commands.append(command)
        return command

    @property
    def events(self) -> list[int]:
        """Of all commands since start, by Event."""
        return [sum(each.events[event] for each in self.commands) for event in Event]

    @property
    def fallbacks_by_kind(self) -> Counter[str]:
        return sum((each.fallbacks_by_kind for each in self.commands), start=Counter())

    @property
    def fallbacks_by_cause(self) -> Counter[str]:
        return sum((each.fallbacks_by_cause for each in self.commands), start=Counter())

    @property
    def fallback_failures_by_kind(self) -> Counter[str]:
        return sum((each.fallback_failures_by_kind for each in self.commands), start=Counter())

    def request_started(self) -> None:
        """Every start needs exactly one `request_finished`."""
        self.in_flight += 1

    def request_finished(self, method: bytes, status: int, outcome: RequestOutcome, latency_s: float) -> None:
        """Count a request whose last byte is out, or that was given up.

        `status` is what the caller got, 0 for nothing. `latency_s` is the caller's whole wait, that for a WebSocket
        until it stood.
        """
        self.in_flight -= 1
        status_class = status // 100 if 100 <= status <= 599 else 0
        row = _METHOD_CLASS.get(method, _OTHER_METHOD) * _STATUS_CLASSES + status_class
        self._requests[row * _OUTCOMES + outcome] += 1
        if outcome is _FAILURE or (status >= 500 and outcome is not RequestOutcome.FALLBACK):
            self.requests_failed += 1
        self.duration.observe(latency_s)

    def tunnel_opened(self) -> None:
        """A WebSocket stands. Every one opened needs exactly one `tunnel_closed`."""
        self.tunnels += 1
        self.tunnels_total += 1

    def tunnel_closed(self, received_bytes: int, sent_bytes: int) -> None:
        self.tunnels -= 1
        self.tunnel_received_bytes += received_bytes
        self.tunnel_sent_bytes += sent_bytes

    def attempt(self, outcome: Outcome) -> None:
        """One attempt at one instance ended, with what its pick reported."""
        self.attempts[outcome] += 1

    def retried(self) -> None:
        self.retries += 1

    def retry_refused(self) -> None:
        """A retry was due, but the budget had none left."""
        self.retries_refused += 1

    def hedged(self) -> None:
        """A second attempt began beside a first that took unusually long."""
        self.hedges += 1

    def hedge_won(self) -> None:
        self.hedges_won += 1

    def hedge_refused(self) -> None:
        """A hedge was due, but the budget had none left."""
        self.hedges_refused += 1

    def deadline_refused(self) -> None:
        """A caller left too little time for an attempt."""
        self.deadlines_refused += 1

    def node_ejected(self, reason: Reason, shadow: bool) -> None:
        """A node was ejected for one of EJECTING; `shadow`: it would have been."""
        (self.shadow_ejections if shadow else self.ejections)[reason] += 1

    def requests(self) -> Iterator[RequestCount]:
        """Requests since start, in a fixed order, without the combinations that never happened."""
        for index, count in enumerate(self._requests):
            if count:
                row, outcome = divmod(index, _OUTCOMES)
                method_class, status_class = divmod(row, _STATUS_CLASSES)
                yield RequestCount(
                    METHOD_CLASSES[method_class], STATUS_CLASSES[status_class], RequestOutcome(outcome), count
                )

    @property
    def requests_total(self) -> int:
        return sum(self._requests)


def executions(events: list[int]) -> int:
    """Commands that ran, whatever came of it: HystrixEventType.ThreadPool.EXECUTED."""
    return events[Event.SUCCESS] + events[Event.FAILURE] + events[Event.TIMEOUT] + events[Event.BAD_REQUEST]


def exceptions_thrown(events: list[int]) -> int:
    """Hystrix's derived EXCEPTION_THROWN: events that reached the caller as an error of the command."""
    return sum(events[event] for event in _THROWN)


class ProxyMetrics:
    """The counters of all services, and of the process as a whole."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.other = ServiceMetrics(OTHER, clock)
        self._series = {OTHER: self.other}
        self.latency = NO_LATENCIES  # of all commands
        self.connections = 0
        self.connections_total = 0
        self.loop_lag_s = 0.0  # how late the last timer of the proxy's clockwork was; sampled once a second

    def service(self, name: str) -> ServiceMetrics:
        """The series of a service that registry or configuration know, made on first use.

        Not for names as callers spell them: a request for an unknown service is recorded in `other`.
        """
        series = self._series.get(name)
        if series is None:
            if len(self._series) >= _MAX_SERIES:
                return self.other
            series = self._series[name] = ServiceMetrics(name, self._clock)
        return series

    def all_series(self) -> list[ServiceMetrics]:
        return list(self._series.values())

    def all_commands(self) -> list[CommandMetrics]:
        return [command for series in self._series.values() for command in series.commands]

    def connection_opened(self) -> None:
        self.connections += 1
        self.connections_total += 1

    def connection_closed(self) -> None:
        self.connections -= 1

    @property
    def requests_total(self) -> int:
        """Requests that ended."""
        return sum(series.requests_total for series in self._series.values())

    @property
    def requests_failed(self) -> int:
        """Of these, answered with a status from 500 up or cut off; an answer by a fallback has not failed."""
        return sum(series.requests_failed for series in self._series.values())

    @property
    def in_flight(self) -> int:
        return sum(series.in_flight for series in self._series.values())

    @property
    def tunnels(self) -> int:
        """WebSockets open now."""
        return sum(series.tunnels for series in self._series.values())

    @property
    def tunnels_total(self) -> int:
        return sum(series.tunnels_total for series in self._series.values())

    def rotate(self) -> Iterator[None]:
        """Close the latency histograms of the last ROTATION_S, those of a command at each step, then recompute
        `latency` from them: no second histogram on the hot path."""
        whole = None
        for command in self.all_commands():
            command.rotate()
            whole = joined(whole, command.total_latency.window)
            yield
        self.latency = summarise(whole)
