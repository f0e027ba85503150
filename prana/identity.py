"""What the apps are registered as: the configuration, completed by what this machine knows about itself."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from admin.views import app_key
from prana.config.settings import App, Settings
from registry.address import hostname, route_address
from registry.registration import Registration

_log = structlog.get_logger()

UNKNOWN_IP = "127.0.0.1"  # stands for the own address until the route towards Eureka is known
_RETRY_S = 2.0


async def own_address(
    urls: Callable[[], Sequence[str]], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> str:
    """The address of the route towards Eureka, asked until there is one: without, nobody could be registered with."""
    warned = False
    while (address := await route_address(urls())) is None:
        if not warned:
            _log.warning("not registering yet, for there is no route to a Eureka server", servers=urls())
        warned = True
        await sleep(_RETRY_S)
    return address


def client_identity(settings: Settings) -> str:
    """What tells this sidecar from the others: the instance id of the first app, or this machine's name."""
    return _instance_id(settings.apps[0]) if settings.apps else hostname()


def _instance_id(app: App) -> str:
    return app.instance_id or f"{app.hostname or hostname()}:{app.name}:{app.port}"


def registrations_of(settings: Settings, admin_port: int, ip: str) -> list[Registration]:
    """`ip` is the own address, of apps that are not configured with one.

    Health and status pages are the sidecar's, on the admin port; the home page is the app's. Beside others an app
    has a health page of its own, for the sidecar's answers for all of them.
    """
    own_health = len(settings.apps) > 1
    pages = [f"/health?app={app_key(app.name, app.port)}" if own_health else "/health" for app in settings.apps]
    return [
        _registration(app, settings, admin_port, page, app.ip or ip)
        for app, page in zip(settings.apps, pages, strict=True)
    ]


def _registration(app: App, settings: Settings, admin_port: int, health_page: str, ip: str) -> Registration:
    host = ip if app.prefer_ip else app.hostname or hostname()
    authority = f"[{host}]" if ":" in host else host
    vip = app.vip or app.name.lower()
    return Registration(
        app=app.name,
        instance_id=_instance_id(app),
        host=host,
        ip=ip,
        port=app.port,
        secure_port=app.secure_port,
        vip=vip,
        secure_vip=vip if app.secure_port else "",
        metadata=app.metadata,
        renewal_interval_s=settings.eureka.renewal_interval,
        lease_duration_s=settings.eureka.lease_duration,
        home_page_url=app.home_page_url or f"http://{authority}:{app.port}/",
        status_page_url=app.status_page_url or f"http://{authority}:{admin_port}/info",
        health_check_url=app.health_check_url or f"http://{authority}:{admin_port}{health_page}",
    )
