"""Properties of a command that is a route of a service. In a .properties file a colon ends a name, unless escaped."""

import json
from collections.abc import Callable
from pathlib import Path

from prana.config import Loaded, load
from prana.config.settings import RoutePolicy

Lines = Callable[[str], list[str]]

TIMEOUT = "execution.isolation.thread.timeoutInMilliseconds"
SLOW = f"hystrix.command.Orders:Slow.{TIMEOUT}"
WRITTEN = SLOW.replace(":", "\\:")
ROUTES = 'services.orders.routes=[{"name": "slow", "prefix": "/slow"}, {"prefix": "/other", "timeout": "4s"}]\n'


def routes_of(file: Path, text: str, properties: dict[str, str] | None = None) -> dict[str, RoutePolicy]:
    file.write_text(text)
    environ = {"PRANA_PROPERTIES": json.dumps(properties)} if properties else {}
    return {route.label: route for route in load(file, environ).settings.services["orders"].routes}


def test_a_route_is_named_by_its_label_behind_the_service(properties_file: Path) -> None:
    text = f"{WRITTEN}=800\n{ROUTES}hystrix.command.orders\\:slow.circuitBreaker.enabled=false"
    routes = routes_of(properties_file, text)
    assert (routes["slow"].timeout, routes["slow"].breaker.enabled) == (0.8, False)
    assert (routes["other"].timeout, routes["other"].breaker.enabled) == (4.0, True)


def test_what_the_route_itself_says_is_stronger_wherever_the_property_is_written(properties_file: Path) -> None:
    name = f"hystrix.command.orders:other.{TIMEOUT}"
    assert routes_of(properties_file, ROUTES, {name: "900"})["other"].timeout == 4.0


def test_of_two_properties_the_stronger_source_counts(properties_file: Path) -> None:
    assert routes_of(properties_file, f"{ROUTES}{WRITTEN}=800", {SLOW: "900"})["slow"].timeout == 0.9


def test_a_single_route_may_stand_as_a_table(properties_file: Path) -> None:
    text = f'services.orders.routes={{"name": "slow", "prefix": "/slow"}}\n{WRITTEN}=800'
    assert routes_of(properties_file, text)["slow"].timeout == 0.8


def test_a_route_takes_the_rest_from_its_service(properties_file: Path) -> None:
    text = f"{ROUTES}hystrix.command.orders.{TIMEOUT}=700\n{WRITTEN.replace(TIMEOUT, 'circuitBreaker.enabled')}=false"
    assert routes_of(properties_file, text)["slow"].timeout == 0.7


def test_the_origin_is_the_property(properties_file: Path) -> None:
    properties_file.write_text(f"{ROUTES}{WRITTEN}=800")
    loaded: Loaded = load(properties_file, {})
    assert loaded.origin(("services", "orders", "routes", 0, "timeout")).place == f"{properties_file}:2: {SLOW}"


def test_a_value_that_cannot_be_read_is_an_error(problems_of: Lines) -> None:
    assert problems_of(f"{ROUTES}{WRITTEN}=0") == [f"prana.properties:2: {SLOW}: is 0ms; allowed are 1ms to 1h"]


def test_a_route_that_is_not_there_is_listed(left_of: Lines) -> None:
    name = f"hystrix.command.orders:quick.{TIMEOUT}"
    line = f"prana.properties:2: {name}: has no counterpart: orders has no route quick"
    written = name.replace(":", "\\:")
    assert left_of(f"{ROUTES}{written}=800") == [f"{line}; its routes are slow, other"]
    assert left_of(f"\n{written}=800") == [line]


def test_a_colon_that_was_not_escaped_is_told(left_of: Lines) -> None:
    assert left_of(f"{SLOW}=800") == [
        "prana.properties:1: hystrix.command.Orders: names nothing of the command; "
        "in a .properties file a colon in a name is written \\:"
    ]


def test_what_belongs_to_the_nodes_is_listed_with_the_key_of_the_service(left_of: Lines) -> None:
    rule = "slow.ribbon.NFLoadBalancerRuleClassName"
    assert left_of(f"{ROUTES}orders\\:{rule}=RoundRobinRule") == [
        f"prana.properties:2: orders:{rule}: has no counterpart: "
        "it is the same for all routes, services.orders.balancer.rule"
    ]
