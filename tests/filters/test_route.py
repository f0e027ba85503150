import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.metrics import ServiceMetrics
from prana.config.settings import CommandPolicy, RoutePolicy, ServicePolicy
from prana.errors import BadRequest, LoopDetected, ServiceNotFound
from prana.filters.route import Destination, Route, climbs, service_name, split_target
from prana.request import Request, Response
from prana.routes import Routes
from prana.service import Command, Service
from prana.wire.limits import MAX_HOPS
from prana.wire.upgrade import Upgrade

from .conftest import Next, answer, request


@pytest.mark.parametrize(
    ("target", "name", "path"),
    [
        (b"/orders", "orders", b"/"),
        (b"/orders/", "orders", b"/"),
        (b"/OrDers/A", "orders", b"/A"),
        (b"/orders?a=/b", "orders", b"/?a=/b"),
        (b"/orders//a", "orders", b"//a"),
        (b"/a.b-c_9/x?y?z", "a.b-c_9", b"/x?y?z"),
        (b"/" + b"a" * 128 + b"/x", "a" * 128, b"/x"),
        (b"/" + b"a" * 129 + b"/x", "", b"/" + b"a" * 129 + b"/x"),
        (b"/", "", b"/"),
        (b"//a", "", b"//a"),
        (b"/?a", "", b"/?a"),
        (b"/o%72ders/a", "", b"/o%72ders/a"),
        (b"/orders;v=1/a", "", b"/orders;v=1/a"),
        (b"/./a", "", b"/./a"),
        (b"/../a", "", b"/../a"),
        (b"/.../a", "...", b"/a"),
        (b"*", "", b"*"),
    ],
)
def test_the_first_raw_segment_names_the_service(target: bytes, name: str, path: bytes) -> None:
    assert split_target(target) == (name, path)


@given(st.text("abAB.-_09", min_size=1, max_size=128).filter(lambda name: name not in (".", "..")), st.binary())
def test_what_follows_the_name_is_not_touched(name: str, rest: bytes) -> None:
    assert split_target(b"/" + name.encode() + b"/" + rest) == (name.lower(), b"/" + rest)


@pytest.mark.parametrize(
    "path", [b"/..", b"/../a", b"/a/../..", b"/%2e%2E", b"/.%2e/a", b"/%2E./a", b"//..", b"/./..", b"/a/..//../b"]
)
def test_paths_that_climb_above_their_root(path: bytes) -> None:
    assert climbs(path)


@pytest.mark.parametrize(
    "path", [b"/", b"/a/..", b"/a/b/../..", b"/...", b"/..a", b"/a..", b"/?/../..", b"/a?..", b"/%2e"]
)
def test_paths_that_do_not(path: bytes) -> None:
    assert not climbs(path)


class FakeDirectory:
    def __init__(self, *services: Service) -> None:
        self._services = {service.name: service for service in services}
        self.asked: list[str] = []
        self.paths: list[bytes] = []

    def made(self, name: str) -> Service | None:
        return None

    async def find(self, name: str, method: bytes, path: bytes, asked_timeout_s: float) -> Service | None:
        self.asked.append(name)
        self.paths.append(path)
        return self._services.get(name)


class Served(Next):
    """The pipeline of a service, as far as the route is concerned."""

    def service(self, name: str, metrics: ServiceMetrics, *, websocket: bool = False) -> Service:
        policy = ServicePolicy(idle_timeout=7.0, websocket=websocket, tunnel_idle_timeout=70.0)
        parts = dict.fromkeys(["balancer", "budget", "routes"])
        own = self.command(name, policy, metrics)
        return Service(name=name, source="static", known=True, policy=policy, metrics=metrics, own=own, **parts)  # type: ignore[arg-type] # not used by the route

    def command(self, key: str, policy: CommandPolicy, metrics: ServiceMetrics) -> Command:
        parts = dict.fromkeys(["breaker", "bulkhead", "fallback_bulkhead", "last_good"])
        return Command(key=key, policy=policy, metrics=metrics.command(key), handler=self, **parts)  # type: ignore[arg-type]


@pytest.fixture
def served() -> Served:
    return Served(answer())


@pytest.fixture
def directory(served: Served, metrics: ServiceMetrics) -> FakeDirectory:
    return FakeDirectory(served.service("orders", metrics))


async def test_a_request_goes_to_its_service_and_carries_what_it_says(
    directory: FakeDirectory, served: Served, metrics: ServiceMetrics
) -> None:
    asked = request(target=b"/Orders/a?b")
    assert (await Route(directory, "")(asked)).status == 200
    assert (asked.service, asked.path, asked.idle_timeout_s, asked.metrics) == ("orders", b"/a?b", 7.0, metrics)
    assert (served.calls, metrics.in_flight) == (1, 1)


async def test_a_handshake_stays_one_only_where_the_service_opted_in(served: Served, metrics: ServiceMetrics) -> None:
    directory = FakeDirectory(served.service("orders", metrics), served.service("chat", metrics, websocket=True))
    for target, idle_timeout_s in ((b"/orders/", None), (b"/chat/", 70.0)):
        asked = request(target=target)
        asked.upgrade = Upgrade(b"key")
        await Route(directory, "")(asked)
        assert (asked.upgrade and asked.upgrade.idle_timeout_s) == idle_timeout_s


async def refusal(route: Route, asked: Request) -> Exception | Response:
    try:
        return await route(asked)
    except (ServiceNotFound, BadRequest, LoopDetected) as error:
        return error


async def test_an_unknown_name_is_told_and_counted_for_no_service(
    directory: FakeDirectory, served: Served, metrics: ServiceMetrics
) -> None:
    asked = request(target=b"/Nobody/a")
    error = await refusal(Route(directory, ""), asked)
    assert isinstance(error, ServiceNotFound)
    assert "'nobody'" in error.detail
    assert (asked.service, asked.metrics, served.calls, metrics.in_flight) == ("nobody", None, 0, 0)


async def test_what_cannot_be_a_name_is_looked_up_nowhere(directory: FakeDirectory) -> None:
    assert isinstance(await refusal(Route(directory, ""), request(target=b"/a%2fb")), ServiceNotFound)
    assert directory.asked == []


async def test_the_default_service_gets_the_whole_target(directory: FakeDirectory) -> None:
    route = Route(directory, "orders")
    for target, path in ((b"/nobody/a?b", b"/nobody/a?b"), (b"//x", b"//x"), (b"/orders/a", b"/a")):
        asked = request(target=target)
        await route(asked)
        assert (asked.service, asked.path) == ("orders", path)


async def test_a_default_service_that_nobody_has_does_not_hide_the_name_asked_for(directory: FakeDirectory) -> None:
    asked = request(target=b"/nobody/a")
    assert isinstance(await refusal(Route(directory, "gone"), asked), ServiceNotFound)
    assert asked.service == "nobody"


async def test_a_climbing_path_is_refused(directory: FakeDirectory, served: Served) -> None:
    assert isinstance(await refusal(Route(directory, ""), request(target=b"/orders/../a")), BadRequest)
    assert isinstance(await refusal(Route(directory, "orders"), request(target=b"/x/../../a")), BadRequest)
    assert served.calls == 0


async def test_a_malformed_request_goes_nowhere(directory: FakeDirectory) -> None:
    asked = request()
    asked.malformed = BadRequest("bad", status=431)
    assert await refusal(Route(directory, ""), asked) is asked.malformed
    assert directory.asked == []


async def test_a_request_that_came_from_here_or_too_far_is_a_loop(directory: FakeDirectory) -> None:
    looped, far, near = request(), request(), request()
    looped.looped, far.via_count, near.via_count = True, MAX_HOPS + 1, MAX_HOPS
    results = [await refusal(Route(directory, ""), asked) for asked in (looped, far, near)]
    assert [type(result) for result in results] == [LoopDetected, LoopDetected, Response]


# routes of a service


@pytest.fixture
def slow() -> Served:
    return Served(answer(210))


@pytest.fixture
def routed(served: Served, slow: Served, metrics: ServiceMetrics) -> FakeDirectory:
    """`orders`, of which posts below /slow have a pipeline of their own."""
    service = served.service("orders", metrics)
    policy = RoutePolicy(
        methods=frozenset({"POST"}), prefix="/slow", idle_timeout=9.0, websocket=True, tunnel_idle_timeout=90.0
    )
    service.routes = Routes([(policy, slow.command("orders:slow", policy, metrics))])
    return FakeDirectory(service)


async def test_a_request_goes_to_the_first_route_that_takes_it(
    routed: FakeDirectory, served: Served, slow: Served, metrics: ServiceMetrics
) -> None:
    asked = request(b"POST", b"/Orders/slow/x?y")
    assert (await Route(routed, "")(asked)).status == 210
    assert (asked.service, asked.route, asked.path, asked.idle_timeout_s) == ("orders", "slow", b"/slow/x?y", 9.0)
    assert (asked.metrics, metrics.in_flight, slow.calls, served.calls) == (metrics, 1, 1, 0)


async def test_and_to_the_service_itself_when_there_is_none(
    routed: FakeDirectory, served: Served, slow: Served, metrics: ServiceMetrics
) -> None:
    for method, target in ((b"GET", b"/orders/slow"), (b"POST", b"/orders/slowly"), (b"POST", b"/orders")):
        asked = request(method, target)
        assert (await Route(routed, "")(asked)).status == 200
        assert (asked.service, asked.route, asked.idle_timeout_s, asked.metrics) == ("orders", "", 7.0, metrics)
    assert (served.calls, slow.calls) == (3, 0)


async def test_a_route_sees_the_path_that_the_instance_will_however_the_service_is_addressed(
    routed: FakeDirectory, slow: Served
) -> None:
    to_slow = {"proxy": lambda _: (b"orders", b"/slow/x")}
    by_default, named, own = (request(b"POST", target) for target in (b"/slow/x", b"/slow/x", b"/proxy?vip=orders"))
    named.named_service = b"orders"
    for asked, stage in (
        (by_default, Route(routed, "orders")),
        (named, Route(routed, "")),
        (own, Route(routed, "", to_slow)),
    ):
        assert (await stage(asked)).status == 210
        assert (asked.route, asked.path, routed.paths[-1]) == ("slow", b"/slow/x", b"/slow/x")
    assert slow.calls == 3


async def test_a_climbing_path_reaches_no_route(routed: FakeDirectory, served: Served, slow: Served) -> None:
    for target in (b"/orders/slow/../..", b"/orders/slow/%2e%2e/.."):
        assert isinstance(await refusal(Route(routed, ""), request(b"POST", target)), BadRequest)
    assert (served.calls, slow.calls) == (0, 0)


async def test_a_route_says_for_itself_whether_a_handshake_stays_one(routed: FakeDirectory) -> None:
    for method, idle_timeout_s in ((b"GET", None), (b"POST", 90.0)):
        asked = request(method, b"/orders/slow")
        asked.upgrade = Upgrade(b"key")
        await Route(routed, "")(asked)
        assert (asked.upgrade and asked.upgrade.idle_timeout_s) == idle_timeout_s


# X-Prana-Service and Prana's own paths


@pytest.mark.parametrize(
    "spelt", [b"", b"a,b", b"a/b", b"a?b", b"/a", b"..", b".", b"a b", b"a%2f", b"a" * 129, b"\xe9"]
)
def test_what_is_no_name_of_a_service_is_refused(spelt: bytes) -> None:
    with pytest.raises(BadRequest, match="a service is named once"):
        service_name(spelt)


def test_a_name_is_compared_in_lower_case() -> None:
    assert service_name(b"Orders.V-2_x") == "orders.v-2_x"


def own(_: Request) -> Response | Destination | None:
    return answer(299)


async def test_a_service_that_is_named_gets_the_whole_target(directory: FakeDirectory, served: Served) -> None:
    route = Route(directory, "default", {"ping": own, "orders": own})
    for target in (b"/ping", b"/orders/a?b", b"/nobody", b"/", b"//x"):
        asked = request(target=target)
        asked.named_service = b"Orders"
        assert (await route(asked)).status == 200
        assert (asked.service, asked.path) == ("orders", target)
    assert served.calls == 5


async def test_no_default_answers_for_a_service_that_is_named(directory: FakeDirectory, served: Served) -> None:
    for target in (b"/orders/a", b"*"):
        asked = request(target=target)
        asked.named_service = b"nobody"
        assert isinstance(await refusal(Route(directory, "orders"), asked), ServiceNotFound)
        assert (asked.service, served.calls) == ("nobody", 0)


async def test_a_climbing_path_is_refused_also_with_a_name(directory: FakeDirectory, served: Served) -> None:
    asked = request(target=b"/../a")
    asked.named_service = b"orders"
    assert isinstance(await refusal(Route(directory, ""), asked), BadRequest)
    assert served.calls == 0


async def test_an_own_path_wins_over_services_and_the_default(directory: FakeDirectory, served: Served) -> None:
    assert (await Route(directory, "orders", {"orders": own})(request(target=b"/Orders/a"))).status == 299
    assert (await Route(directory, "orders", {"nobody": own})(request(target=b"/nobody"))).status == 299
    assert (served.calls, directory.asked) == (0, [])


async def test_a_path_that_is_not_its_own_after_all_goes_on_as_any(directory: FakeDirectory) -> None:
    asked = request(target=b"/orders/a")
    await Route(directory, "", {"orders": lambda _: None})(asked)
    assert (asked.service, asked.path) == ("orders", b"/a")


async def test_an_own_path_may_address_a_service_but_no_default(directory: FakeDirectory, served: Served) -> None:
    asked = request(target=b"/proxy?x")
    await Route(directory, "", {"proxy": lambda _: (b"ORDERS", b"/a?b")})(asked)
    assert (asked.service, asked.path) == ("orders", b"/a?b")
    to = dict.fromkeys([(b"nobody", b"/"), (b"o%72ders", b"/"), (b"orders", b"/../a")])
    results = [
        await refusal(Route(directory, "orders", {"proxy": lambda _, at=at: at}), request(target=b"/proxy"))  # type: ignore[misc] # a default of a lambda
        for at in to
    ]
    assert [type(result) for result in results] == [ServiceNotFound, BadRequest, BadRequest]
    assert served.calls == 1


async def test_a_malformed_request_is_answered_by_no_path_of_our_own(directory: FakeDirectory) -> None:
    asked = request(target=b"/ping")
    asked.malformed = BadRequest("bad", status=431)
    assert await refusal(Route(directory, "", {"ping": own}), asked) is asked.malformed
