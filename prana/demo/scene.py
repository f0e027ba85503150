"""What the demo consists of: the ports, the sample instances, and the sidecar's configuration."""

from dataclasses import dataclass

from prana.config.settings import (
    Admin,
    App,
    AppHealth,
    Eject,
    Eureka,
    Fallback,
    Proxy,
    ServicePolicy,
    Settings,
    Shutdown,
)
from prana.config.units import Address
from prana.demo.sample import HOST, Role
from prana.startup import StartupError
from registry.registration import Registration

RECOMMENDATIONS = "recommendation-service"
USERS = "user-service"
APP = "demo-app"

_BOOKS = {"recommendations": ["Emma", "Solaris", "Middlemarch"]}
_USER = {"user": "Ada"}

ROLES = (
    Role(service=RECOMMENDATIONS, id="rec-healthy", says=_BOOKS),
    Role(service=RECOMMENDATIONS, id="rec-slow", says=_BOOKS, delay_s=(0.3, 0.5)),
    Role(service=RECOMMENDATIONS, id="rec-flaky", says=_BOOKS, cycle_s=20.0),
    Role(service=USERS, id="user-1", says=_USER),
    Role(service=USERS, id="user-2", says=_USER),
    Role(service=APP, id=APP),
)
"""In the order of their ports. The last one is the app beside the sidecar, which registers it."""

# Far shorter than anybody wants them in production: whoever tries things out does not want to wait.
_RENEWAL_INTERVAL_S = 2
LEASE_DURATION_S = 6
_FETCH_INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True)
class Ports:
    """`instances` is the port of the first sample instance; the others have the ones after it."""

    registry: int
    proxy: int
    admin: int
    instances: int

    def of(self, id: str) -> int:
        """The port of the sample instance with this id."""
        return self.instances + [role.id for role in ROLES].index(id)

    @property
    def eureka_url(self) -> str:
        return f"http://{HOST}:{self.registry}/eureka/"


def check(ports: Ports) -> None:
    """Raises StartupError when a sample instance would get a port that does not exist."""
    last = ports.of(ROLES[-1].id)
    if last > 65535:
        message = f"the {len(ROLES)} sample instances would need ports {ports.instances} to {last}"
        raise StartupError(f"{message}; allowed is up to 65535, choose a lower one with --instances-port")


def registration(role: Role, port: int) -> Registration:
    """What a sample instance registers itself with."""
    return Registration(
        app=role.service,
        instance_id=role.id,
        host=HOST,
        ip=HOST,
        port=port,
        vip=role.service,
        renewal_interval_s=_RENEWAL_INTERVAL_S,
        lease_duration_s=LEASE_DURATION_S,
        home_page_url=f"http://{HOST}:{port}/",
    )


def settings(ports: Ports) -> Settings:
    """The sidecar's configuration: the defaults wherever they can be watched, everything on loopback.

    One failure ejects a node: the balancer itself keeps calls away from a node that failed, so well that light
    traffic does not fail on it seven times.
    """
    app_port = ports.of(APP)
    return Settings(
        apps=(
            App(
                name=APP,
                port=app_port,
                hostname=HOST,
                ip=HOST,
                instance_id=APP,
                health=AppHealth(url=f"http://{HOST}:{app_port}/health", interval=1.0, fall=2),
            ),
        ),
        eureka=Eureka(
            urls=(ports.eureka_url,),
            renewal_interval=float(_RENEWAL_INTERVAL_S),
            lease_duration=float(LEASE_DURATION_S),
            fetch_interval=_FETCH_INTERVAL_S,
        ),
        proxy=Proxy(listen=(Address(HOST, ports.proxy),), max_connections=400),  # with 1024 file descriptors
        admin=Admin(listen=Address(HOST, ports.admin)),
        shutdown=Shutdown(drain_delay=0.0, grace=1.0),
        services={
            RECOMMENDATIONS: ServicePolicy(
                timeout=0.8,
                eject=Eject(consecutive_failures=1),
                fallback=(Fallback(json={"recommendations": [], "fallback": True}),),
            )
        },
    )
