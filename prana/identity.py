"""What the apps are registered as: the configuration, completed by what this machine knows about itself."""

from admin.views import app_key
from prana.config.settings import App, Settings
from registry.address import hostname, route_address
from registry.registration import Registration

# An address of the documentation (RFC 5737): the route to it is the default one. Servers that only the DNS names are
# not known yet when the own address has to be.
_ANYWHERE = ("http://192.0.2.1/",)


def registrations_of(settings: Settings, admin_port: int) -> list[Registration]:
    """Blocks while it resolves the Eureka host's name: the own address is that of the route towards Eureka.

    Health and status pages are the sidecar's, on the admin port; the home page is the app's. Beside others an app
    has a health page of its own, for the sidecar's answers for all of them.
    """
    own_health = len(settings.apps) > 1
    pages = [f"/health?app={app_key(app.name, app.port)}" if own_health else "/health" for app in settings.apps]
    return [_registration(app, settings, admin_port, page) for app, page in zip(settings.apps, pages, strict=True)]


def _registration(app: App, settings: Settings, admin_port: int, health_page: str) -> Registration:
    own_name = app.hostname or hostname()
    ip = app.ip or route_address(settings.eureka.all_urls or _ANYWHERE)
    host = ip if app.prefer_ip else own_name
    authority = f"[{host}]" if ":" in host else host
    vip = app.vip or app.name.lower()
    return Registration(
        app=app.name,
        instance_id=app.instance_id or f"{own_name}:{app.name}:{app.port}",
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
