"""The endpoints of Netflix Prana and Spring Cloud Netflix Sidecar, and X-Prana-Service, from the outside."""

from collections.abc import AsyncIterator
from urllib.parse import quote_plus

import aiohttp
import pytest
from structlog.testing import capture_logs

from prana.config.settings import App, AppHealth, Eureka, Retry
from registry.server import RegistrySettings, serve

from .conftest import (
    NO_RETRY,
    Answer,
    Peer,
    Running,
    StartSidecar,
    StartUpstream,
    Upstream,
    answering,
    get,
    policy_of,
    post,
    response,
    until,
)


async def read(running: Running, target: bytes) -> object:
    """The JSON document there."""
    answer = await running.ask(get(target))
    assert (answer.status, answer.value(b"Content-Type")) == (200, b"application/json"), answer.head
    return answer.json


# Netflix Prana


async def test_ping_is_pranas(running: Running) -> None:
    for target in (b"/ping", b"/ping/"):
        answer = await running.ask(get(target))
        assert (answer.status, answer.body) == (200, b"pong")
        assert answer.value(b"Cache-Control") == b"must-revalidate,no-cache,no-store"
        assert answer.values(b"X-Request-Id")


async def test_health_and_status_follow_the_app(start_sidecar: StartSidecar, start_upstream: StartUpstream) -> None:
    beside = await start_upstream()
    url = f"http://127.0.0.1:{beside.port}/health"
    health = AppHealth(url=url, interval=0.02, fall=1)
    running = await start_sidecar(settings={"apps": (App(name="mine", port=beside.port, health=health),)})

    async def told(status: int) -> Answer:
        well = status == 200
        await until(lambda: [app.healthy for app in running.sidecar._views.apps()] == [well], f"healthy to be {well}")
        answer = await running.ask(get(b"/healthcheck"))
        assert answer.status == status
        return answer

    well = await told(200)
    assert (well.value(b"Content-Type"), well.body) == (b"application/xml", b"<health>ok</health>")
    assert await read(running, b"/status") == {"status": "UP"}

    async def failing(peer: Peer) -> None:
        await answering(peer, response(status=b"500 No"))

    beside.serve = failing
    for peer in beside.peers:
        peer.close()
    ill = await told(503)
    assert ill.json == {"reason": "Service Unavailable", "message": "<health>fail</health>"}
    assert await read(running, b"/status") == {"status": "DOWN"}


async def test_before_its_first_check_an_app_is_starting_and_without_one_nothing_is_ill(
    start_sidecar: StartSidecar,
) -> None:
    starting = await start_sidecar(settings={"apps": (App(name="mine", port=1),)})
    assert await read(starting, b"/status") == {"status": "STARTING"}
    assert (await starting.ask(get(b"/healthcheck"))).status == 503
    alone = await start_sidecar()
    assert await read(alone, b"/status") == {"status": "UNKNOWN"}
    assert (await alone.ask(get(b"/healthcheck"))).body == b"<health>ok</health>"


async def test_properties_are_those_of_the_configuration(start_sidecar: StartSidecar) -> None:
    running = await start_sidecar(settings={"properties": {"foo": "bar", "a.b": 'x"\r\n'}})
    found = await read(running, b"/dynamicproperties?id=foo&id=a.b&id=x%22y")
    assert found == {"foo": "bar", "a.b": 'x"\r\n', 'x"y': None}


async def test_a_request_is_proxied_by_its_parameters_as_by_its_path(running: Running, upstream: Upstream) -> None:
    path = "/a%20b/c?x=1&y=%2F#".removesuffix("#")
    headers = (b"X-Twice: 1", b"x-twice: 2", b"Accept-Encoding: br", b"Connection: X-Hop", b"X-Hop: 1")
    by_parameters = f"/proxy?vip=ORDERS&path={quote_plus(path)}".encode()
    for target in (by_parameters, b"/orders" + path.encode()):
        assert (await running.ask(post(target, b"hello", *headers))).body == b"ok"
    one, other = upstream.requests
    assert one.line == other.line == b"POST " + path.encode() + b" HTTP/1.1"
    assert one.body == other.body == b"hello"
    assert one.values(b"x-twice") == [b"1", b"2"]
    assert one.values(b"accept-encoding") == [b"br"]
    assert one.values(b"x-hop") == []
    ours = {b"x-request-id"}
    assert [h for h in one.headers if h[0].lower() not in ours] == [
        h for h in other.headers if h[0].lower() not in ours
    ]
    assert running.service().metrics.requests_total == 2


async def test_repeated_headers_of_an_answer_survive(running: Running, upstream: Upstream) -> None:
    async def cookies(peer: Peer) -> None:
        await answering(peer, response(b"", b"Set-Cookie: a=1", b"Set-Cookie: b=2", status=b"418 Teapot"))

    upstream.serve = cookies
    answer = await running.ask(get(b"/proxy?vip=orders&path=/"))
    assert (answer.status, answer.values(b"Set-Cookie")) == (418, [b"a=1", b"b=2"])


async def test_a_proxied_request_is_retried_as_any(start_sidecar: StartSidecar, start_upstream: StartUpstream) -> None:
    async def failing(peer: Peer) -> None:
        await answering(peer, response(status=b"503 No"))

    instances = [await start_upstream(failing), await start_upstream()]
    running = await start_sidecar(*(each.port for each in instances), retry=Retry(budget_floor_per_s=100))
    for _ in range(4):
        assert (await running.ask(get(b"/proxy?vip=orders&path=/a"))).status == 200
    assert running.service().metrics.retries > 0


async def test_errors_of_proxied_requests_have_their_status(start_sidecar: StartSidecar) -> None:
    running = await start_sidecar(1, retry=NO_RETRY, proxy={"default_service": "orders"})
    assert (await running.ask(get(b"/proxy?vip=orders&path=/"))).problem == (502, "connection_refused")
    assert (await running.ask(get(b"/proxy?vip=nobody&path=/"))).problem == (404, "destination_not_found")
    for query in (b"", b"path=/", b"vip=orders&vip=orders", b"vip=a/b", b"vip=orders&path=/%0d%0aX:1"):
        assert (await running.ask(get(b"/proxy?" + query))).problem == (400, "http_request_error")


# hosts


@pytest.fixture
async def eureka() -> AsyncIterator[str]:
    """The URL of a registry with ORDERS: two instances UP, one of them by a secure port only, one DOWN, one that is
    refused; and with STATUS."""
    server = await serve("127.0.0.1", 0, RegistrySettings())
    rows: list[tuple[str, str, dict[str, object]]] = [
        ("h1", "UP", {}),
        ("down", "DOWN", {}),
        ("169.254.169.254", "UP", {}),
        (
            "h2",
            "UP",
            {
                "port": {"$": 8080, "@enabled": "false"},
                "securePort": {"$": 8443, "@enabled": "true"},
                "vipAddress": "orders-v2",
            },
        ),
        ("h3", "UP", {"metadata": {"<b>": '"\r\n\u2028</script>'}, "vipAddress": "other"}),
        ("h4", "UP", {"app": "STATUS", "vipAddress": "status"}),
    ]
    try:
        async with aiohttp.ClientSession() as session:
            for number, (host, status, more) in enumerate(rows):
                instance = {
                    "instanceId": f"o{number}",
                    "app": "ORDERS",
                    "hostName": host,
                    "ipAddr": host if host[0].isdigit() else f"10.0.0.{number}",
                    "status": status,
                    "port": {"$": 8080, "@enabled": "true"},
                    "vipAddress": "orders",
                    "dataCenterInfo": {
                        "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
                        "name": "MyOwn",
                    },
                    **more,
                }
                async with session.post(f"{server.url}apps/{instance['app']}", json={"instance": instance}) as answer:
                    assert answer.status == 204
        yield server.url
    finally:
        await server.close()


@pytest.fixture
async def reading(start_sidecar: StartSidecar, eureka: str) -> Running:
    """A sidecar that has read that registry."""
    running = await start_sidecar(settings={"eureka": Eureka(urls=(eureka,), register=False)})
    discovery = running.sidecar._discovery
    assert discovery is not None
    await until(discovery.first_read.is_set, "the first read")
    return running


async def test_host_names_are_those_that_are_up_and_may_be_called(reading: Running) -> None:
    assert await read(reading, b"/eureka/hosts?appName=Orders") == ["h1", "h2", "h3"]
    assert await read(reading, b"/eureka/hosts/?appName=ORDERS&vip=v2") == ["h2"]
    assert await read(reading, b"/eureka/hosts?appName=nobody") == []
    missing = await reading.ask(get(b"/eureka/hosts?vip=orders"))
    assert (missing.status, missing.json) == (400, {"reason": "Bad Request", "message": "appName has to be specified"})


async def test_instances_are_listed_as_spring_lists_them(reading: Running) -> None:
    listed = await read(reading, b"/hosts/orders")
    assert isinstance(listed, list)
    assert listed == await read(reading, b"/hosts?appName=ORDERS")
    shown = [(each["host"], each["port"], each["uri"], each["secure"]) for each in listed]
    assert sorted(shown) == [
        ("h1", 8080, "http://h1:8080", False),
        ("h2", 8443, "https://h2:8443", True),
        ("h3", 8080, "http://h3:8080", False),
    ]
    names = {"host", "port", "uri", "serviceId", "secure", "metadata", "scheme", "instanceId", "instanceInfo"}
    assert all(set(each) == names for each in listed)
    assert {each["serviceId"] for each in listed} == {"ORDERS"}
    (h3,) = (each for each in listed if each["host"] == "h3")
    assert h3["metadata"] == h3["instanceInfo"]["metadata"] == {"<b>": '"\r\n\u2028</script>'}
    assert await read(reading, b"/hosts/nobody") == []


async def test_a_service_that_a_path_of_ours_hides_is_told_of(start_sidecar: StartSidecar, eureka: str) -> None:
    with capture_logs() as logs:
        await start_sidecar(settings={"eureka": Eureka(urls=(eureka,), register=False)})
        await until(lambda: [line for line in logs if line.get("paths") == "/status"], "the warning")


async def test_configured_instances_are_listed_too(running: Running, upstream: Upstream) -> None:
    assert await read(running, b"/eureka/hosts?appName=orders") == ["127.0.0.1"]
    listed = await read(running, b"/hosts/ORDERS")
    assert isinstance(listed, list)
    assert [each["uri"] for each in listed] == [f"http://127.0.0.1:{upstream.port}"]


async def test_a_registry_that_was_never_read_is_no_empty_one(start_sidecar: StartSidecar) -> None:
    running = await start_sidecar(settings={"eureka": Eureka(urls=("http://127.0.0.1:1/eureka/",), register=False)})
    answer = await running.ask(get(b"/hosts/orders"))
    assert answer.problem == (503, "destination_unavailable")
    assert answer.value(b"Retry-After") == b"1"


# what they share with everything else


async def test_a_head_request_gets_the_length_and_no_body(running: Running) -> None:
    caller = await running.open()
    await caller.send(get(b"/ping", method=b"HEAD") + get(b"/status"))
    assert (await caller.answer(bodiless=True)).value(b"Content-Length") == b"4"
    assert (await caller.answer()).json == {"status": "UNKNOWN"}


async def test_a_body_nobody_reads_does_not_become_the_next_request(running: Running) -> None:
    caller = await running.open()
    refused = await caller.ask(post(b"/status", b"GET /orders/ HTTP/1.1\r\nHost: a\r\n\r\n") + get(b"/ping"))
    assert (refused.status, refused.value(b"Allow")) == (405, b"GET, HEAD")
    assert (await caller.answer()).body == b"pong"


async def test_answers_count_but_for_no_service(running: Running) -> None:
    for target in (b"/ping", b"/hosts", b"/orders/"):
        await running.ask(get(target))
    await until(lambda: running.idle)
    metrics = running.sidecar.metrics
    counts = {each.name: each.requests_total for each in metrics.all_series()}
    assert counts == {"other": 0, "prana:compat": 2, "orders": 1}


# names that are taken


async def test_below_a_path_of_ours_a_service_of_that_name_is_reached(
    start_sidecar: StartSidecar, upstream: Upstream
) -> None:
    names = ("status", "hosts", "eureka", "proxy")
    running = await start_sidecar(more=dict.fromkeys(names, policy_of(upstream.port)))
    targets = (b"/status/x", b"/hosts/a/b?c", b"/eureka/apps", b"/eureka", b"/proxy/a/b")
    for target in targets:
        assert (await running.ask(get(target))).body == b"ok"
    lines = [recorded.line.split()[1] for recorded in upstream.requests]
    assert lines == [b"/x", b"/a/b?c", b"/apps", b"/", b"/a/b"]


async def test_without_the_endpoints_their_names_are_free(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    running = await start_sidecar(more={"status": policy_of(upstream.port)}, proxy={"compat": False})
    assert (await running.ask(get(b"/status"))).body == b"ok"
    assert (await running.ask(get(b"/ping"))).problem == (404, "destination_not_found")


async def test_a_named_service_gets_the_whole_path_and_not_the_header(
    start_sidecar: StartSidecar, upstream: Upstream, start_upstream: StartUpstream
) -> None:
    default = await start_upstream()
    running = await start_sidecar(
        upstream.port, more={"default": policy_of(default.port)}, proxy={"default_service": "default"}
    )
    for target in (b"/status", b"/orders/a?b=%2F", b"/proxy?vip=default", b"/", b"/nobody"):
        assert (await running.ask(post(target, b"x", b"x-prana-SERVICE: Orders"))).status == 200
    assert [each.line.split()[1] for each in upstream.requests] == [
        b"/status",
        b"/orders/a?b=%2F",
        b"/proxy?vip=default",
        b"/",
        b"/nobody",
    ]
    assert all(each.values(b"X-Prana-Service") == [] for each in upstream.requests)
    assert default.requests == []


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ([b"X-Prana-Service: nobody"], (404, "destination_not_found")),
        ([b"X-Prana-Service: "], (400, "http_request_error")),
        ([b"X-Prana-Service: a/b"], (400, "http_request_error")),
        ([b"X-Prana-Service: orders, orders"], (400, "http_request_error")),
        ([b"X-Prana-Service: orders", b"x-prana-service: orders"], (400, "http_request_error")),
    ],
)
async def test_a_name_that_is_wrong_reaches_nobody(
    start_sidecar: StartSidecar, upstream: Upstream, headers: list[bytes], problem: tuple[int, str]
) -> None:
    running = await start_sidecar(upstream.port, proxy={"default_service": "orders"})
    assert (await running.ask(get(b"/ping", *headers))).problem == problem
    assert upstream.requests == []


async def test_a_name_holds_for_one_request_only(running: Running, upstream: Upstream) -> None:
    caller = await running.open()
    await caller.send(get(b"/ping", b"X-Prana-Service: orders") + get(b"/ping"))
    assert [(await caller.answer()).body, (await caller.answer()).body] == [b"ok", b"pong"]
