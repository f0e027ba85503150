"""What no single key can see: keys that are required together, or contradict each other."""

from collections.abc import Container, Iterator
from itertools import combinations

from prana.compat import SHADOWING
from prana.config.balancing import balancing_findings
from prana.config.fallbacks import fallback_findings
from prana.config.finding import Finding
from prana.config.positions import Path
from prana.config.routes import route_findings
from prana.config.settings import (
    App,
    AppHealth,
    Breaker,
    CommandPolicy,
    Eject,
    Policy,
    ServicePolicy,
    Settings,
    Tls,
)
from prana.config.shapes import Tables
from prana.config.sources import dotted
from prana.config.timeouts import timeout_findings
from prana.config.units import Address, format_duration
from prana.tls import TlsProblem, authorities, upstream_context

_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
_TLS_FILES = {"ca_file", "cert_file", "key_file"}


def findings(settings: Settings, given: Container[Path]) -> Iterator[Finding]:
    """All of them. `given` are the paths that were written somewhere; the rest are defaults."""
    apps = Tables.located(("app",), settings.apps)
    for at, app in apps:
        yield from _app(at, app, settings)
    for (first_at, first), (at, app) in combinations(apps, 2):
        yield from _two_apps(first_at, first, at, app)
    yield from _eureka(settings)
    yield from _addresses(settings)
    yield from _hand_over(settings)
    yield from balancing_findings(settings, given)
    yield from _policy(("defaults",), settings.defaults, given)
    for name, service in settings.services.items():
        yield from _policy(("services", name), service, given)
        yield from _routes(("services", name, "routes"), service, settings, given)
        yield from _service(("services", name), service, settings, given)


def _app(at: Path, app: App, settings: Settings) -> Iterator[Finding]:
    if app.port == 0:
        yield Finding(((*at, "port"),), "is required beside an app; allowed are 1 to 65535")
    if settings.registers and not app.name:
        message = "is required to register; give a name, or set eureka.register = false"
        yield Finding(((*at, "name"), ("eureka", "register"), ("eureka", "urls")), message)
    yield from _health((*at, "health"), app.health)
    for address in (*settings.proxy.listen, settings.admin.listen):
        if address.port == app.port:
            message = f"is {app.port}, which is also a port of Prana itself ({address}); the app needs its own"
            yield Finding(((*at, "port"), ("proxy", "listen"), ("admin", "listen")), message, warning=True)


def _health(at: Path, health: AppHealth) -> Iterator[Finding]:
    url, command = (*at, "url"), (*at, "command")
    if health.command and not health.command[0]:
        yield Finding((command,), "names no program; allowed is a program and its arguments, as a list")
    if health.command and health.url:
        yield Finding((command, url), f"is given beside {dotted(url)}; allowed is one of them")


def _two_apps(first_at: Path, first: App, at: Path, app: App) -> Iterator[Finding]:
    if app.port == first.port != 0:
        message = f"is {app.port}, as is {dotted((*first_at, 'port'))}; each app has a port of its own"
        yield Finding(((*at, "port"), (*first_at, "port")), message)
    # Those that are derived have the port in them. Eureka knows an instance by both, and no case in names.
    if app.instance_id and app.instance_id == first.instance_id and app.name.lower() == first.name.lower():
        message = f"is that of {dotted(first_at)}, which has the same name; the second would replace the first"
        yield Finding(((*at, "instance_id"), (*first_at, "instance_id")), message)


def _eureka(settings: Settings) -> Iterator[Finding]:
    eureka = settings.eureka
    try:
        authorities(eureka.ca_file)
    except ValueError as error:
        yield Finding((("eureka", "ca_file"),), str(error))
    if eureka.zone and eureka.zones and eureka.zone not in eureka.zones and not eureka.dns.domain:
        message = f"is {eureka.zone}, which has no servers in eureka.zones; given are {', '.join(eureka.zones)}"
        yield Finding((("eureka", "zone"), ("eureka", "zones")), message, warning=True)
    if eureka.renewal_interval >= eureka.lease_duration:
        lease = format_duration(eureka.lease_duration)
        yield Finding(
            (("eureka", "renewal_interval"), ("eureka", "lease_duration")),
            f"is {format_duration(eureka.renewal_interval)}; it must be shorter than eureka.lease_duration ({lease}), "
            "or the registration expires between two renewals",
        )


def _addresses(settings: Settings) -> Iterator[Finding]:
    listen = ("proxy", "listen")
    if not settings.proxy.listen:
        yield Finding((listen,), 'is empty; allowed is at least one address, such as "127.0.0.1:8078"')
    for one, other in combinations(settings.proxy.listen, 2):
        if _collide(one, other):
            yield Finding((listen,), f"has {one} and {other}, which take the same port; each address once")
    for address in settings.proxy.listen:
        if _collide(address, settings.admin.listen):
            message = f"{settings.admin.listen} takes the port of proxy.listen {address}; choose another"
            yield Finding((("admin", "listen"), listen), message)


def _hand_over(settings: Settings) -> Iterator[Finding]:
    path = settings.shutdown.hand_over
    if path and path in [address.unix_path for address in settings.proxy.listen]:
        message = f"is {path}, where callers are listened for (proxy.listen); give it a path of its own"
        yield Finding((("shutdown", "hand_over"), ("proxy", "listen")), message)


def _collide(one: Address, other: Address) -> bool:
    if one.unix_path or other.unix_path:
        return one.unix_path == other.unix_path
    same_host = one.host == other.host or one.host in _WILDCARDS or other.host in _WILDCARDS
    return one.port == other.port != 0 and same_host


def _policy(at: Path, policy: Policy, given: Container[Path]) -> Iterator[Finding]:
    yield from _eject((*at, "eject"), policy.eject, given)
    yield from _command(at, policy, given)
    yield from _tls((*at, "tls"), policy.tls, given)


def _eject(at: Path, eject: Eject, given: Container[Path]) -> Iterator[Finding]:
    base, longest = (*at, "base"), (*at, "max")
    if eject.base_s > eject.max_s and (base in given or longest in given):
        message = f"is {format_duration(eject.base_s)}; allowed is up to eject.max ({format_duration(eject.max_s)})"
        yield Finding((base, longest), message)
    most, panic = (*at, "max_ejected_percent"), (*at, "panic_percent")
    if eject.max_ejected_percent > 100 - eject.panic_percent and (most in given or panic in given):
        message = (
            f"is {eject.max_ejected_percent}, but with less than {eject.panic_percent} percent in rotation "
            "(eject.panic_percent) ejection is ignored"
        )
        yield Finding((most, panic), message, warning=True)


def _command(at: Path, policy: CommandPolicy, given: Container[Path]) -> Iterator[Finding]:
    yield from _breaker((*at, "breaker"), policy.breaker, given)
    yield from _adaptive(at, policy, given)
    yield from timeout_findings(at, policy, given)


def _adaptive(at: Path, policy: CommandPolicy, given: Container[Path]) -> Iterator[Finding]:
    """Of what was written in this very table."""
    adaptive, table = policy.adaptive, (*at, "adaptive")
    low, high, start = (*table, "min"), (*table, "max"), (*table, "initial")
    if not adaptive.min <= adaptive.initial <= adaptive.max and any(key in given for key in (low, high, start)):
        bounds = f"adaptive.min ({adaptive.min}) to adaptive.max ({adaptive.max})"
        message = f"initial is {adaptive.initial}; allowed are {bounds}"
        yield Finding((start, low, high), message)
    fixed = (*at, "max_concurrent")
    if adaptive.enabled and fixed in given:
        yield Finding((fixed, (*table, "enabled")), "has no effect, for adaptive is enabled", warning=True)


def _breaker(at: Path, breaker: Breaker, given: Container[Path]) -> Iterator[Finding]:
    """Of what was written in this very table."""
    interval, window = (*at, "health_interval"), (*at, "window")
    if breaker.health_interval > breaker.window and (interval in given or window in given):
        message = (
            f"is {format_duration(breaker.health_interval)}; allowed is up to the window "
            f"({format_duration(breaker.window)})"
        )
        yield Finding((interval, window), message)
    forced = (*at, "force")
    if breaker.force != "none" and not breaker.enabled and forced in given:
        yield Finding((forced, (*at, "enabled")), "has no effect, for the breaker is not enabled", warning=True)


def _tls(at: Path, tls: Tls, given: Container[Path]) -> Iterator[Finding]:
    """Of what was written in this very table: a service does not repeat what is wrong with the defaults."""
    written = {key for key in tls.__struct_fields__ if (*at, key) in given}
    if written & _TLS_FILES:
        try:
            upstream_context(tls.ca_file, tls.cert_file, tls.key_file, verify=tls.verify)
        except TlsProblem as problem:
            if problem.key in written or problem.key != "ca_file":  # a key must fit its certificate, inherited or not
                others = [(*at, key) for key in sorted(written)]
                yield Finding(((*at, problem.key), *others), str(problem))
    if "verify" in written and not tls.verify:
        message = "is false, so that whoever answers at an instance's address is believed; better name its ca_file"
        yield Finding(((*at, "verify"),), message, warning=True)


def _routes(at: Path, service: ServicePolicy, settings: Settings, given: Container[Path]) -> Iterator[Finding]:
    routes = Tables.located(at, service.routes)
    yield from route_findings(routes)
    for route_at, route in routes:
        yield from _command(route_at, route, given)
        if route.fallback is not service.fallback:
            yield from fallback_findings((*route_at, "fallback"), route.fallback, settings, given)


def _service(at: Path, service: ServicePolicy, settings: Settings, given: Container[Path]) -> Iterator[Finding]:
    yield from fallback_findings((*at, "fallback"), service.fallback, settings, given)
    if settings.proxy.compat and at[-1] in SHADOWING:
        message = f"is not reached by {SHADOWING[str(at[-1])]}, paths of proxy.compat, but with X-Prana-Service"
        yield Finding((at, ("proxy", "compat")), message, warning=True)
    instances = service.instances
    for address in dict.fromkeys(address for address in instances if instances.count(address) > 1):
        yield Finding(((*at, "instances"),), f"has {address} more than once; each instance once")
    if service.tls.mode == "never" and any(address.secure for address in instances):
        message = "has https://, but tls.mode never calls by TLS; leave out one of them"
        yield Finding(((*at, "instances"), (*at, "tls", "mode")), message)
    if not instances and not (settings.eureka.fetch and settings.eureka.configured):
        message = "has no instances, and no registry is read; every call will be refused"
        yield Finding((at, ("eureka", "fetch"), ("eureka", "urls")), message, warning=True)
