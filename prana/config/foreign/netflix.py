"""The property names of Hystrix, Ribbon, Eureka's client and Netflix Prana, and what stands for each here.

Data only; `translation` applies it, and docs/properties.md shows it. Sources: HystrixCommandProperties,
CommonClientConfigKey, ServerStats, ZoneAvoidancePredicate, PropertyBasedInstanceConfigConstants and
PropertyBasedClientConfigConstants.
"""

from prana.config.foreign import conversions as to
from prana.config.foreign.families import Family, sets, without

THREADS = "Prana has no thread pools; max_concurrent bounds the calls in progress"
JAVA = "an inner matter of Java's client"
POOL = "connections are opened as calls need them and pooled; max_concurrent bounds the calls in progress"

HYSTRIX_COMMAND = Family(
    "hystrix.command.<service>.",
    (
        sets("circuitBreaker.enabled", "breaker.enabled", to.flag),
        sets("circuitBreaker.requestVolumeThreshold", "breaker.request_volume"),
        sets("circuitBreaker.errorThresholdPercentage", "breaker.error_percentage"),
        sets("circuitBreaker.sleepWindowInMilliseconds", "breaker.sleep_window", to.milliseconds),
        sets("circuitBreaker.forceOpen circuitBreaker.forceClosed", "breaker.force", to.forced, "open wins"),
        sets("metrics.rollingStats.timeInMilliseconds", "breaker.window", to.milliseconds),
        sets("metrics.healthSnapshot.intervalInMilliseconds", "breaker.health_interval", to.milliseconds,
             'in breaker.mode = "hystrix"'),
        sets("execution.isolation.thread.timeoutInMilliseconds execution.timeout.enabled", "timeout",
             to.hystrix_timeout, "not enabled: an hour"),
        sets("execution.isolation.semaphore.maxConcurrentRequests", "max_concurrent"),
        sets("fallback.isolation.semaphore.maxConcurrentRequests", "fallback_max_concurrent"),
        without("execution.isolation.strategy", THREADS, "SEMAPHORE"),
        without("threadPoolKeyOverride", THREADS),
        without("execution.isolation.thread.interruptOnTimeout", "a call whose time is over is always broken off",
                "true"),
        without("execution.isolation.thread.interruptOnFutureCancel",
                "the call of a caller that hangs up is always broken off", "true"),
        without("fallback.enabled", "a service has the fallback that its table says; leave it out for none", "true"),
        without("metrics.rollingStats.numBuckets", "the window always has ten parts", "10"),
        without("metrics.rollingPercentile.enabled", "latencies are always measured", "true"),
        without("metrics.rollingPercentile.timeInMilliseconds", "percentiles are those of the last minute", "60000"),
        without("metrics.rollingPercentile.numBuckets", "percentiles are made anew every 10 s", "6"),
        without("metrics.rollingPercentile.bucketSize", "every latency counts"),
        without("requestCache.enabled", "there is no request that several calls belong to; see single_flight",
                "false"),
        without("requestLog.enabled", "there is no request that several calls belong to; see log.access", "false"),
    ),
    everywhere=("default",),
)  # fmt: skip

HYSTRIX_REST = Family(
    "hystrix.",
    (
        without("threadpool.<key>.coreSize threadpool.<key>.maximumSize", THREADS),
        without("threadpool.<key>.maxQueueSize threadpool.<key>.queueSizeRejectionThreshold",
                "calls do not queue: what is over max_concurrent is refused", "-1"),
        without("threadpool.<key>.<name>", THREADS),
        without("collapser.<key>.<name>", "calls are not batched; single_flight joins those that are the same"),
        without("stream.dashboard.intervalInMilliseconds stream.utilization.intervalInMilliseconds",
                "whoever reads the stream says how often, with ?delay=", "500"),
        without("stream.config.intervalInMilliseconds", "whoever reads the stream says how often, with ?delay=",
                "5000"),
        without("config.stream.maxConcurrentConnections", "each stream has up to five readers", "5"),
        without("plugin.<name>", "there are no plugins"),
    ),
)  # fmt: skip

NIWS = Family(
    "niws.loadbalancer.",
    (
        sets("availabilityFilteringRule.filterCircuitTripped", "defaults.balancer.ribbon.filter_circuit_tripped",
             to.flag),
        sets("availabilityFilteringRule.activeConnectionsLimit", "defaults.balancer.ribbon.active_connections_limit",
             to.limit),
        sets("serverStats.activeRequestsCount.effectiveWindowSeconds",
             "defaults.balancer.ribbon.active_requests_window", to.seconds),
        without("zoneAvoidanceRule.enabled zoneAvoidanceRule.aggregationFunction",
                "Ribbon's rules avoid zones; from which load on: balancer.ribbon.avoid_zone_load"),
    ),
    open=True,
)  # fmt: skip

NIWS_CIRCUIT = Family(
    "niws.loadbalancer.<service>.",
    (
        sets("connectionFailureCountThreshold", "balancer.ribbon.connection_failure_threshold"),
        sets("circuitTripTimeoutFactorSeconds", "balancer.ribbon.trip_factor", to.seconds),
        sets("circuitTripMaxTimeoutSeconds", "balancer.ribbon.trip_max", to.seconds),
    ),
    everywhere=("default",),
)

ZONE_AWARE = Family(
    "ZoneAwareNIWSDiscoveryLoadBalancer.<service>.",
    (
        sets("triggeringLoadPerServerThreshold", "balancer.ribbon.avoid_zone_load"),
        sets("avoidZoneWithBlackoutPercetage", "balancer.ribbon.avoid_zone_blackout_ratio"),  # sic
        without("enabled", "Ribbon's rules avoid zones; from which load on: balancer.ribbon.avoid_zone_load", "true"),
    ),
    everywhere=("",),
)

RIBBON = Family(
    "<service>.ribbon.",
    (
        sets("ReadTimeout", "attempt_timeout", to.milliseconds, "connecting included"),
        sets("ConnectTimeout", "connect_timeout", to.milliseconds),
        sets("MaxAutoRetriesNextServer MaxAutoRetries", "retry.max_retries", to.retries,
             "all retries together, (1 + same) x (1 + next) - 1; where only one is given, next is 1 and same 0"),
        sets("MaxAutoRetries", "retry.same_node_retries", to.same_server_retries),
        sets("OkToRetryOnAllOperations", "retry.methods", to.retried_methods, "false: GET; true: POST and PATCH, too"),
        sets("BackoffTimeout", "retry.backoff", to.milliseconds, "the longest wait before the first retry"),
        sets("BackoffTimeout", "retry.max_backoff", to.longest_backoff, "where that is longer than it is by default"),
        sets("listOfServers", "instances", to.servers, "without a port: 80, or 443 after https://"),
        sets("NFLoadBalancerRuleClassName", "balancer.rule", to.rule, "Ribbon's own rules, with or without package"),
        sets("EnableZoneAffinity EnableZoneExclusivity NIWSServerListFilterClassName", "balancer.zone_filter",
             to.zone_filter, "exclusivity wins; preference with the class of Spring"),
        sets("ServerListSubsetFilter.size NIWSServerListFilterClassName", "balancer.subset", to.subset,
             "20 where only the filter is given"),
        sets("ActiveConnectionsLimit", "balancer.ribbon.active_connections_limit", to.limit),
        sets("ServerWeightTaskTimerInterval", "balancer.ribbon.weight_interval", to.milliseconds),
        sets("zoneAffinity.maxLoadPerServer", "balancer.ribbon.affinity_max_load"),
        sets("zoneAffinity.maxBlackOutServesrPercentage", "balancer.ribbon.affinity_max_blackout_ratio"),  # sic
        sets("zoneAffinity.minAvailableServers", "balancer.ribbon.affinity_min_available"),
        sets("IsSecure", "tls.mode", to.tls_mode, "true: always; false: never"),
        without("IsHostnameValidationRequired", "certificates and the names in them are verified together: tls.verify",
                "true"),
        without("KeyStore KeyStorePassword TrustStore TrustStorePassword CustomSSLSocketFactoryClassName "
                "IsClientAuthRequired", "certificates are PEM files: tls.ca_file, tls.cert_file, tls.key_file"),
        without("MaxConnectionsPerHost MaxTotalConnections MaxHttpConnectionsPerHost MaxTotalHttpConnections "
                "PoolMaxThreads PoolMinThreads PoolKeepAliveTime PoolKeepAliveTimeUnits ConnectionManagerTimeout "
                "ConnIdleEvictTimeMilliSeconds ConnectionCleanerRepeatInterval ReceiveBufferSize SendBufferSize "
                "Linger IgnoreUserTokenInConnectionPoolForSecureClient", POOL),
        without("EnableConnectionPool ConnectionPoolCleanerTaskEnabled StaleCheckingEnabled", POOL, "true"),
        without("FollowRedirects GZipPayload EnableGZIPContentEncodingFilter",
                "answers and bodies reach the other side as they are", "false"),
        without("VipAddress DeploymentContextBasedVipAddresses",
                "a service is called by its VIP or application name, which is also its name in the configuration"),
        without("AppName ClientClassName Version VipAddressResolverClassName RequestIdHeaderName "
                "InitializeNFLoadBalancer RequestSpecificRetryOn", "an inner matter of Ribbon's client"),
        without("Port SecurePort ForceClientPortConfiguration", "the port is the one that is registered"),
        without("UseIPAddrForServer",
                "an instance is called by its host name, and by its address where that does not resolve"),
        without("PrioritizeVipAddressBasedServers TargetRegion", "the registry is read as a whole"),
        without("NFLoadBalancerClassName NFLoadBalancerStatsClassName RulePredicateClasses",
                "balancer.rule and balancer.zone_filter say how instances are chosen"),
        without("NFLoadBalancerPingClassName NFLoadBalancerPingInterval NFLoadBalancerMaxTotalPingTime",
                "instances are not probed: what the registry says and what calls show is joined, see eject"),
        without("NIWSServerListClassName eureka.enabled",
                "a service with instances is not looked up, any other is; eureka.fetch = false for none",
                "true", "com.netflix.niws.loadbalancer.DiscoveryEnabledNIWSServerList",
                "com.netflix.loadbalancer.ConfigurationBasedServerList"),
        without("ServerListRefreshInterval ServerListUpdaterClassName",
                "lists follow the registry: eureka.fetch_interval"),
        without("EnableMarkingServerDownOnReachingFailureLimit ServerDownFailureLimit ServerDownStatWindowInMillis",
                "see eject"),
        without("EnablePrimeConnections PrimeConnectionsClassName PrimeConnectionsURI "
                "MaxRetriesPerServerPrimeConnection MaxTotalTimeToPrimeConnections MinPrimeConnectionsRatio",
                "see proxy.warm_up"),
        without("ServerListSubsetFilter.forceEliminatePercent ServerListSubsetFilter.eliminationConnectionThresold "
                "ServerListSubsetFilter.eliminationFailureThresold",
                "a subset changes only with its members; those that fail are ejected"),
        without("ProxyHost ProxyPort", "instances are called directly"),
        without("restclient.enabled http.client.enabled okhttp.enabled", "an inner matter of Spring's client"),
    ),
    # Netflix Prana had one client configuration for all services.
    everywhere=("", "prana_backend"),
)  # fmt: skip

EUREKA = Family(
    "eureka.",
    (
        sets("name", "app.name"),
        sets("port", "app.port"),
        sets("securePort securePort.enabled", "app.secure_port", to.secure_port, "only where enabled; without: 443"),
        sets("vipAddress", "app.vip"),
        sets("instanceId", "app.instance_id"),
        sets("metadata.<key>", "app.metadata.<key>"),
        sets("homePageUrl", "app.home_page_url"),
        sets("statusPageUrl", "app.status_page_url"),
        sets("healthCheckUrl", "app.health_check_url"),
        sets("lease.renewalInterval", "eureka.renewal_interval", to.seconds),
        sets("lease.duration", "eureka.lease_duration", to.seconds),
        sets("serviceUrl.default serviceUrl.defaultZone", "eureka.urls"),
        sets("serviceUrl.<zone>", "eureka.zones.<zone>"),
        sets("registration.enabled", "eureka.register", to.flag),
        sets("shouldFetchRegistry", "eureka.fetch", to.flag),
        sets("client.refresh.interval", "eureka.fetch_interval", to.seconds),
        sets("<region>.availabilityZones", "eureka.zone", to.first_of_list,
             "the first of them; where eureka.region is given, of that region", place_in="region"),
        sets("eurekaServer.domainName domainName shouldUseDns", "eureka.dns.domain", to.dns_domain,
             "only with shouldUseDns"),
        sets("region", "eureka.dns.region"),
        sets("eurekaServer.port", "eureka.dns.port"),
        sets("eurekaServer.context context", "eureka.dns.path", to.context_path),
        without("secureVipAddress", "it is the VIP, where there is a secure port"),
        without("homePageUrlPath statusPageUrlPath healthCheckUrlPath secureHealthCheckUrl",
                "the registered pages are Prana's own, the home page is the app's; or write the whole URL"),
        without("port.enabled", "the plain port is always registered", "true"),
        without("traffic.enabled", "an app is STARTING until its health check succeeds", "false"),
        without("validateInstanceId", "instance ids are not compared with those of Amazon", "false"),
        without("datacenter", 'an app is registered with app.data_center = "MyOwn"', "MyOwn", "default", "local"),
        without("appGroup asgName environment decoderName encoderName clientDataAccept broadcastPublicIpv4 "
                "defaultAddressResolutionOrder useAwsSdkV2 printDeltaFullDiff dollarReplacement escapeCharReplacement",
                "neither registered nor needed"),
        without("preferSameZone allowRedirects shouldUnregisterOnShutdown shouldOnDemandUpdateStatusChange "
                "shouldFilterOnlyUpInstances eurekaServer.gzipContent", "Prana always does", "true"),
        without("disableDelta shouldEnforceFetchRegistryAtInit shouldEnforceRegistrationAtInit",
                "Prana never does", "false"),
        without("fetchRemoteRegionsRegistry registryRefreshSingleVipAddress", "the registry is read as a whole"),
        without("backupregistry", "see eureka.cache_file"),
        without("serviceUrlPollIntervalMs appinfo.replicate.interval appinfo.initial.replicate.time "
                "client.heartbeat.threadPoolSize client.heartbeat.exponentialBackOffBound "
                "client.cacheRefresh.threadPoolSize client.cacheRefresh.exponentialBackOffBound "
                "eurekaServer.readTimeout eurekaServer.connectTimeout eurekaServer.maxTotalConnections "
                "eurekaServer.maxConnectionsPerHost eurekaserver.connectionIdleTimeoutInSeconds experimental.<name>",
                JAVA),
        without("eurekaServer.proxyHost eurekaServer.proxyPort eurekaServer.proxyUserName eurekaServer.proxyPassword",
                "servers are asked directly"),
    ),
)  # fmt: skip

PRANA = Family(
    "prana.",
    (
        sets("host.healthcheck.url", "app.health.url"),
        sets("host.healthcheck.timeout", "app.health.timeout", to.milliseconds),
        without("proxy.req.acceptencoding", "Accept-Encoding is left to the caller"),
    ),
)

ARCHAIUS = Family("archaius.", (without("<name>", "one file is read, the one of -c, and the environment"),))

KARYON = Family(
    "netflix.",
    (
        sets("platform.admin.resources.port", "admin.listen", to.any_address),
        without("<name>", "Prana's admin port is its own"),
    ),
)

FAMILIES = (
    KARYON,
    ARCHAIUS,
    NIWS,
    NIWS_CIRCUIT,
    ZONE_AWARE,
    RIBBON,
    HYSTRIX_COMMAND,
    HYSTRIX_REST,
    PRANA,
    EUREKA,
)
