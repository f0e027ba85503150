"""What operators read about traffic: one line per change of state, and the access log if they want one."""

from collections.abc import Callable, Sequence
from typing import Any

import structlog
from pybreaker import CircuitBreakerListener

from admin.metrics import RequestOutcome
from loadbalancer.balancer import Event, PanicEvent
from prana.compat import SHADOWING
from prana.filters.observe import AccessSink
from prana.request import Request, Response
from registry.snapshot import Snapshot

_log = structlog.get_logger()


class BreakerJournal(CircuitBreakerListener):
    """Logs the changes of one service's circuit. `reason` is why it is not closed."""

    def __init__(self, service: str, reason: Callable[[], str]) -> None:
        self._service = service
        self._reason = reason

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        before = old_state.name if old_state else None
        if new_state.name == "closed":
            _log.info("breaker closed", service=self._service, before=before)
        else:
            _log.warning(f"breaker {new_state.name}", service=self._service, before=before, reason=self._reason())


class ShadowJournal:
    """Warns of services of the registry with paths that Prana answers itself, once of each."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def update(self, snapshot: Snapshot) -> None:
        """A new registry snapshot."""
        for name, paths in SHADOWING.items():
            if name not in self._told and (name in snapshot.apps or name in snapshot.vips):
                self._told.add(name)
                _log.warning(
                    "service not reached by these paths, but with X-Prana-Service, or with proxy.compat = false",
                    service=name,
                    paths=paths,
                )


def log_without_counterpart(properties: Sequence[str]) -> None:
    """Of Hystrix, Ribbon and the like, in the configuration: they say nothing here."""
    if properties:
        _log.warning("properties without effect; prana check says why", count=len(properties), properties=properties)


def log_balancing(service: str, event: Event) -> None:
    """One line for a node that left or came back, or would have; and for the beginning and the end of a panic."""
    if isinstance(event, PanicEvent):
        if event.panic:
            _log.warning("too few nodes in rotation, so ejected ones are called as well", service=service)
        else:
            _log.info("enough nodes in rotation again", service=service)
        return
    where = {"service": service, "instance": event.node.instance.id, "reason": str(event.reason)}
    would = "would be " if event.shadow else ""
    if event.ejected:
        _log.warning(f"node {would}ejected", for_s=round(event.backoff_s, 3), **where)
    else:
        _log.info(f"node {would}readmitted", **where)


def log_unverified(service: str) -> None:
    _log.warning("certificates are not verified", service=service, setting="tls.verify")


def access_sink(mode: str) -> AccessSink | None:
    """The access log of `[log] access`: "off", "errors" (5xx, fallbacks, cut off or cancelled) or "all".

    Paths and headers stay out: they carry what callers did not mean to have logged.
    """
    if mode == "off":
        return None

    def log_access(request: Request, response: Response | None, outcome: RequestOutcome, latency_s: float) -> None:
        if mode == "errors" and outcome is RequestOutcome.SUCCESS:
            return
        _log.info(
            "request",
            service=request.service,
            method=request.method.decode("latin-1"),
            status=response.status if response is not None else None,
            outcome=outcome.label,
            duration_ms=round(latency_s * 1e3, 3),
            attempts=[f"{attempt.node.instance.id} {attempt.result}" for attempt in request.attempts],
            request_id=request.request_id.decode(),
            **_route(request),
            **_fallback(response),
            **_tunnel(request),
        )

    return log_access


def _route(request: Request) -> dict[str, object]:
    return {"route": request.route} if request.route else {}


def _fallback(response: Response | None) -> dict[str, object]:
    """Which fallback answered, and why."""
    if response is None or response.fallback is None:
        return {}
    return {"fallback": response.fallback.kind, "fallback_reason": response.fallback.cause}


def _tunnel(request: Request) -> dict[str, object]:
    """What there is to say about a WebSocket that is over; `duration_ms` is until it stood."""
    if request.upgrade is None or (tunnel := request.upgrade.tunnel) is None:
        return {}
    return {
        "tunnel_s": round(request.upgrade.lasted_s, 3),
        "received_bytes": tunnel.received_bytes,
        "sent_bytes": tunnel.sent_bytes,
    }
