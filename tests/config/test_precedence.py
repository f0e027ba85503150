"""Flag over environment over file over default, key by key, and where each value came from."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana.config import FlagValue, Loaded, load
from prana.config.units import Address

Load = Callable[..., Loaded]

FILE = "[log]\nlevel = 'debug'\nformat = 'json'\naccess = 'all'\n"


@given(st.booleans(), st.booleans(), st.booleans())
def test_the_strongest_source_that_has_a_key_wins(load_text: Load, file: bool, variable: bool, flag: bool) -> None:
    loaded = load_text(
        FILE if file else "",
        {"PRANA_LOG__LEVEL": "warning"} if variable else {},
        *([FlagValue("--log-level", "log.level", "error")] if flag else []),
    )
    expected = ("error", "--log-level") if flag else ("warning", "PRANA_LOG__LEVEL") if variable else None
    level, place = expected or (("debug", "prana.toml:2") if file else ("info", "default"))
    assert loaded.settings.log.level == level
    assert loaded.origin(("log", "level")).place.endswith(place)


def test_a_key_of_a_stronger_source_leaves_its_neighbours_alone(load_text: Load) -> None:
    log = load_text(FILE, {"PRANA_LOG__FORMAT": "console"}, FlagValue("--set", "log.access", "off")).settings.log
    assert (log.level, log.format, log.access) == ("debug", "console", "off")


def test_of_two_flags_the_later_wins(load_text: Load) -> None:
    flags = FlagValue("--log-level", "log.level", "error"), FlagValue("--set", "log.level", "warning")
    assert load_text("", {}, *flags).settings.log.level == "warning"


def test_a_list_replaces_the_weaker_one_as_a_whole_and_a_table_is_merged(load_text: Load) -> None:
    text = """
    [app]
    name = "orders"
    port = 5000
    metadata = { zone = "a", team = "x" }
    [eureka]
    urls = ["http://one/", "http://two/"]
    """
    environ = {"PRANA_EUREKA__URLS": "http://three/", "PRANA_APP__METADATA": '{"zone": "b", "tier": "gold"}'}
    settings = load_text(text, environ, FlagValue("--set", "app.metadata.team", "y")).settings
    assert settings.eureka.urls == ("http://three/",)
    assert settings.apps[0].metadata == {"zone": "b", "tier": "gold", "team": "y"}


def test_a_deeper_variable_is_stronger_than_the_table_that_holds_it(load_text: Load) -> None:
    environ = {"PRANA_LOG__LEVEL": "error", "PRANA_LOG": '{"level": "debug", "access": "all"}'}
    log = load_text("", environ).settings.log
    assert (log.level, log.access) == ("error", "all")
    log = load_text("", dict(reversed(environ.items()))).settings.log
    assert (log.level, log.access) == ("error", "all")


TEXTS = [
    ("PROXY__LISTEN", "127.0.0.1:1, [::1]:2", "proxy", "listen", (Address("127.0.0.1", 1), Address("::1", 2))),
    ("PROXY__LISTEN", '["127.0.0.1:1"]', "proxy", "listen", (Address("127.0.0.1", 1),)),
    ("PROXY__LISTEN", "127.0.0.1:1, ", "proxy", "listen", (Address("127.0.0.1", 1),)),
    ("EUREKA__URLS", "", "eureka", "urls", ()),
    ("EUREKA__FETCH", "False", "eureka", "fetch", False),
    ("PROXY__MAX_CONNECTIONS", " 7 ", "proxy", "max_connections", 7),
    ("DEFAULTS__TIMEOUT", "250ms", "defaults", "timeout", 0.25),
    ("PROXY__DEFAULT_SERVICE", "Orders", "proxy", "default_service", "orders"),
]


@pytest.mark.parametrize(("name", "text", "section", "key", "value"), TEXTS)
def test_a_text_is_read_as_its_key_wants(
    name: str, text: str, section: str, key: str, value: object, load_text: Load
) -> None:
    by_variable = load_text("", {f"PRANA_{name}": text}).settings
    by_flag = load_text("", {}, FlagValue("--set", f"{section}.{key}", text)).settings
    assert getattr(getattr(by_variable, section), key) == value
    assert getattr(getattr(by_flag, section), key) == value


def test_numbers_of_a_policy_are_read_from_texts(load_text: Load) -> None:
    environ = {"PRANA_DEFAULTS__RETRY__BUDGET_RATIO": "0.5", "PRANA_DEFAULTS__RETRY__STATUSES": "500,503"}
    retry = load_text("", environ).settings.defaults.retry
    assert (retry.budget_ratio, retry.statuses) == (0.5, frozenset({500, 503}))


def test_a_service_is_named_in_a_variable_with_underscores_for_dashes(load_text: Load) -> None:
    environ = {"PRANA_SERVICES__USER_SERVICE__TIMEOUT": "1s", "PRANA_SERVICES__A__FALLBACK__JSON": '{"a": [1]}'}
    services = load_text("", environ).settings.services
    assert services["user-service"].timeout == 1.0
    (fallback,) = services["a"].fallback
    assert fallback.json == {"a": [1]}


def test_any_service_name_can_be_written_in_a_flag_or_as_json(load_text: Load) -> None:
    flag = FlagValue("--set", 'services."a.b_c".timeout', "1s")
    services = load_text("", {"PRANA_SERVICES": '{"x_y": {"timeout": "2s"}}'}, flag).settings.services
    assert {name: service.timeout for name, service in services.items()} == {"x_y": 2.0, "a.b_c": 1.0}


FOREIGN: Mapping[str, str] = {
    "PRANA_REQUIRE_EUREKA": "1",
    "PRANA_URL": "http://127.0.0.1:8078",
    "PRANA_ADMIN_URL": "http://127.0.0.1:8077",
    "PRANAYAMA": "x",
    "prana_log__level": "x",
    # What Kubernetes adds for a Service named prana.
    "PRANA_SERVICE_HOST": "10.0.0.1",
    "PRANA_SERVICE_PORT": "8078",
    "PRANA_SERVICE_PORT_HTTP": "8078",
    "PRANA_PORT": "tcp://10.0.0.1:8078",
    "PRANA_PORT_8078_TCP": "tcp://10.0.0.1:8078",
    "PRANA_PORT_8078_TCP_ADDR": "10.0.0.1",
}


def test_variables_that_are_not_ours_are_left_alone() -> None:
    assert load(None, FOREIGN) == load(None, {})


def test_every_origin_is_the_place_of_the_key(load_text: Load, config_file: Path) -> None:
    text = "[defaults]\ntimeout = '2s'\n[services.A]\nretry.max_retries = 0\n"
    loaded = load_text(
        text, {"PRANA_SERVICES__A__CONNECT_TIMEOUT": "1s"}, FlagValue("--listen", "proxy.listen", ("a:1",))
    )
    places = {
        ("services", "a", "retry", "max_retries"): f"{config_file}:4",
        ("services", "a", "connect_timeout"): "PRANA_SERVICES__A__CONNECT_TIMEOUT",
        ("services", "a", "timeout"): f"{config_file}:2",
        ("services", "a", "idle_timeout"): "default",
        ("proxy", "listen"): "--listen",
    }
    assert {path: loaded.origin(path).place for path in places} == places
