"""Is it well, is it ready: decided from views, answered in the forms that Spring and Kubernetes expect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from admin.views import AppView, EurekaView, ProxyView

_WORST_FIRST = ("DOWN", "OUT_OF_SERVICE", "UP", "UNKNOWN")  # Spring Boot's SimpleStatusAggregator
_NOT_WELL = ("DOWN", "OUT_OF_SERVICE")


@dataclass(frozen=True, slots=True)
class Component:
    status: str  # a member of _WORST_FIRST
    details: Mapping[str, object] = field(default_factory=dict)
    components: Mapping[str, "Component"] = field(default_factory=dict)  # what it is made of


@dataclass(frozen=True, slots=True)
class Health:
    http_status: int
    document: Mapping[str, object]


def health(apps: Sequence[AppView], eureka: EurekaView, proxy: ProxyView, *, with_details: bool) -> Health:
    """Spring Boot's health document; 503 for DOWN and OUT_OF_SERVICE.

    The overall status is that of the worst of the apps and the operator's drain, nothing else: a sidecar that cannot
    reach Eureka keeps serving from the last registry, and taking the app out of rotation for it would turn a small
    outage into a large one. Details name hosts and servers, so they are for callers that may see everything.
    """
    components = {"app": _apps(apps), "eureka": _eureka(eureka), "proxy": _proxy(proxy)}
    drain = "OUT_OF_SERVICE" if proxy.draining else "UP"
    status = _worst(components["app"].status, drain)
    document = {
        "status": status,
        "components": {name: _shown(component, with_details) for name, component in components.items()},
    }
    return Health(503 if status in _NOT_WELL else 200, document)


def readiness(eureka: EurekaView, proxy: ProxyView) -> dict[str, bool]:
    """The conditions of being ready, by name: ready when all hold. What was not asked for counts as done."""
    return {
        "listening": bool(proxy.listening),
        "registered": eureka.registered or not eureka.registering,
        "registry-read": eureka.read or not eureka.fetching,
        "warmed-up": not proxy.warming_up,
        "not-draining": not proxy.draining,
    }


def _shown(component: Component, with_details: bool) -> dict[str, object]:
    shown: dict[str, object] = {"status": component.status}
    if with_details and component.details:
        shown["details"] = component.details
    if component.components:  # as in Spring Boot's composite: instead of details of its own
        shown["components"] = {name: _shown(part, with_details) for name, part in component.components.items()}
    return shown


def _worst(*statuses: str) -> str:
    return min(statuses, key=_WORST_FIRST.index)


def _apps(apps: Sequence[AppView]) -> Component:
    """One app is the component; several are parts of it."""
    if not apps:
        return Component("UNKNOWN", {"reason": "no app is configured"})
    if len(apps) == 1:
        return _app(apps[0])
    parts = {app.key: _app(app) for app in apps}
    return Component(_worst(*(part.status for part in parts.values())), components=parts)


def _app(app: AppView) -> Component:
    details = {
        "name": app.name,
        "eureka_status": app.status,
        "address": f"{app.host}:{app.port}",
        "reason": app.reason or _default_reason(app),
        "last_failure": app.last_failure,
        "last_failure_age_s": app.last_failure_age_s,
    }
    return Component(_app_status(app), details)


def _app_status(app: AppView) -> str:
    if app.healthy is False or app.status in ("DOWN", "STARTING"):
        return "DOWN"
    return app.status if app.status in _WORST_FIRST else "UNKNOWN"


def _default_reason(app: AppView) -> str:
    if app.healthy is False:
        return "the health check fails"
    return "not yet healthy" if app.status == "STARTING" else ""


def _eureka(eureka: EurekaView) -> Component:
    if not eureka.enabled:
        return Component("UNKNOWN", {"reason": "no Eureka server is configured"})
    waiting = (eureka.registering and not eureka.registered) or (eureka.fetching and not eureka.read)
    status = "DOWN" if eureka.problem else "UNKNOWN" if waiting else "UP"
    return Component(
        status,
        {
            "problem": eureka.problem,
            "registered": eureka.registered,
            "apps": eureka.apps,
            "apps_registered": eureka.apps_registered,
            "registry_read": eureka.read,
            "last_heartbeat": eureka.last_heartbeat_epoch_s,
            "last_fetch_age_s": eureka.last_fetch_age_s,
            "instances": eureka.instances,
            "services": eureka.services,
            "restored_from_cache": eureka.restored,
            "held_instances": eureka.held_instances,
            "refused_instances": dict(eureka.refused_instances),
            "servers": list(eureka.servers),
        },
    )


def _proxy(proxy: ProxyView) -> Component:
    status = "OUT_OF_SERVICE" if proxy.draining else "UP" if proxy.listening else "DOWN"
    return Component(
        status,
        {
            "listening": list(proxy.listening),
            "draining": proxy.draining,
            "connections": proxy.connections,
            "in_flight": proxy.in_flight,
        },
    )
