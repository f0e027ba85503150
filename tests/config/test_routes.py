"""Routes of a service: what they inherit, where a problem is, and which are never reached."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import UNSET

from prana.config import FlagValue, Loaded
from prana.config.settings import CommandPolicy, RoutePolicy
from prana.config.show import effective, json_schema, nested

Load = Callable[..., Loaded]
Problems = Callable[..., list[str]]

TEXT = """
[defaults]
attempt_timeout = "2s"
breaker.window = "20s"
[services.orders]
instances = ["127.0.0.1:9001"]
timeout = "3s"
breaker.request_volume = 7
retry.budget_ratio = 0.5
retry.max_retries = 1

[[services.orders.routes]]
name = "Slow"
prefix = "/slow"
timeout = "30s"
breaker.sleep_window = "1s"
[[services.orders.routes]]
methods = ["POST", "PUT"]
pattern = "/users/[0-9]+"
retry.max_retries = 0
websocket = true
"""


def routes_of(loaded: Loaded) -> tuple[RoutePolicy, ...]:
    return loaded.settings.policy_for("orders").routes


def test_a_route_is_its_service_with_its_own_parts_and_that_the_defaults(load_text: Load) -> None:
    slow, users = routes_of(load_text(TEXT))
    assert (slow.name, slow.prefix, slow.methods, slow.pattern) == ("slow", "/slow", frozenset(), "")
    assert (slow.timeout, slow.attempt_timeout, slow.retry.max_retries, slow.websocket) == (30.0, 2.0, 1, False)
    breaker = slow.breaker
    assert (breaker.sleep_window, breaker.request_volume, breaker.window, breaker.enabled) == (1.0, 7, 20.0, True)
    assert (users.name, users.methods, users.pattern) == ("", frozenset({"POST", "PUT"}), "/users/[0-9]+")
    assert (users.timeout, users.retry.max_retries, users.websocket) == (3.0, 0, True)
    assert users.breaker.sleep_window == 5.0


def test_what_a_route_does_not_say_is_all_its_services(load_text: Load) -> None:
    loaded = load_text(TEXT + '[[services.orders.routes]]\nprefix = "/rest"')
    service, route = loaded.settings.policy_for("orders"), routes_of(loaded)[2]
    for key in CommandPolicy.__struct_fields__:
        if key != "retry":
            assert getattr(route, key) == getattr(service, key)
    for key in route.retry.__struct_fields__:
        assert getattr(route.retry, key) == getattr(service.retry, key)


def test_without_routes_there_are_none(load_text: Load) -> None:
    assert routes_of(load_text("")) == ()
    assert routes_of(load_text("[services.orders]\ninstances = ['127.0.0.1:1']\nroutes = []")) == ()


def test_a_single_route_may_be_a_table(load_text: Load) -> None:
    service = "[services.orders]\ninstances = ['127.0.0.1:1']\n"
    one = load_text(f"{service}[[services.orders.routes]]\nprefix = '/a'\nbreaker.enabled = false")
    alone = load_text(f"{service}[services.orders.routes]\nprefix = '/a'\nbreaker.enabled = false")
    assert one.settings == alone.settings
    longer = FlagValue("--set", "services.orders.routes.timeout", "7s")
    (route,) = routes_of(load_text(f"{service}[services.orders.routes]\nprefix = '/a'", {}, longer))
    assert (route.prefix, route.timeout) == ("/a", 7.0)


def test_routes_of_the_environment_replace_those_of_the_file(load_text: Load) -> None:
    routes = [{"prefix": "/a", "retry": {"max_retries": 5}}, {"prefix": "/b", "timeout": "1s"}]
    a, b = routes_of(load_text(TEXT, {"PRANA_SERVICES__ORDERS__ROUTES": json.dumps(routes)}))
    assert (a.prefix, a.timeout, a.retry.max_retries, a.breaker.request_volume) == ("/a", 3.0, 5, 7)
    assert (b.prefix, b.timeout, b.retry.max_retries) == ("/b", 1.0, 1)
    assert routes_of(load_text(TEXT, {"PRANA_SERVICES__ORDERS__ROUTES": "[]"})) == ()
    assert len(routes_of(load_text(TEXT, {"PRANA_SERVICES__ORDERS__TIMEOUT": "9s"}))) == 2


def test_the_effective_configuration_names_where_a_route_has_its_values_from(
    load_text: Load, config_file: Path
) -> None:
    loaded = load_text(TEXT)
    shown = {path[3:]: (value, place) for path, value, place in effective(loaded) if "routes" in path}
    assert shown[(0, "timeout")] == ("30s", f"{config_file}:15")
    assert shown[(1, "timeout")] == ("3s", f"{config_file}:7")
    assert shown[(1, "attempt_timeout")] == ("2s", f"{config_file}:3")
    assert shown[(0, "breaker", "sleep_window")] == ("1s", f"{config_file}:16")
    assert shown[(1, "breaker", "sleep_window")] == ("5s", "default")
    assert shown[(1, "breaker", "request_volume")] == (7, f"{config_file}:8")
    assert shown[(1, "breaker", "window")] == ("20s", f"{config_file}:4")
    assert shown[(0, "methods")] == ([], "default")
    assert (0, "retry", "budget_ratio") not in shown


def test_a_single_route_names_them_too(load_text: Load, config_file: Path) -> None:
    loaded = load_text(
        "[services.a]\ninstances = ['127.0.0.1:1']\ntimeout = '3s'\n[[services.a.routes]]\nprefix = '/a'"
    )
    shown = {path[2:]: place for path, _, place in effective(loaded) if "routes" in path}
    assert shown[("routes", "timeout")] == f"{config_file}:3"
    assert shown[("routes", "prefix")] == f"{config_file}:5"
    assert shown[("routes", "idle_timeout")] == "default"


FALLBACKS = """
[services.orders]
instances = ["127.0.0.1:9001"]
[services.orders.fallback]
json = { orders = [] }
status = 203
[[services.orders.routes]]
prefix = "/inherited"
[[services.orders.routes]]
prefix = "/own"
fallback = { body = "later" }
[[services.orders.routes]]
prefix = "/none"
fallback = []
[[services.orders.routes]]
prefix = "/two"
[[services.orders.routes.fallback]]
body = "a"
[[services.orders.routes.fallback]]
body = "b"
"""


def test_a_route_has_a_fallback_of_its_own_or_its_services_as_a_whole(load_text: Load, config_file: Path) -> None:
    loaded = load_text(FALLBACKS)
    service = loaded.settings.policy_for("orders")
    inherited, own, none, two = (route.fallback for route in service.routes)
    assert inherited == service.fallback
    assert [(step.body, step.json, step.status) for step in own] == [("later", UNSET, 200)]
    assert (none, [step.body for step in two]) == ((), ["a", "b"])
    shown = {path[3:]: place for path, _, place in effective(loaded) if "routes" in path}
    assert shown[(0, "fallback", "status")] == f"{config_file}:6"
    assert shown[(1, "fallback", "body")] == f"{config_file}:11"
    assert shown[(1, "fallback", "status")] == "default"
    assert shown[(3, "fallback", 0, "status")] == "default"


def test_a_chain_of_a_route_has_no_origins_in_that_of_its_service(load_text: Load) -> None:
    two = "fallback = [{ last_good = true, max_age = '1m' }, { body = 'b', status = 203 }]"
    written = two.replace("'b', status = 203", "'c'").replace(", max_age = '1m'", "")
    of_service = "[services.orders]\ninstances = ['127.0.0.1:1']"
    loaded = load_text(f"{of_service}\n{two}\n[[services.orders.routes]]\nprefix = '/a'\n{written}")
    shown = {path[3:]: place for path, _, place in effective(loaded) if "routes" in path}
    assert (shown[("fallback", 0, "max_age")], shown[("fallback", 1, "status")]) == ("default", "default")


def test_a_fallback_that_is_wrong_is_told_where_it_was_written(problems_of: Problems) -> None:
    wrong = "fallback = { body = 'a', json = 1 }"
    of_service = f"[services.orders]\ninstances = ['127.0.0.1:1']\n{wrong}\n[[services.orders.routes]]\nprefix = '/a'"
    of_route = f"{ROUTE}{wrong}"
    (found,) = problems_of(of_service)
    assert found.startswith("prana.toml:3: services.orders.fallback: has json and body; ")
    (found,) = problems_of(of_route)
    assert found.startswith("prana.toml:5: services.orders.routes[0].fallback: has json and body; ")


def test_the_effective_routes_load_again_as_they_are(load_text: Load) -> None:
    loaded = load_text(TEXT)
    again = load_text("", {"PRANA_SERVICES": json.dumps(nested(loaded)["services"])})
    assert routes_of(again) == routes_of(loaded)


def test_the_schema_describes_a_route() -> None:
    service = json_schema()["properties"]["services"]["additionalProperties"]["properties"]
    one, several = service["routes"]["anyOf"]
    assert several == {"type": "array", "items": one}
    assert {"name", "methods", "prefix", "pattern", "timeout", "breaker", "fallback"} <= one["properties"].keys()
    assert not {"balancer", "eject", "tls", "instances", "routes"} & one["properties"].keys()
    assert {"budget_ratio", "budget_floor_per_s"} & one["properties"]["retry"]["properties"].keys() == set()


ROUTE = "[services.orders]\ninstances = ['127.0.0.1:1']\n[[services.orders.routes]]\nprefix = '/0'\n"
SHARED = "is no key of a route, for all routes of a service share its nodes and retry budget; write services.orders"
TAKES_ALL = 'takes every request; give methods, prefix or pattern, or prefix = "/" to mean it'

BAD = [
    ("prefix = '/a'\ntimeout = 3", "7: services.orders.routes[1].timeout: is a bare number; "),
    (
        "prefix = '/a'\nbreaker.windw = '1s'",
        "7: services.orders.routes[1].breaker.windw: unknown key; "
        "did you mean services.orders.routes[1].breaker.window?",
    ),
    ("prefix = '/a'\nbalancer.rule = 'RandomRule'", f"7: services.orders.routes[1].balancer: {SHARED}.balancer"),
    ("prefix = '/a'\neject.base = '1s'", f"7: services.orders.routes[1].eject: {SHARED}.eject"),
    ("prefix = '/a'\ntls.mode = 'never'", f"7: services.orders.routes[1].tls: {SHARED}.tls"),
    ("prefix = '/a'\ninstances = []", f"7: services.orders.routes[1].instances: {SHARED}.instances"),
    ("prefix = '/a'\nroutes = []", f"7: services.orders.routes[1].routes: {SHARED}.routes"),
    (
        "prefix = '/a'\nretry.budget_ratio = 1",
        f"7: services.orders.routes[1].retry.budget_ratio: {SHARED}.retry.budget_ratio",
    ),
    ("timeout = '1s'", f"5: services.orders.routes[1]: {TAKES_ALL}"),
    (
        "prefix = '/a'\npattern = '/a'",
        "6: services.orders.routes[1].prefix: is given beside services.orders.routes[1].pattern; "
        "allowed is one of them",
    ),
    (
        "name = 'X'\nprefix = '/a'\n[[services.orders.routes]]\nname = 'x'\nprefix = '/b'",
        "9: services.orders.routes[2].name: is called x, as is services.orders.routes[1]; give each a name of its own",
    ),
    (
        "prefix = '/a.b'\n[[services.orders.routes]]\nprefix = '/A.B'",
        "7: services.orders.routes[2]: is called a.b, as is services.orders.routes[1]; give each a name of its own",
    ),
    ("name = 'a/b'\nprefix = '/a'", '6: services.orders.routes[1].name: "a/b" is not a service name; '),
    ("methods = ['get']", '6: services.orders.routes[1].methods[0]: "get" is not a method; allowed are names in upper'),
    ("prefix = 'a'", '6: services.orders.routes[1].prefix: is "a"; allowed is the beginning of a path as it is sent, '),
    ("prefix = '/a?b'", '6: services.orders.routes[1].prefix: is "/a?b"; allowed is '),
    ("prefix = '/a#b'", '6: services.orders.routes[1].prefix: is "/a#b"; allowed is '),
    ("prefix = '/ü'", '6: services.orders.routes[1].prefix: is "/ü"; allowed is '),
    ("pattern = '/(a'", '6: services.orders.routes[1].pattern: "/(a" is no regular expression of Python: missing ), '),
    (
        "pattern = '/ü'",
        '6: services.orders.routes[1].pattern: is "/ü"; allowed is ASCII, for other characters are sent',
    ),
    ("pattern = '/(a+)+'", '6: services.orders.routes[1].pattern: "/(a+)+" repeats what can be divided in many ways'),
    (f"pattern = '/{'(' * 2000}{')' * 2000}'", "6: services.orders.routes[1].pattern: "),
    (f"pattern = '/{'a?' * 5000}'", "6: services.orders.routes[1].pattern: "),
    ("pattern = 'a.*'", '6: services.orders.routes[1].pattern: "a.*" takes no path, for they begin with a slash'),
]


@pytest.mark.parametrize(("text", "line"), BAD)
def test_a_problem_is_located_in_its_route(text: str, line: str, problems_of: Problems) -> None:
    (found,) = problems_of(f"{ROUTE}[[services.orders.routes]]\n{text}")
    assert found.startswith(f"prana.toml:{line}")


def test_a_problem_in_json_names_the_variable_and_the_place_in_it(problems_of: Problems) -> None:
    routes = '[{"prefix": "/a", "balancer": {}}, {"prefix": "b"}]'
    first, second = problems_of(ROUTE, {"PRANA_SERVICES__ORDERS__ROUTES": routes})
    place = "PRANA_SERVICES__ORDERS__ROUTES: services.orders.routes"
    assert first.startswith(f"{place}[0].balancer: is no key of a route")
    assert first.endswith("write PRANA_SERVICES__ORDERS__BALANCER")
    assert second.startswith(f'{place}[1].prefix: is "b"; allowed is ')


def test_a_route_is_refused_in_the_defaults(problems_of: Problems) -> None:
    (found,) = problems_of("[[defaults.routes]]\nprefix = '/a'")
    assert found.startswith("prana.toml:1: defaults.routes: unknown key; ")


def routes_text(*routes: str) -> str:
    tables = "".join(f"[[services.orders.routes]]\nname = 'r{index}'\n{each}\n" for index, each in enumerate(routes))
    return f"[services.orders]\ninstances = ['127.0.0.1:1']\n{tables}"


REACHED = [
    ["prefix = '/a/b'", "prefix = '/a'"],
    ["prefix = '/a'", "prefix = '/ab'"],
    ["prefix = '/a'\nmethods = ['GET']", "prefix = '/a'"],
    ["prefix = '/a'\nmethods = ['GET']", "prefix = '/a/b'\nmethods = ['GET', 'POST']"],
    ["prefix = '/a'\nmethods = ['GET']", "prefix = '/a'\nmethods = ['POST']"],
    ["methods = ['GET']", "prefix = '/a'"],
    ["pattern = '/a'", "pattern = '/b'"],
    ["pattern = '/a/.*'", "prefix = '/a'"],
    ["prefix = '/a/b'", "pattern = '/a/b*'"],
    ["prefix = '/a'", "pattern = '/a/b|/c'"],
    ["prefix = '/a/b'", "pattern = '/a/b/*x'"],
    ["prefix = '/a'", "pattern = '/[ab]/c'"],
]

SHADOWED = [
    (["prefix = '/a'", "prefix = '/a/b'"], 1, [0]),
    (["prefix = '/a'", "prefix = '/a'\nmethods = ['GET']"], 1, [0]),
    (["prefix = '/'", "pattern = '(/a|/b)'"], 1, [0]),
    (["prefix = '/a/'", "pattern = '/a/[0-9]+'"], 1, [0]),
    (["pattern = '/a'", "pattern = '/a'\nmethods = ['GET']"], 1, [0]),
    (["methods = ['GET']", "prefix = '/a'\nmethods = ['GET']"], 1, [0]),
    (["methods = ['GET']", "methods = ['PUT']", "prefix = '/a'\nmethods = ['GET', 'PUT']"], 2, [0, 1]),
    (["methods = ['GET']", "prefix = '/'", "prefix = '/a'\nmethods = ['GET', 'PUT']"], 2, [1]),
    (["methods = ['GET']", "prefix = '/a'\nmethods = ['GET', 'PUT']", "prefix = '/a'\nmethods = ['GET']"], 2, [0]),
]


@pytest.mark.parametrize("routes", REACHED)
def test_a_route_that_something_is_left_for_is_not_warned_about(routes: list[str], load_text: Load) -> None:
    assert load_text(routes_text(*routes)).warnings == []


@pytest.mark.parametrize(("routes", "hidden", "by"), SHADOWED)
def test_a_route_that_is_never_reached_is_warned_about(
    routes: list[str], hidden: int, by: list[int], load_text: Load
) -> None:
    (warning,) = load_text(routes_text(*routes)).warnings
    others = " and ".join(f"services.orders.routes[{index}]" for index in by)
    assert warning.origin.key == f"services.orders.routes[{hidden}]"
    assert warning.message == f"is never reached: what it takes goes to {others}, tried before it"


def test_a_limit_written_in_a_route_that_never_ends_first_is_warned_about(load_text: Load) -> None:
    (warning,) = load_text(routes_text("prefix = '/a'\ntimeout = '2s'\nattempt_timeout = '3s'")).warnings
    assert str(warning.origin.key) == "services.orders.routes[0].attempt_timeout"
    assert load_text(routes_text("prefix = '/a'\ntimeout = '2s'")).warnings == []
