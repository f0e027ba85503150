"""Every setting: its name, type, default and what it accepts. Durations are seconds, sizes are bytes.

The names are those of the TOML file. An empty string stands for "derived", as each such field says.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from prana.config import endpoints, kinds, matching
from prana.config.units import Address
from prana.fallback.file import media_type_of

P2C_RULES = ("p2c-ewma", "p2c-least-request")
RIBBON_RULES = (
    "RoundRobinRule",
    "RandomRule",
    "WeightedResponseTimeRule",
    "BestAvailableRule",
    "AvailabilityFilteringRule",
    "ZoneAvoidanceRule",
    "RetryRule",
)

_NAME = r"[A-Za-z0-9._-]{1,128}"
_NAME_IN_WORDS = "1 to 128 of A-Z a-z 0-9 . _ -"

Text = Annotated[str, kinds.text()]
Url = Annotated[str, endpoints.http_url()]
Hostname = Annotated[str, endpoints.host_name()]
Flag = Annotated[bool, kinds.boolean()]
Count = Annotated[int, kinds.integer(1, 1_000_000)]
Span = Annotated[float, kinds.duration("1ms", "1h")]
Ratio = Annotated[float, kinds.number(0, 1)]
Load = Annotated[float, kinds.number(0, 1_000_000)]  # requests under way for each instance
ServiceName = Annotated[str, kinds.service_name()]
Method = Annotated[str, matching.method()]


class AppHealth(Struct, frozen=True, kw_only=True):
    """How the app's health is probed: by `url`, by `command`, or with neither by connecting to its port."""

    url: Url = ""
    command: tuple[Annotated[str, kinds.argument()], ...] = ()  # run without a shell; healthy when it exits with 0
    interval: Annotated[float, kinds.duration("100ms", "1h")] = 10.0
    timeout: Annotated[float, kinds.duration("10ms", "5m")] = 1.0
    rise: Annotated[int, kinds.integer(1, 100)] = 1  # successes in a row to go up
    fall: Annotated[int, kinds.integer(1, 100)] = 3  # failures in a row to go down
    statuses: Annotated[frozenset[int], kinds.statuses()] = frozenset(range(200, 300))
    # More changes within the window than this, and the app is held down until it has calmed. Other sidecars take up
    # to 90 s to follow a change through Eureka's caches, so an app with more than one a minute, lasting for minutes,
    # is never seen as it is. Five restarts in a row are no flapping yet.
    max_changes: Annotated[int, kinds.integer(0, 1000)] = 10  # 0: never
    window: Annotated[float, kinds.duration("1s", "24h")] = 300.0


class App(Struct, frozen=True, kw_only=True):
    """The app beside us, as it is registered."""

    name: Annotated[str, kinds.text(rf"({_NAME})?", _NAME_IN_WORDS)] = ""  # required to register
    port: Annotated[int, kinds.integer(1, 65535)] = 0  # required; 0 never gets past the loader
    hostname: Hostname = ""  # "": this host's name
    ip: Annotated[str, endpoints.ip_address()] = ""  # "": the address of the route towards Eureka
    prefer_ip: Flag = False
    # "": hostname:name:port. A "/" would split the path that it is part of: py-eureka-client leaves it as it is, and
    # Tomcat, in front of most Eureka servers, refuses %2F.
    instance_id: Annotated[str, kinds.text(r"[^/]*", "text without / and control characters")] = ""
    vip: Annotated[str, kinds.text(rf"({_NAME}(,{_NAME})*)?", f"names of {_NAME_IN_WORDS}, comma separated")] = (
        ""  # "": the name, lower case
    )
    secure_port: Annotated[int, kinds.integer(0, 65535)] = 0  # 0: none
    metadata: dict[Annotated[str, kinds.text(r".+", "a name")], Text] = {}
    data_center: Annotated[str, kinds.one_of("MyOwn", "Amazon")] = "MyOwn"
    health_check_url: Url = ""  # "", here and below: derived from hostname or ip, and port
    status_page_url: Url = ""
    home_page_url: Url = ""
    health: AppHealth = AppHealth()


_DEFAULT_URLS = ("http://localhost:8761/eureka/",)
EurekaUrl = Annotated[str, endpoints.eureka_url()]


class EurekaDns(Struct, frozen=True, kw_only=True):
    """Servers from TXT records: `txt.<region>.<domain>` lists zones, `txt.<zone>.<domain>` the hosts of each."""

    domain: Hostname = ""  # "": not asked
    region: Annotated[str, kinds.text(_NAME, _NAME_IN_WORDS)] = "default"
    scheme: Annotated[str, kinds.one_of("http", "https")] = "http"
    port: Annotated[int, kinds.integer(1, 65535)] = 8761
    path: Annotated[str, kinds.text(r"/[!-~]*", "a path such as /eureka/")] = "/eureka/"


class Eureka(Struct, frozen=True, kw_only=True):
    """Which registry, and what we do with it."""

    urls: tuple[EurekaUrl, ...] = _DEFAULT_URLS
    register: Flag = True
    fetch: Flag = True
    renewal_interval: Annotated[float, kinds.duration("100ms", "1h")] = 30.0
    lease_duration: Annotated[float, kinds.duration("1s", "24h")] = 90.0
    fetch_interval: Annotated[float, kinds.duration("100ms", "1h")] = 30.0
    zone: Text = ""  # our own; "": the first app's metadata.zone
    zones: dict[Annotated[str, kinds.text(_NAME, _NAME_IN_WORDS)], tuple[EurekaUrl, ...]] = {}  # servers by zone
    dns: EurekaDns = EurekaDns()
    ca_file: Text = ""  # PEM; "": the system's authorities
    cache_file: Text = ""  # "": none
    allow_loopback_instances: Annotated[str, kinds.one_of("auto", "always", "never")] = "auto"

    @property
    def plain_urls(self) -> tuple[str, ...]:
        """Servers of no zone. The default is not among them where others are given by zone or DNS."""
        return () if self.urls == _DEFAULT_URLS and (self.zones or self.dns.domain) else self.urls

    @property
    def all_urls(self) -> tuple[str, ...]:
        """Every server that is known without the DNS."""
        return tuple(dict.fromkeys((*self.plain_urls, *(url for urls in self.zones.values() for url in urls))))

    @property
    def configured(self) -> bool:
        """Whether there is a registry at all."""
        return bool(self.all_urls or self.dns.domain)


class Proxy(Struct, frozen=True, kw_only=True):
    listen: tuple[Annotated[Address, endpoints.address(unix=True)], ...] = (Address("127.0.0.1", 8078),)
    default_service: Annotated[str, kinds.service_name(optional=True)] = ""  # lower case; "": none
    compat: Flag = True  # the endpoints of Netflix Prana and Spring Cloud Netflix Sidecar
    max_connections: Count = 10_000  # or fewer, where the limit of file descriptors allows no more
    warm_up: tuple[ServiceName, ...] = ()  # lower case; a connection to each of their instances before we are ready
    unix_mode: Annotated[str, kinds.text(r"(0?[0-7]{3})?", "an octal mode such as 0660")] = ""  # "": by the umask
    min_upload_rate: Annotated[int, kinds.size("0B", "1MiB")] = 32  # a second, over any 30 s; 0: any


class Admin(Struct, frozen=True, kw_only=True):
    listen: Annotated[Address, endpoints.address()] = Address("0.0.0.0", 8077)  # noqa: S104 - health checks come from outside
    token: Annotated[str, kinds.secret(r"[!-~]{0,512}", "up to 512 visible ASCII characters")] = ""
    dashboard: Flag = True


class Shutdown(Struct, frozen=True, kw_only=True):
    drain_delay: Annotated[float, kinds.duration("0s", "1h")] = 10.0
    grace: Annotated[float, kinds.duration("0s", "1h")] = 30.0
    # Where `prana run --replace` takes over from this process; "": nowhere.
    hand_over: Annotated[str, kinds.text(r"(/.{1,100})?", "an absolute path of up to 101 characters")] = ""


class Log(Struct, frozen=True, kw_only=True):
    level: Annotated[str, kinds.one_of("debug", "info", "warning", "error")] = "info"
    format: Annotated[str, kinds.one_of("auto", "console", "json")] = "auto"
    access: Annotated[str, kinds.one_of("off", "errors", "all")] = "off"


class Ribbon(Struct, frozen=True, kw_only=True):
    """Tuning of Ribbon's rules, and of zone affinity; the defaults are Ribbon's."""

    connection_failure_threshold: Count = 3  # in a row, and the circuit of an instance trips
    trip_factor: Span = 10.0  # the first time; doubled up to trip_max
    trip_max: Span = 30.0
    filter_circuit_tripped: Flag = True
    active_connections_limit: Annotated[int, kinds.integer(0, 2**31 - 1)] = 0  # requests at one instance; 0: any number
    active_requests_window: Annotated[float, kinds.duration("1s", "24h")] = 600.0
    weight_interval: Annotated[float, kinds.duration("10ms", "24h")] = 30.0
    retry_for: Annotated[float, kinds.duration("0s", "1h")] = 0.5
    avoid_zone_blackout_ratio: Ratio = 0.99999
    avoid_zone_load: Load = 0.2
    affinity_max_blackout_ratio: Ratio = 0.8
    affinity_max_load: Load = 0.6
    affinity_min_available: Annotated[int, kinds.integer(0, 1_000_000)] = 2


class Balancer(Struct, frozen=True, kw_only=True):
    """Which instances are called, and in which order."""

    rule: Annotated[str, kinds.one_of(*P2C_RULES, *RIBBON_RULES)] = "p2c-ewma"
    slow_start: Annotated[float, kinds.duration("0s", "1h")] = 10.0  # of new and returning nodes; p2c rules only
    subset: Annotated[int, kinds.integer(0, 1_000_000)] = 0  # instances to keep to, of a large service; 0: all
    zone_filter: Annotated[str, kinds.one_of("none", "affinity", "exclusivity", "preference")] = "none"
    ribbon: Ribbon = Ribbon()


class Breaker(Struct, frozen=True, kw_only=True):
    enabled: Flag = True
    window: Annotated[float, kinds.duration("100ms", "1h")] = 10.0
    request_volume: Count = 20
    error_percentage: Annotated[int, kinds.integer(1, 100)] = 50
    sleep_window: Span = 5.0
    mode: Annotated[Literal["eager", "hystrix"], kinds.one_of("eager", "hystrix")] = "eager"
    health_interval: Span = 0.5  # between the snapshots of mode "hystrix"; at most the window
    force: Annotated[Literal["none", "open", "closed"], kinds.one_of("none", "open", "closed")] = "none"
    slow_call_percentage: Annotated[int, kinds.integer(0, 100)] = 0  # opens the circuit as well; 0: does not
    slow_call_duration: Span = 1.0  # until response headers; slow is what takes longer
    half_open_permits: Annotated[int, kinds.integer(1, 1000)] = 1  # trials at once, judged together
    ramp: Annotated[float, kinds.duration("0s", "1h")] = 0.0  # after closing, a growing share is admitted; 0: all


class Detector(Struct, frozen=True, kw_only=True):
    """A reason to eject an instance."""

    enabled: Flag = True
    shadow: Flag = False  # true: only tells whom it would eject


class LatencyDetector(Detector, frozen=True, kw_only=True):
    """Slow beside the other nodes, by the medians of their latencies."""

    enabled: Flag = False
    deviations: Annotated[float, kinds.number(1, 100)] = 5.0  # robust ones, above the median of all
    min_samples: Count = 20  # good answers of a node in eject.window
    min_nodes: Annotated[int, kinds.integer(3, 1_000)] = 5  # that have as many
    floor_s: Span = msgspec.field(default=0.05, name="floor")  # always at least so much above it


class Adaptive(Struct, frozen=True, kw_only=True):
    """A limit on concurrent requests that follows their answer times, in place of max_concurrent."""

    enabled: Flag = False
    min: Count = 4
    max: Count = 200
    initial: Count = 20


class Eject(Struct, frozen=True, kw_only=True):
    """Attributes are named as those of loadbalancer.ejection.EjectionSettings, which is made of them."""

    enabled: Flag = True
    consecutive_failures: Count = 7
    min_success_ratio: Annotated[float, kinds.number(0, 1)] = 0.8
    min_requests: Count = 5
    window_s: Annotated[float, kinds.duration("100ms", "1h")] = msgspec.field(default=10.0, name="window")
    base_s: Span = msgspec.field(default=1.0, name="base")  # the first ejection; doubled up to max
    max_s: Span = msgspec.field(default=60.0, name="max")
    max_ejected_percent: Annotated[int, kinds.integer(0, 100)] = 50
    panic_percent: Annotated[int, kinds.integer(0, 100)] = 50  # with less in rotation all are called
    shadow: Flag = False  # of all detectors
    consecutive: Detector = Detector()
    success_ratio: Detector = Detector()
    refused: Detector = Detector()
    latency: LatencyDetector = LatencyDetector()


class CommandRetry(Struct, frozen=True, kw_only=True):
    """When a command tries again. What it may cost is the service's, in Retry."""

    enabled: Flag = True
    max_retries: Annotated[int, kinds.integer(0, 10)] = 2
    same_node_retries: Annotated[int, kinds.integer(0, 10)] = 0  # of these, at each node before another is tried
    methods: frozenset[Method] = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
    idempotency_key: Flag = True  # whether any method with an Idempotency-Key may be repeated as well
    backoff: Annotated[float, kinds.duration("0s", "1m")] = (
        0.025  # the longest wait before the first; doubled, plus one
    )
    max_backoff: Annotated[float, kinds.duration("0s", "1m")] = 0.25
    max_retry_after: Annotated[float, kinds.duration("0s", "5m")] = 2.0  # the longest that is waited for a Retry-After
    statuses: frozenset[Annotated[int, kinds.integer(400, 599)]] = frozenset({502, 503, 504})
    replay_bytes: Annotated[int, kinds.size("0B", "64MiB")] = 64 * 1024


class Hedge(Struct, frozen=True, kw_only=True):
    """A second attempt beside one that takes unusually long. What may be hedged, `retry` says; its budget pays."""

    enabled: Flag = False
    percentile: Annotated[float, kinds.number(50, 99.9)] = 95.0  # of the service's good answers of the last minute
    min_delay: Span = 0.01


class Retry(CommandRetry, frozen=True, kw_only=True):
    """When a service's commands try again, and the budget that they share: it protects the nodes, and those are the
    same whichever route leads to them."""

    budget_ratio: Annotated[float, kinds.number(0, 1)] = 0.2  # retries per request
    budget_floor_per_s: Annotated[float, kinds.number(0, 100_000)] = 10.0


class Tls(Struct, frozen=True, kw_only=True):
    """Whether and how instances are called by TLS. The files are PEM, read at start."""

    mode: Annotated[str, kinds.one_of("auto", "always", "never")] = "auto"  # auto: where the secure port is enabled
    ca_file: Text = ""  # whose certificates are accepted; "": those of the system's authorities
    cert_file: Text = ""  # shown to instances that ask for a certificate, intermediate ones behind it; "": none
    key_file: Text = ""  # "": in cert_file
    verify: Flag = True
    server_name: Hostname = ""  # asked for and verified instead of the instance's host name; "": that

    @property
    def files(self) -> tuple[str, ...]:
        """Those that are named."""
        return tuple(filter(None, (self.ca_file, self.cert_file, self.key_file)))


class CommandPolicy(Struct, frozen=True, kw_only=True):
    """How a command is executed: a service, or one of its routes. Every key here can be set for a route, which takes
    what it leaves out from its service, as that does from the defaults."""

    timeout: Span = 10.0  # until response headers, all attempts included
    attempt_timeout: Span = 5.0
    connect_timeout: Span = 1.0
    idle_timeout: Annotated[float, kinds.duration("1ms", "24h")] = 60.0  # between body bytes
    max_concurrent: Count = 512
    fallback_max_concurrent: Count = 512  # fallbacks in progress at once
    single_flight: Flag = False  # one call for identical GETs at the same time
    websocket: Flag = False  # whether WebSocket handshakes reach the instance as such
    tunnel_idle_timeout: Annotated[float, kinds.duration("1s", "24h")] = 300.0  # without a byte either way
    breaker: Breaker = Breaker()
    adaptive: Adaptive = Adaptive()
    retry: CommandRetry = CommandRetry()
    hedge: Hedge = Hedge()


class Policy(CommandPolicy, frozen=True, kw_only=True):
    """How any service is called: how its commands are executed, and what belongs to its nodes and is the same for all
    of its routes."""

    balancer: Balancer = Balancer()
    eject: Eject = Eject()
    retry: Retry = Retry()
    tls: Tls = Tls()


class Fallback(Struct, frozen=True, kw_only=True):
    """One step of what answers in a command's place when it fails. Exactly one of FALLBACK_KINDS is given."""

    service: Annotated[str | UnsetType, kinds.service_name()] = UNSET  # another, asked for the same
    last_good: Annotated[bool | UnsetType, kinds.true()] = UNSET  # the last good answer to the same GET
    max_age: Annotated[float, kinds.duration("1s", "168h")] = 600.0
    max_entry_bytes: Annotated[int, kinds.size("1KiB", "16MiB")] = 64 * 1024  # content of one answer
    max_bytes: Annotated[int, kinds.size("64KiB", "4GiB")] = 16 * 1024 * 1024  # all that are kept
    file: Annotated[str | UnsetType, kinds.text(r".+", "the name of a file")] = UNSET  # read at start
    json: Annotated[object, kinds.anything()] = UNSET
    body: Annotated[str | UnsetType, kinds.plain_text()] = UNSET
    status: Annotated[int, kinds.integer(200, 599)] = 200
    content_type: Annotated[str, kinds.text(r"([!-~]+/[ -~]+)?", 'a media type such as "text/html"')] = ""

    @property
    def given(self) -> list[str]:
        """The keys that say what answers: one, when the configuration is right."""
        return [key for key in FALLBACK_KINDS if getattr(self, key) is not UNSET]

    @property
    def without_effect(self) -> list[str]:
        """The keys that say nothing about what answers."""
        telling = {each for key in self.given for each in (key, *FALLBACK_KINDS[key])}
        return [key for key in self.__struct_fields__ if key not in telling]

    @property
    def always_answers(self) -> bool:
        return any(key in ("file", "json", "body") for key in self.given)

    @property
    def content(self) -> bytes:
        """Of `json` or `body`."""
        return msgspec.json.encode(self.json) if isinstance(self.body, UnsetType) else self.body.encode()

    @property
    def media_type(self) -> str:
        """The configured Content-Type, or the one that fits the content."""
        if self.content_type:
            return self.content_type
        if not isinstance(self.file, UnsetType):
            return media_type_of(self.file)
        return "application/json" if isinstance(self.body, UnsetType) else "text/plain; charset=utf-8"


# What may answer, with the keys that tell more about it.
FALLBACK_KINDS: Mapping[str, tuple[str, ...]] = {
    "service": (),
    "last_good": ("max_age", "max_entry_bytes", "max_bytes"),
    "file": ("status", "content_type"),
    "json": ("status", "content_type"),
    "body": ("status", "content_type"),
}


class RoutePolicy(CommandPolicy, frozen=True, kw_only=True):
    """How some of a service's requests are executed: its policy, with what `[[services.NAME.routes]]` overrides."""

    name: Annotated[str, kinds.service_name(optional=True)] = ""  # lower case; "": made of what it takes
    methods: frozenset[Method] = frozenset()  # none: any
    prefix: Annotated[str, matching.path_prefix()] = ""  # of whole segments of the path, as it is sent
    pattern: Annotated[str, matching.path_pattern()] = ""  # takes the path as a whole, without its query
    fallback: tuple[Fallback, ...] = ()  # as a service's, and in place of that as a whole; [] for none

    @property
    def label(self) -> str:
        """The name in lower case, without which the route is called after what it takes: get-v1-orders."""
        takes = "-".join([*sorted(self.methods), self.prefix or self.pattern]).lower()
        return self.name or re.sub(r"[^a-z0-9._]+", "-", takes)[:100].strip(".-") or "all"


class ServicePolicy(Policy, frozen=True, kw_only=True):
    """How one service is called: the defaults, with what `[services.NAME]` overrides."""

    instances: tuple[Annotated[Address, endpoints.instance()], ...] = ()  # (): from the registry
    fallback: tuple[Fallback, ...] = ()  # walked in order; one as a table, several as an array of tables
    routes: tuple[RoutePolicy, ...] = ()  # tried in this order; what none of them takes is the service's own

    @property
    def commands(self) -> "tuple[ServicePolicy | RoutePolicy, ...]":
        """How its commands are executed: its own, then those of its routes."""
        return (self, *self.routes)

    @property
    def as_route(self) -> RoutePolicy:
        """What a route has that overrides nothing."""
        return RoutePolicy(**{key: getattr(self, key) for key in RoutePolicy.__struct_fields__ if hasattr(self, key)})


class Settings(Struct, frozen=True, kw_only=True):
    """The effective configuration. Without apps there is nothing beside us to register."""

    apps: tuple[App, ...] = msgspec.field(default=(), name="app")  # [app], or several [[app]]
    eureka: Eureka = Eureka()
    proxy: Proxy = Proxy()
    admin: Admin = Admin()
    shutdown: Shutdown = Shutdown()
    log: Log = Log()
    defaults: Policy = Policy()
    services: dict[ServiceName, ServicePolicy] = {}  # by lower-case name, defaults merged in
    properties: dict[Annotated[str, kinds.text(r".+", "a name")], Annotated[str, kinds.property_value()]] = {}

    @property
    def registers(self) -> bool:
        """Whether the apps are to be registered."""
        return bool(self.apps) and self.eureka.register and self.eureka.configured

    @property
    def own_zone(self) -> str:
        """The zone whose Eureka servers come first; "" for none."""
        return self.eureka.zone or (self.apps[0].metadata.get("zone", "") if self.apps else "")

    def policy_for(self, service: str) -> ServicePolicy:
        """The policy of a service, whatever the case of its name: its own, or the defaults."""
        own = self.services.get(service.lower())
        return own if own is not None else ServicePolicy(**msgspec.structs.asdict(self.defaults))
