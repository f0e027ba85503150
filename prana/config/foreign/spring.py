"""The property names of Spring Cloud Netflix and its sidecar, and what stands for each here.

Data only. Sources: EurekaInstanceConfigBean, EurekaClientConfigBean, SidecarProperties, ZuulProperties and
RibbonEagerLoadProperties of Spring Cloud Netflix 2.2.
"""

from prana.config.foreign import conversions as to
from prana.config.foreign.families import Family, sets, without
from prana.config.foreign.netflix import JAVA, POOL, THREADS

EAGER_LOAD = Family(
    "ribbon.eager-load.",
    (sets("clients enabled", "proxy.warm_up", to.eager_load, "only where enabled"),),
    spring=True,
)

SPRING_NAME = Family(
    "spring.",
    (
        sets("application.name", "app.name"),
        without("cloud.netflix.sidecar.enabled", "Prana is started or not", "true"),
    ),
    open=True,
    spring=True,
)

SPRING_INSTANCE = Family(
    "eureka.instance.",
    (
        sets("appname", "app.name"),
        sets("non-secure-port", "app.port"),
        sets("secure-port secure-port-enabled", "app.secure_port", to.secure_port, "only where enabled; without: 443"),
        sets("virtual-host-name", "app.vip"),
        sets("hostname", "app.hostname"),
        sets("ip-address", "app.ip"),
        sets("prefer-ip-address", "app.prefer_ip", to.flag),
        sets("instance-id", "app.instance_id"),
        sets("metadata-map.<key>", "app.metadata.<key>"),
        sets("home-page-url", "app.home_page_url"),
        sets("status-page-url", "app.status_page_url"),
        sets("health-check-url", "app.health_check_url"),
        sets("lease-renewal-interval-in-seconds", "eureka.renewal_interval", to.seconds),
        sets("lease-expiration-duration-in-seconds", "eureka.lease_duration", to.seconds),
        without("secure-virtual-host-name", "it is the VIP, where there is a secure port"),
        without("home-page-url-path status-page-url-path health-check-url-path secure-health-check-url",
                "the registered pages are Prana's own, the home page is the app's; or write the whole URL"),
        without("non-secure-port-enabled", "the plain port is always registered", "true"),
        without("instance-enabled-onit initial-status", "an app is STARTING until its health check succeeds",
                "false", "STARTING"),
        without("app-group-name asg-name data-center-info.<name> namespace environment "
                "default-address-resolution-order", "neither registered nor needed"),
    ),
    spring=True,
)  # fmt: skip

SPRING_CLIENT = Family(
    "eureka.client.",
    (
        sets("service-url.defaultZone service-url.default-zone", "eureka.urls"),
        sets("service-url.<zone>", "eureka.zones.<zone>"),
        sets("register-with-eureka enabled", "eureka.register", to.unless_disabled, "false where not enabled"),
        sets("fetch-registry enabled", "eureka.fetch", to.unless_disabled, "false where not enabled"),
        sets("registry-fetch-interval-seconds", "eureka.fetch_interval", to.seconds),
        sets("availability-zones.<region>", "eureka.zone", to.first_of_list,
             "the first of them; where eureka.client.region is given, of that region", place_in="region"),
        sets("eureka-server-d-n-s-name use-dns-for-fetching-service-urls", "eureka.dns.domain", to.spring_dns_domain,
             "only with use-dns-for-fetching-service-urls"),
        sets("region", "eureka.dns.region"),
        sets("eureka-server-port", "eureka.dns.port"),
        sets("eureka-server-u-r-l-context", "eureka.dns.path", to.context_path),
        without("prefer-same-zone-eureka allow-redirects should-unregister-on-shutdown filter-only-up-instances "
                "on-demand-update-status-change g-zip-content healthcheck.enabled", "Prana always does", "true"),
        without("disable-delta should-enforce-registration-at-init should-enforce-fetch-registry-at-init",
                "Prana never does", "false"),
        without("fetch-remote-regions-registry registry-refresh-single-vip-address", "the registry is read as a whole"),
        without("backup-registry-impl", "see eureka.cache_file"),
        without("proxy-host proxy-port proxy-user-name proxy-password", "servers are asked directly"),
        without("eureka-server-read-timeout-seconds eureka-server-connect-timeout-seconds "
                "eureka-server-total-connections eureka-server-total-connections-per-host "
                "eureka-connection-idle-timeout-seconds eureka-service-url-poll-interval-seconds "
                "instance-info-replication-interval-seconds initial-instance-info-replication-interval-seconds "
                "heartbeat-executor-thread-pool-size heartbeat-executor-exponential-back-off-bound "
                "cache-refresh-executor-thread-pool-size cache-refresh-executor-exponential-back-off-bound "
                "transport.<name> decoder-name encoder-name client-data-accept log-delta-diff dollar-replacement "
                "escape-char-replacement use-daemon-thread order tls.<name>", JAVA),
    ),
    spring=True,
)  # fmt: skip

SIDECAR = Family(
    "sidecar.",
    (
        sets("port", "app.port"),
        sets("health-uri", "app.health.url"),
        sets("home-page-uri", "app.home_page_url"),
        sets("hostname", "app.hostname"),
        sets("ip-address", "app.ip"),
        without("secure-port-enabled", "write app.secure_port", "false"),
        without("accept-all-ssl-certificates",
                "the health check of an app with a certificate of its own can be a command", "false"),
    ),
    spring=True,
)  # fmt: skip

ZUUL_ROUTES = Family(
    "zuul.routes.<service>.",
    (
        sets("retryable", "retry.enabled", to.flag),
        without(
            "path service-id url strip-prefix",
            "a service is called as /<service>/<path>, the first segment is left out",
        ),
        without("sensitive-headers custom-sensitive-headers", "headers pass unchanged, Authorization and Cookie too"),
    ),
    spring=True,
)

ZUUL_SEMAPHORES = Family("zuul.eureka.<service>.", (sets("semaphore.max-semaphores", "max_concurrent"),), spring=True)

ZUUL = Family(
    "zuul.",
    (
        sets("retryable", "defaults.retry.enabled", to.flag),
        sets("semaphore.max-semaphores", "defaults.max_concurrent"),
        without("ribbon-isolation-strategy", THREADS, "SEMAPHORE"),
        without("thread-pool.<name>", THREADS),
        without("host.socket-timeout-millis host.connect-timeout-millis",
                "it is for routes to URLs; calls of services have <service>.ribbon.ReadTimeout and ConnectTimeout"),
        without("host.<name>", POOL),
        without("routes.<service> prefix strip-prefix servlet-path ignored-patterns ignored-services",
                "every service is called as /<service>/<path>, the first segment is left out"),
        without("sensitive-headers ignored-headers ignore-security-headers ignore-local-service include-debug-header",
                "headers pass unchanged, Authorization and Cookie too"),
        without("add-proxy-headers", "X-Forwarded-For, -Proto, -Host and -Port are always added", "true"),
        without("add-host-header", "an instance gets its own authority as Host, the caller's is in X-Forwarded-Host",
                "false"),
        without("force-original-query-string-encoding", "path and query are never changed", "true"),
        without("decode-url remove-semicolon-content", "path and query are never changed", "false"),
        without("set-content-length trace-request-body ssl-hostname-validation-enabled",
                "bodies pass as they are; see tls"),
    ),
    spring=True,
)  # fmt: skip

# Those of Zuul are weaker than those of Ribbon and Hystrix, which are about the same calls.
ZUUL_FAMILIES = (ZUUL_SEMAPHORES, ZUUL_ROUTES, ZUUL)

# As in Spring, eureka.instance is stronger than sidecar.
FAMILIES = (SPRING_NAME, EAGER_LOAD, SIDECAR, SPRING_INSTANCE, SPRING_CLIENT)
