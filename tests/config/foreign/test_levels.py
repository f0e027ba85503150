"""Where properties may be written, which of two sources counts, and how a value's origin shows."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from prana.config import ConfigError, FlagValue, Loaded, load
from prana.config.show import effective
from prana.config.sources import dotted

LoadProperties = Callable[[str], Loaded]
Lines = Callable[[str], list[str]]
Load = Callable[..., Loaded]

TIMEOUT = "hystrix.command.default.execution.isolation.thread.timeoutInMilliseconds"


def test_in_toml_the_key_itself_is_stronger_than_a_property_for_it(load_text: Load) -> None:
    text = f"[properties]\n'{TIMEOUT}' = '800'\n'ribbon.ConnectTimeout' = '70'\n[defaults]\ntimeout = '3s'"
    defaults = load_text(text).settings.defaults
    assert (defaults.timeout, defaults.connect_timeout) == (3.0, 0.07)


def test_a_service_is_more_particular_than_the_defaults_however_they_are_written(load_text: Load) -> None:
    text = "[properties]\n'hystrix.command.a.circuitBreaker.requestVolumeThreshold' = '3'\n[defaults.breaker]\n"
    settings = load_text(text + "request_volume = 9").settings
    assert (settings.services["a"].breaker.request_volume, settings.defaults.breaker.request_volume) == (3, 9)


def test_own_names_in_toml_properties_are_the_apps(load_text: Load) -> None:
    settings = load_text("[properties]\n'log.level' = 'x'\n'proxy.listen' = 'y'").settings
    assert settings.log.level == "info"
    assert settings.properties == {"log.level": "x", "proxy.listen": "y"}


def test_a_property_of_the_environment_is_stronger_than_the_file_and_weaker_than_flags(load_text: Load) -> None:
    environ = {"PRANA_PROPERTIES": json.dumps({TIMEOUT: "800", "ribbon.ConnectTimeout": "70"})}
    flag = FlagValue("--set", f'properties."{TIMEOUT}"', "900")
    file = "[defaults]\ntimeout = '3s'\nconnect_timeout = '3s'"
    defaults = load_text(file, environ, flag).settings.defaults
    assert (defaults.timeout, defaults.connect_timeout) == (0.9, 0.07)
    explicit = load_text(file, environ | {"PRANA_DEFAULTS__TIMEOUT": "5s"}).settings.defaults
    assert (explicit.timeout, explicit.connect_timeout) == (5.0, 0.07)


def test_a_properties_file_has_the_precedence_of_any_file(properties_file: Path) -> None:
    properties_file.write_text(f"{TIMEOUT}=800\nlog.level=debug\nlog.access=all")
    environ, flag = {"PRANA_DEFAULTS__TIMEOUT": "5s"}, FlagValue("--log-level", "log.level", "error")
    settings = load(properties_file, environ, [flag]).settings
    assert (settings.defaults.timeout, settings.log.level, settings.log.access) == (5.0, "error", "all")


def test_our_own_key_is_stronger_than_a_property_of_the_same_file(load_properties: LoadProperties) -> None:
    assert load_properties(f"defaults.timeout=2s\n{TIMEOUT}=800").settings.defaults.timeout == 2.0


def test_all_properties_can_be_asked_for_and_our_own_keys_are_none(load_properties: LoadProperties) -> None:
    settings = load_properties(f"{TIMEOUT}=800\nmy.flag = on \nadmin.token=secret\nproperties.log.dir=x").settings
    assert settings.properties == {TIMEOUT: "800", "my.flag": "on ", "log.dir": "x"}
    assert settings.admin.token == "secret"


def test_a_name_that_comes_twice_counts_once_the_last_time_and_is_warned_of(properties_file: Path) -> None:
    properties_file.write_text("ribbon.ReadTimeout=1\n\nribbon.ReadTimeout=2\nribbon.ReadTimeout=3000\n")
    loaded = load(properties_file, {})
    assert loaded.settings.defaults.attempt_timeout == 3.0
    assert [str(warning) for warning in loaded.warnings] == [
        f"{properties_file}:{line}: ribbon.ReadTimeout: is given again in line 4, which counts" for line in (1, 3)
    ]


def test_the_origin_of_a_value_is_the_property_that_set_it(load_properties: LoadProperties, load_text: Load) -> None:
    loaded = load_properties(f"# x\n{TIMEOUT}=800\nservices.orders.idle_timeout=3s")
    origins = {dotted(path): origin.rpartition("/")[2] for path, _, origin in effective(loaded)}
    assert origins["defaults.timeout"] == origins["services.orders.timeout"] == f"prana.properties:2: {TIMEOUT}"
    assert origins["services.orders.idle_timeout"] == "prana.properties:3: services.orders.idle_timeout"
    in_toml = load_text(f"[properties]\n'{TIMEOUT}' = '800'").origin(("defaults", "timeout")).place
    assert in_toml.endswith(f'prana.toml:2: properties."{TIMEOUT}"')
    in_variable = load(None, {"PRANA_PROPERTIES": json.dumps({TIMEOUT: "800"})}).origin(("defaults", "timeout"))
    assert in_variable.place == f'PRANA_PROPERTIES: properties."{TIMEOUT}"'


def test_what_is_wrong_between_keys_is_told_at_the_properties(load_properties: LoadProperties) -> None:
    warnings = load_properties(f"{TIMEOUT}=800\nribbon.ReadTimeout=1000").warnings
    assert [str(warning).rpartition("/")[2] for warning in warnings] == [
        "prana.properties:2: ribbon.ReadTimeout: is 1s, which never ends before timeout (800ms)"
    ]


def test_a_file_that_is_missing_or_malformed_is_one_problem(properties_file: Path) -> None:
    properties_file.write_text("a=1\nb=\\u12")
    with pytest.raises(ConfigError, match=r"^\S+/prana\.properties:2: has \\u12; after"):
        load(properties_file, {})
    missing = properties_file.with_name("none.properties")
    with pytest.raises(ConfigError, match=r"none\.properties: cannot be read: No such file or directory"):
        load(missing, {})


def test_no_name_can_forge_a_line_of_a_message(problems_of: Lines) -> None:
    (problem,) = problems_of("a\\nprana.toml:1: x=1")
    assert problem.startswith('prana.properties:1: "a\\nprana.toml')
