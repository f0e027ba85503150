package interop;

import com.netflix.appinfo.ApplicationInfoManager;
import com.netflix.appinfo.InstanceInfo.InstanceStatus;
import com.netflix.discovery.EurekaClient;
import java.net.URI;
import java.util.Map;
import java.util.stream.Collectors;
import org.springframework.boot.WebApplicationType;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.builder.SpringApplicationBuilder;
import org.springframework.cloud.client.discovery.DiscoveryClient;
import org.springframework.cloud.client.loadbalancer.LoadBalancerClient;
import org.springframework.context.ConfigurableApplicationContext;

/** A Spring Boot application with Spring Cloud's Eureka client, one at a time. */
@SpringBootApplication
public class SpringClient {
    private ConfigurableApplicationContext context;

    public static void main(String[] arguments) throws Exception {
        var it = new SpringClient();
        Lines.serve(Map.of(
            "connect", words -> it.connect(words.get(0), words.get(1), words.get(2), words.get(3)),
            "report", words -> it.report(words.get(0)),
            "own-status", words -> it.eureka().getInstanceRemoteStatus().name(),
            "status", words -> it.status(words.get(0), words.get(1)),
            "resolve", words -> it.resolve(words.get(0)),
            "call", words -> it.call(words.get(0), words.get(1)),
            "close", words -> it.close()));
        System.exit(0);
    }

    private String connect(String url, String app, String id, String port) {
        context = new SpringApplicationBuilder(SpringClient.class).web(WebApplicationType.NONE).run(
            "--spring.application.name=" + app,
            "--spring.main.banner-mode=off",
            "--spring.main.register-shutdown-hook=false",
            "--spring.cloud.loadbalancer.cache.enabled=false",
            "--eureka.client.service-url.defaultZone=" + url,
            "--eureka.client.registry-fetch-interval-seconds=1",
            "--eureka.client.instance-info-replication-interval-seconds=1",
            "--eureka.instance.instance-id=" + id,
            "--eureka.instance.hostname=127.0.0.1",
            "--eureka.instance.ip-address=127.0.0.1",
            "--eureka.instance.non-secure-port=" + port,
            "--eureka.instance.lease-renewal-interval-in-seconds=1",
            "--eureka.instance.lease-expiration-duration-in-seconds=3",
            "--eureka.instance.metadata-map.zone=a",
            "--eureka.instance.metadata-map.my_key=<x>&$",
            "--logging.level.com.netflix.discovery.DiscoveryClient=DEBUG");
        return "UP";
    }

    private String report(String status) {
        context.getBean(ApplicationInfoManager.class).setInstanceStatus(InstanceStatus.valueOf(status));
        return status;
    }

    private String status(String app, String id) {
        var application = eureka().getApplication(app);
        var instance = application == null ? null : application.getByInstanceId(id);
        return instance == null ? "none" : instance.getStatus().name();
    }

    private String resolve(String vip) {
        var found = context.getBean(DiscoveryClient.class).getInstances(vip);
        return found.stream().map(it -> it.getHost() + ":" + it.getPort()).sorted().collect(Collectors.joining(" "));
    }

    private String call(String vip, String path) throws Exception {
        var balancer = context.getBean(LoadBalancerClient.class);
        return Http.get(balancer.reconstructURI(balancer.choose(vip), URI.create("http://" + vip + path)));
    }

    private String close() {
        context.close();
        return "closed";
    }

    private EurekaClient eureka() {
        return context.getBean(EurekaClient.class);
    }
}
