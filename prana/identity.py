"""What the app is registered as: the configuration, completed by what this machine knows about itself."""

from prana.config.settings import App, Settings
from registry.address import hostname, route_address
from registry.registration import Registration


def registration_of(app: App, settings: Settings, admin_port: int) -> Registration:
    """Blocks while it resolves the Eureka host's name: the own address is that of the route towards Eureka.

    Health and status pages are the sidecar's, on the admin port; the home page is the app's.
    """
    own_name = app.hostname or hostname()
    ip = app.ip or route_address(settings.eureka.urls)
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
        health_check_url=app.health_check_url or f"http://{authority}:{admin_port}/health",
    )
