"""The two real Eureka servers, set up for tests: nothing is cached, held back or kept alive artificially."""

import socket
from pathlib import Path

from tests.eureka.server import RealEureka
from tests.eureka.toolchain import Toolchain

PROJECTS = Path(__file__).parent
EVICTION_INTERVAL_MS = 1000
VM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


def spring_cloud(tools: Toolchain, directory: Path) -> RealEureka:
    """Spring Cloud's server; its log goes to `directory`. Raises JavaUnavailableError when it cannot be built."""
    jar = tools.build(PROJECTS / "spring") / "eureka.jar"
    port = _free_port()
    url = f"http://127.0.0.1:{port}/eureka/"
    settings = {
        "server.address": "127.0.0.1",
        "server.port": port,
        "eureka.client.register-with-eureka": "false",
        "eureka.client.fetch-registry": "false",
        "eureka.client.service-url.defaultZone": url,
        # Or the server takes that URL for a peer and repeats every write to itself half a second later.
        "eureka.server.my-url": url,
        "eureka.server.enable-self-preservation": "false",
        "eureka.server.eviction-interval-timer-in-ms": EVICTION_INTERVAL_MS,
        "eureka.server.use-read-only-response-cache": "false",
        "eureka.server.wait-time-in-ms-when-sync-empty": 0,
        "eureka.dashboard.enabled": "false",
    }
    command = [tools.java, *VM, "-jar", str(jar), *(f"--{key}={value}" for key, value in settings.items())]
    return RealEureka(url, command, directory / "spring.log")


def netflix(tools: Toolchain, directory: Path) -> RealEureka:
    """Netflix's own server in a Tomcat 9, whose files and log go to `directory`. Raises JavaUnavailableError."""
    target = tools.build(PROJECTS / "netflix")
    port = _free_port()
    url = f"http://127.0.0.1:{port}/eureka/v2/"
    settings = {
        "eureka.region": "default",
        "eureka.port": port,
        "eureka.serviceUrl.default": url,
        "eureka.myUrl": url,  # as Spring's my-url
        "eureka.registration.enabled": "false",
        "eureka.shouldFetchRegistry": "false",
        "eureka.enableSelfPreservation": "false",
        "eureka.evictionIntervalTimerInMs": EVICTION_INTERVAL_MS,
        "eureka.shouldUseReadOnlyResponseCache": "false",
        "eureka.waitTimeInMsWhenSyncEmpty": 0,
        "eureka.numberRegistrySyncRetries": 0,  # or it looks for peers for minutes before it answers
    }
    opened = ("java.base/java.util", "java.base/java.lang")  # the XStream of its time reads private fields of the JDK
    command = [
        *(tools.java, *VM, *(f"--add-opens={package}=ALL-UNNAMED" for package in opened)),
        *(f"-D{key}={value}" for key, value in settings.items()),
        *("-jar", str(target / "webapp-runner.jar"), "-Aaddress=127.0.0.1", "--port", str(port)),
        *("--path", "/eureka", "--temp-directory", str(directory / "tomcat"), str(target / "eureka-server.war")),
    ]
    return RealEureka(url, command, directory / "netflix.log")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
