package interop;

import com.netflix.appinfo.ApplicationInfoManager;
import com.netflix.appinfo.InstanceInfo;
import com.netflix.appinfo.InstanceInfo.InstanceStatus;
import com.netflix.appinfo.MyDataCenterInstanceConfig;
import com.netflix.appinfo.providers.EurekaConfigBasedInstanceInfoProvider;
import com.netflix.config.ConfigurationManager;
import com.netflix.discovery.DefaultEurekaClientConfig;
import com.netflix.discovery.DiscoveryClient;
import java.net.URI;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** Netflix's DiscoveryClient, one connection at a time. */
public final class NetflixClient {
    private ApplicationInfoManager self;
    private DiscoveryClient client;

    public static void main(String[] arguments) throws Exception {
        System.setProperty("org.slf4j.simpleLogger.log.com.netflix.discovery.DiscoveryClient", "debug");
        var it = new NetflixClient();
        Lines.serve(Map.of(
            "connect", words -> it.connect(words.get(0), words.get(1), words.get(2), words.get(3)),
            "report", words -> it.report(words.get(0)),
            "own-status", words -> it.client.getInstanceRemoteStatus().name(),
            "status", words -> it.status(words.get(0), words.get(1)),
            "resolve", words -> it.resolve(words.get(0)),
            "call", words -> it.call(words.get(0), words.get(1)),
            "close", words -> it.close()));
        System.exit(0);
    }

    private String connect(String url, String app, String id, String port) {
        Map.of(
            "eureka.region", "default",
            "eureka.serviceUrl.default", url,
            "eureka.client.refresh.interval", 1,
            "eureka.appinfo.initial.replicate.time", 0,
            "eureka.appinfo.replicate.interval", 1
        ).forEach(ConfigurationManager.getConfigInstance()::setProperty);
        Map.of(
            "eureka.name", app,
            "eureka.instanceId", id,
            "eureka.vipAddress", app,
            "eureka.port", port,
            "eureka.lease.renewalInterval", 1,
            "eureka.lease.duration", 3,
            "eureka.metadata.zone", "a",
            "eureka.metadata.my_key", "<x>&$"
        ).forEach(ConfigurationManager.getConfigInstance()::setProperty);
        var config = new OnLoopback();
        self = new ApplicationInfoManager(config, new EurekaConfigBasedInstanceInfoProvider(config).get());
        client = new DiscoveryClient(self, new DefaultEurekaClientConfig());
        return report("UP");
    }

    private String report(String status) {
        self.setInstanceStatus(InstanceStatus.valueOf(status));
        return status;
    }

    private String status(String app, String id) {
        var application = client.getApplication(app);
        var instance = application == null ? null : application.getByInstanceId(id);
        return instance == null ? "none" : instance.getStatus().name();
    }

    private String resolve(String vip) {
        List<InstanceInfo> found = client.getInstancesByVipAddress(vip, false);
        return found.stream().map(it -> it.getIPAddr() + ":" + it.getPort()).sorted().collect(Collectors.joining(" "));
    }

    private String call(String vip, String path) throws Exception {
        InstanceInfo next = client.getNextServerFromEureka(vip, false);
        return Http.get(URI.create("http://" + next.getIPAddr() + ":" + next.getPort() + path));
    }

    private String close() {
        client.shutdown();
        return "closed";
    }

    private static final class OnLoopback extends MyDataCenterInstanceConfig {
        @Override
        public String getHostName(boolean refresh) {
            return "127.0.0.1";
        }

        @Override
        public String getIpAddress() {
            return "127.0.0.1";
        }
    }
}
