"""Names of Hystrix, Ribbon, Eureka, Prana and Spring set our keys, or are listed; nothing is passed over."""

from collections.abc import Callable
from operator import attrgetter

import pytest

from prana.config import Loaded
from prana.config.units import Address

LoadProperties = Callable[[str], Loaded]
Lines = Callable[[str], list[str]]

HYSTRIX = "hystrix.command.default"
ZONE_FILTER = "defaults.balancer.zone_filter"
TUNING = "defaults.balancer.ribbon"
SPRING_FILTER = "org.springframework.cloud.netflix.ribbon.ZonePreferenceServerListFilter"
SINGLE = [
    # Hystrix
    (f"{HYSTRIX}.circuitBreaker.enabled=false", "defaults.breaker.enabled", False),
    (f"{HYSTRIX}.circuitBreaker.requestVolumeThreshold=7", "defaults.breaker.request_volume", 7),
    (f"{HYSTRIX}.circuitBreaker.errorThresholdPercentage=70", "defaults.breaker.error_percentage", 70),
    (f"{HYSTRIX}.circuitBreaker.sleepWindowInMilliseconds=2500", "defaults.breaker.sleep_window", 2.5),
    (f"{HYSTRIX}.metrics.rollingStats.timeInMilliseconds=20000", "defaults.breaker.window", 20.0),
    (f"{HYSTRIX}.execution.isolation.thread.timeoutInMilliseconds=800", "defaults.timeout", 0.8),
    (f"{HYSTRIX}.execution.timeout.enabled=false", "defaults.timeout", 3600.0),
    (f"{HYSTRIX}.execution.isolation.semaphore.maxConcurrentRequests=9", "defaults.max_concurrent", 9),
    (f"{HYSTRIX}.fallback.isolation.semaphore.maxConcurrentRequests=9", "defaults.fallback_max_concurrent", 9),
    (f"{HYSTRIX}.metrics.healthSnapshot.intervalInMilliseconds=250", "defaults.breaker.health_interval", 0.25),
    (f"{HYSTRIX}.circuitBreaker.forceOpen=true", "defaults.breaker.force", "open"),
    (f"{HYSTRIX}.circuitBreaker.forceOpen=false", "defaults.breaker.force", "none"),
    (f"{HYSTRIX}.circuitBreaker.forceClosed=true", "defaults.breaker.force", "closed"),
    (
        f"{HYSTRIX}.circuitBreaker.forceClosed=true\n{HYSTRIX}.circuitBreaker.forceOpen=true",
        "defaults.breaker.force",
        "open",
    ),
    # Ribbon
    ("ribbon.ReadTimeout = 1500\t", "defaults.attempt_timeout", 1.5),
    ("prana_backend.ribbon.ConnectTimeout=300", "defaults.connect_timeout", 0.3),
    ("ribbon.MaxAutoRetriesNextServer=3", "defaults.retry.max_retries", 3),
    ("ribbon.MaxAutoRetriesNextServer=0", "defaults.retry.max_retries", 0),
    ("ribbon.MaxAutoRetries=1", "defaults.retry.max_retries", 3),
    ("ribbon.MaxAutoRetries=1", "defaults.retry.same_node_retries", 1),
    ("ribbon.MaxAutoRetries=2\nribbon.MaxAutoRetriesNextServer=2", "defaults.retry.max_retries", 8),
    ("ribbon.OkToRetryOnAllOperations=false", "defaults.retry.methods", frozenset({"GET"})),
    (
        "ribbon.OkToRetryOnAllOperations=true",
        "defaults.retry.methods",
        frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"}),
    ),
    ("ribbon.BackoffTimeout=100", "defaults.retry.backoff", 0.1),
    ("ribbon.BackoffTimeout=100", "defaults.retry.max_backoff", 0.25),
    ("ribbon.BackoffTimeout=500", "defaults.retry.max_backoff", 0.5),
    ("zuul.retryable=false", "defaults.retry.enabled", False),
    (
        "ribbon.eager-load.clients=Orders, billing\nribbon.eager-load.enabled=true",
        "proxy.warm_up",
        ("orders", "billing"),
    ),
    ("ribbon.eager-load.clients=orders", "proxy.warm_up", ()),
    ("ribbon.NFLoadBalancerRuleClassName=RoundRobinRule", "defaults.balancer.rule", "RoundRobinRule"),
    ("ribbon.EnableZoneAffinity=true", "defaults.balancer.zone_filter", "affinity"),
    ("ribbon.EnableZoneAffinity=false", "defaults.balancer.zone_filter", "none"),
    (
        "ribbon.EnableZoneAffinity=true\nribbon.EnableZoneExclusivity=true",
        "defaults.balancer.zone_filter",
        "exclusivity",
    ),
    (f"ribbon.NIWSServerListFilterClassName={SPRING_FILTER}", "defaults.balancer.zone_filter", "preference"),
    (f"ribbon.NIWSServerListFilterClassName={SPRING_FILTER}", "defaults.balancer.subset", 0),
    ("ribbon.NIWSServerListFilterClassName=x.ServerListSubsetFilter", "defaults.balancer.subset", 20),
    (
        "ribbon.NIWSServerListFilterClassName=x.ServerListSubsetFilter\nribbon.ServerListSubsetFilter.size=5",
        "defaults.balancer.subset",
        5,
    ),
    ("ribbon.ActiveConnectionsLimit=7", "defaults.balancer.ribbon.active_connections_limit", 7),
    ("ribbon.ActiveConnectionsLimit=2147483647", "defaults.balancer.ribbon.active_connections_limit", 0),
    ("ribbon.ServerWeightTaskTimerInterval=500", "defaults.balancer.ribbon.weight_interval", 0.5),
    ("ribbon.zoneAffinity.maxLoadPerServer=0.7", "defaults.balancer.ribbon.affinity_max_load", 0.7),
    ("niws.loadbalancer.default.connectionFailureCountThreshold=4", f"{TUNING}.connection_failure_threshold", 4),
    ("niws.loadbalancer.default.circuitTripTimeoutFactorSeconds=5", f"{TUNING}.trip_factor", 5.0),
    ("niws.loadbalancer.availabilityFilteringRule.filterCircuitTripped=no", f"{TUNING}.filter_circuit_tripped", False),
    ("ZoneAwareNIWSDiscoveryLoadBalancer.triggeringLoadPerServerThreshold=0.5", f"{TUNING}.avoid_zone_load", 0.5),
    ("ribbon.IsSecure=TRUE", "defaults.tls.mode", "always"),
    ("ribbon.IsSecure=false", "defaults.tls.mode", "never"),
    # Eureka
    ("eureka.name=orders", "apps.name", "orders"),
    ("eureka.vipAddress=a,b", "apps.vip", "a,b"),
    ("eureka.securePort=8443\neureka.securePort.enabled=true", "apps.secure_port", 8443),
    ("eureka.securePort.enabled=true", "apps.secure_port", 443),
    ("eureka.securePort=8443", "apps.secure_port", 0),
    ("eureka.metadata.my.zone=a", "apps.metadata", {"my.zone": "a"}),
    ("eureka.healthCheckUrl=http://h/x", "apps.health_check_url", "http://h/x"),
    ("eureka.lease.renewalInterval=7", "eureka.renewal_interval", 7.0),
    ("eureka.lease.duration=70", "eureka.lease_duration", 70.0),
    ("eureka.client.refresh.interval=9", "eureka.fetch_interval", 9.0),
    ("eureka.serviceUrl.default=http://a/v2/, http://b/v2/", "eureka.urls", ("http://a/v2/", "http://b/v2/")),
    ("eureka.serviceUrl.default=", "eureka.urls", ()),
    ("eureka.serviceUrl.us-1a=http://a/v2/", "eureka.zones", {"us-1a": ("http://a/v2/",)}),
    ("eureka.registration.enabled=false", "eureka.register", False),
    ("eureka.shouldFetchRegistry=false", "eureka.fetch", False),
    ("eureka.us-1.availabilityZones=us-1a , us-1b", "eureka.zone", "us-1a"),
    ("eureka.shouldUseDns=true\neureka.eurekaServer.domainName=e.org", "eureka.dns.domain", "e.org"),
    ("eureka.shouldUseDns=false\neureka.eurekaServer.domainName=e.org", "eureka.dns.domain", ""),
    ("eureka.eurekaServer.context=eureka/v2", "eureka.dns.path", "/eureka/v2/"),
    # Prana
    ("prana.host.healthcheck.url=http://h:1/x", "apps.health.url", "http://h:1/x"),
    ("prana.host.healthcheck.timeout=500", "apps.health.timeout", 0.5),
    ("netflix.platform.admin.resources.port=8087", "admin.listen", Address("0.0.0.0", 8087)),
    # Spring
    ("spring.application.name=orders", "apps.name", "orders"),
    ("sidecar.health-uri=http://h:1/x", "apps.health.url", "http://h:1/x"),
    ("sidecar.healthUri=http://h:1/x", "apps.health.url", "http://h:1/x"),
    ("sidecar.hostname=a\neureka.instance.hostname=b", "apps.hostname", "b"),
    ("eureka.instance.hostname=b\nsidecar.hostname=a", "apps.hostname", "b"),
    ("eureka.instance.preferIpAddress=true", "apps.prefer_ip", True),
    ("eureka.instance.metadata-map.zone=a", "apps.metadata", {"zone": "a"}),
    ("eureka.client.serviceUrl.defaultZone=http://a/eureka/", "eureka.urls", ("http://a/eureka/",)),
    ("eureka.client.service-url.us-1a=http://a/v2/", "eureka.zones", {"us-1a": ("http://a/v2/",)}),
    ("eureka.client.fetchRegistry=false", "eureka.fetch", False),
    ("eureka.client.enabled=false", "eureka.fetch", False),
    ("eureka.client.enabled=false\neureka.client.register-with-eureka=true", "eureka.register", False),
    ("eureka.client.enabled=true\neureka.client.register-with-eureka=false", "eureka.register", False),
    ("eureka.client.enabled=true", "eureka.register", True),
    ("zuul.semaphore.max-semaphores=50", "defaults.max_concurrent", 50),
    # our own keys
    ("proxy.listen=127.0.0.1:1,127.0.0.1:2", "proxy.listen", (Address("127.0.0.1", 1), Address("127.0.0.1", 2))),
    ("app.metadata.a.b=c", "apps.metadata", {"a.b": "c"}),
    ("eureka.fetch_interval=3s", "eureka.fetch_interval", 3.0),
    ("defaults.retry.statuses=500,503", "defaults.retry.statuses", frozenset({500, 503})),
]


@pytest.mark.parametrize(("text", "key", "value"), SINGLE)
def test_a_property_sets_its_key(text: str, key: str, value: object, load_properties: LoadProperties) -> None:
    app = "app.port=5000\neureka.register=false\n" if key.startswith("apps.") else ""
    settings = load_properties(f"{app}{text}").settings
    section, _, rest = key.partition(".")
    holder = settings.apps[0] if section == "apps" else getattr(settings, section)
    assert attrgetter(rest)(holder) == value
    assert load_properties(f"{app}{text}").without_counterpart == []


def test_a_service_has_what_is_given_for_it_and_else_what_is_given_for_all(load_properties: LoadProperties) -> None:
    settings = load_properties(
        """
        hystrix.command.default.execution.isolation.thread.timeoutInMilliseconds=3000
        hystrix.command.Orders.execution.isolation.thread.timeoutInMilliseconds=800
        hystrix.command.a.b.circuitBreaker.enabled=false
        ribbon.ConnectTimeout=100
        prana_backend.ribbon.ConnectTimeout=200
        a.b.ribbon.ConnectTimeout=300
        """
    ).settings
    assert (settings.defaults.timeout, settings.defaults.connect_timeout) == (3.0, 0.2)
    orders, dotted = settings.services["orders"], settings.services["a.b"]
    assert (orders.timeout, orders.connect_timeout, orders.breaker.enabled) == (0.8, 0.2, True)
    assert (dotted.timeout, dotted.connect_timeout, dotted.breaker.enabled) == (3.0, 0.3, False)


def test_of_names_that_set_a_key_together_each_is_looked_up_as_hystrix_does(load_properties: LoadProperties) -> None:
    settings = load_properties(
        """
        hystrix.command.default.execution.isolation.thread.timeoutInMilliseconds=3000
        hystrix.command.default.execution.timeout.enabled=false
        hystrix.command.orders.execution.timeout.enabled=true
        hystrix.command.billing.execution.isolation.thread.timeoutInMilliseconds=800
        """
    ).settings
    assert settings.defaults.timeout == 3600.0
    assert settings.services["orders"].timeout == 3.0
    assert settings.services["billing"].timeout == 3600.0  # for nothing was enabled for it


def test_a_service_can_undo_what_is_forced_for_all(load_properties: LoadProperties) -> None:
    forced = f"{HYSTRIX}.circuitBreaker.forceOpen=true\n"
    services = load_properties(f"{forced}hystrix.command.a.circuitBreaker.forceOpen=false").settings.services
    assert services["a"].breaker.force == "none"
    services = load_properties(f"{forced}hystrix.command.a.circuitBreaker.forceClosed=true").settings.services
    assert services["a"].breaker.force == "open"  # as in Hystrix, where open wins


def test_a_client_has_its_own_tuning(load_properties: LoadProperties) -> None:
    services = load_properties(
        """
        niws.loadbalancer.orders.circuitTripMaxTimeoutSeconds=20
        ZoneAwareNIWSDiscoveryLoadBalancer.orders.avoidZoneWithBlackoutPercetage=0.5
        """
    ).settings.services
    ribbon = services["orders"].balancer.ribbon
    assert (ribbon.trip_max, ribbon.avoid_zone_blackout_ratio) == (20.0, 0.5)


@pytest.mark.parametrize(
    ("region", "zones"),
    [
        ("eureka.region=us-1", "eureka.%s.availabilityZones=%s"),
        ("eureka.client.region=us-1", "eureka.client.availabilityZones.%s=%s"),
    ],
)
def test_the_zone_is_of_the_own_region(region: str, zones: str, load_properties: LoadProperties) -> None:
    text = "\n".join([zones % ("us-1", "us-1a,us-1b"), region, zones % ("eu-1", "eu-1a")])
    loaded = load_properties(text)
    assert loaded.settings.eureka.zone == "us-1a"
    name, _, value = region.partition("=")
    (left,) = loaded.without_counterpart
    assert (left.origin.line, left.message) == (3, f"has no counterpart: {name} is {value}")


def test_servers_are_read_as_ribbon_reads_them(load_properties: LoadProperties) -> None:
    service = load_properties("orders.ribbon.listOfServers=a:81, HTTPS://b,http://c:80/x,d").settings.services["orders"]
    assert list(map(str, service.instances)) == ["a:81", "https://b:443", "c:80", "d:80"]


def test_rules_are_known_by_their_class_with_and_without_its_package(load_properties: LoadProperties) -> None:
    text = "a.ribbon.NFLoadBalancerRuleClassName=com.netflix.loadbalancer.RoundRobinRule"
    assert load_properties(text).settings.services["a"].balancer.rule == "RoundRobinRule"


ALREADY_SO = [
    "hystrix.command.default.execution.isolation.strategy=SEMAPHORE",
    "hystrix.command.default.execution.isolation.thread.interruptOnTimeout=true",
    "hystrix.command.default.requestCache.enabled=false",
    "hystrix.command.default.execution.timeout.enabled=true",
    "eureka.validateInstanceId=false",
    "eureka.preferSameZone=true",
    "eureka.client.allow-redirects=true",
    "zuul.ribbonIsolationStrategy=SEMAPHORE",
    "zuul.addProxyHeaders = true ",
    "sidecar.accept-all-ssl-certificates=false",
    "orders.ribbon.NIWSServerListClassName=com.netflix.loadbalancer.ConfigurationBasedServerList",
]


@pytest.mark.parametrize("text", ALREADY_SO)
def test_what_prana_does_anyhow_is_not_listed(text: str, left_of: Lines) -> None:
    assert left_of(text) == []


LISTED = [
    (
        "hystrix.threadpool.default.coreSize=30",
        "has no counterpart: Prana has no thread pools; max_concurrent bounds the calls in progress",
    ),
    (
        "hystrix.command.orders.execution.isolation.strategy=THREAD",
        "has no counterpart: Prana has no thread pools; max_concurrent bounds the calls in progress",
    ),
    (
        "hystrix.collapser.X.maxRequestsInBatch=3",
        "has no counterpart: calls are not batched; single_flight joins those that are the same",
    ),
    (
        "orders.ribbon.NFLoadBalancerRuleClassName=org.acme.OurRule",
        "has no counterpart: OurRule is none of Ribbon's own rules, which are RoundRobinRule, RandomRule, "
        "WeightedResponseTimeRule, BestAvailableRule, AvailabilityFilteringRule, ZoneAvoidanceRule, RetryRule",
    ),
    (
        "orders.ribbon.VipAddress=o",
        "has no counterpart: a service is called by its VIP or application name, which is also its name in the "
        "configuration",
    ),
    (
        "archaius.deployment.environment=prod",
        "has no counterpart: one file is read, the one of -c, and the environment",
    ),
    ("prana.proxy.req.acceptencoding=gzip", "has no counterpart: Accept-Encoding is left to the caller"),
    (
        "hystrix.command.Orders#get(String).execution.isolation.thread.timeoutInMilliseconds=1",
        "has no counterpart: Orders#get(String) is no service; name one as it is called "
        "here, or a route as service:route",
    ),
    (
        "prana_backend.ribbon.listOfServers=a:1",
        "has no counterpart: every service has instances of its own; write its name in front of .ribbon",
    ),
    ("eureka.shouldUseDns=true", "has no counterpart: the domain is missing"),
    (
        "ribbon.NIWSServerListFilterClassName=org.acme.OurFilter",
        "has no counterpart: OurFilter is none of the filters of Ribbon and Spring, which are "
        "ZoneAffinityServerListFilter, ZonePreferenceServerListFilter, ServerListSubsetFilter",
    ),
    (
        "ribbon.ServerListSubsetFilter.size=5",
        "has no counterpart: it counts only with NIWSServerListFilterClassName=ServerListSubsetFilter",
    ),
    (
        "hystrix.command.orders.circuitBreaker.sleepWindow=1",
        "is not known; did you mean hystrix.command.orders.circuitBreaker.sleepWindowInMilliseconds?",
    ),
    (
        "hystrix.command.orders.circuitbreaker.enabled=true",
        "is not known; did you mean hystrix.command.orders.circuitBreaker.enabled?",
    ),
    ("orders.ribbon.ReadTimeOut=1", "is not known; did you mean orders.ribbon.ReadTimeout?"),
    ("ribbon.readTimout=1", "is not known; did you mean ribbon.ReadTimeout?"),
    ("eureka.qqq=1", "is not known"),
    ("eureka.instance.host-name-of=x", "is not known; did you mean eureka.instance.hostname?"),
    ("sidecar.helth-uri=1", "is not known; did you mean sidecar.health-uri?"),
]


@pytest.mark.parametrize(("text", "reason"), LISTED)
def test_what_has_no_counterpart_is_listed_with_the_reason(text: str, reason: str, left_of: Lines) -> None:
    assert left_of(f"\n{text}") == [f"prana.properties:2: {text.partition('=')[0]}: {reason}"]


@pytest.mark.parametrize("text", ["feature.x=1", "spring.datasource.url=x", "my.hystrix.command.x=1", "ribbonish=1"])
def test_properties_of_the_app_are_only_kept(text: str, load_properties: LoadProperties) -> None:
    loaded = load_properties(text)
    name, _, value = text.partition("=")
    assert loaded.settings.properties == {name: value}
    assert loaded.without_counterpart == []


REFUSED = [
    ("ribbon.ReadTimeout=5s", 'ribbon.ReadTimeout: must be a whole number of milliseconds, not "5s"'),
    ("ribbon.BackoffTimeout=x", 'ribbon.BackoffTimeout: must be a whole number of milliseconds, not "x"'),
    ("ribbon.MaxAutoRetries=x", 'ribbon.MaxAutoRetries: must be a whole number of retries, not "x"'),
    ("ribbon.ReadTimeout=0", "ribbon.ReadTimeout: is 0ms; allowed are 1ms to 1h"),
    ("ribbon.ReadTimeout=-1", "ribbon.ReadTimeout: is -1ms; allowed are 1ms to 1h"),
    ("ribbon.ReadTimeout=", 'ribbon.ReadTimeout: must be a whole number of milliseconds, not ""'),
    (
        "hystrix.command.orders.circuitBreaker.errorThresholdPercentage=101",
        "hystrix.command.orders.circuitBreaker.errorThresholdPercentage: is 101; allowed are 1 to 100",
    ),
    (
        f"{HYSTRIX}.execution.isolation.thread.timeoutInMilliseconds=1\n{HYSTRIX}.execution.timeout.enabled=x ",
        f'{HYSTRIX}.execution.timeout.enabled: must be true or false, not "x"',
    ),
    (
        "eureka.serviceUrl.default=http://${host}/eureka/",
        "eureka.serviceUrl.default: has a reference, ${...}, which is not resolved here; write what it stands for",
    ),
    ("a.ribbon.listOfServers=h:1,h:x", 'a.ribbon.listOfServers: services.a.instances[1]: "h:x:80" is not an address'),
    ("proxy.lisen=a:1", "proxy.lisen: unknown key; did you mean proxy.listen?"),
    ("services.a.timeot=1s", "services.a.timeot: unknown key; did you mean services.a.timeout?"),
    ("proxy.max_connections=x", 'proxy.max_connections: must be a whole number from 1 to 1000000, not "x"'),
]


@pytest.mark.parametrize(("text", "problem"), REFUSED)
def test_what_cannot_be_read_is_an_error_at_its_place(text: str, problem: str, problems_of: Lines) -> None:
    line = 1 + text.count("\n")
    (found,) = problems_of(text)
    assert found.startswith(f"prana.properties:{line}: {problem}")
