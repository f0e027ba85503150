"""One app as `[app]`, several as `[[app]]`: what each source may say, and where a problem is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from prana.config import FlagValue, Loaded
from prana.config.show import effective, nested

Load = Callable[..., Loaded]
Problems = Callable[..., list[str]]

TWO = """
[[app]]
name = "orders"
port = 5000
[app.health]
fall = 2
[[app]]
name = "billing"
port = 5001
metadata = { zone = "a" }
"""


def test_every_table_is_an_app_with_its_own_settings(load_text: Load) -> None:
    orders, billing = load_text(TWO).settings.apps
    assert (orders.name, orders.port, orders.health.fall, orders.metadata) == ("orders", 5000, 2, {})
    assert (billing.name, billing.port, billing.health.fall, billing.metadata) == ("billing", 5001, 3, {"zone": "a"})


def test_apps_are_registered_unless_nothing_asks_for_it(load_text: Load) -> None:
    assert load_text(TWO).settings.registers
    assert not load_text(f"eureka.register = false\n{TWO}").settings.registers
    assert not load_text("app = []").settings.registers


def test_an_array_of_one_is_the_same_as_the_table(load_text: Load) -> None:
    app = "name = 'orders'\nport = 5000\nhealth.fall = 2"
    one, alone = load_text(f"[[app]]\n{app}"), load_text(f"[app]\n{app}")
    assert one.settings == alone.settings
    assert nested(one) == nested(alone)
    flags = FlagValue("--app", "app.name", "billing"), FlagValue("--app-port", "app.port", "6000")
    (app_of_flags,) = load_text(f"[[app]]\n{app}", {"PRANA_APP__HEALTH__RISE": "4"}, *flags).settings.apps
    assert (app_of_flags.name, app_of_flags.port) == ("billing", 6000)
    assert (app_of_flags.health.fall, app_of_flags.health.rise) == (2, 4)


def test_several_apps_can_be_given_as_json_and_replace_the_weaker_ones(load_text: Load) -> None:
    apps = [{"name": "a", "port": 1}, {"name": "b", "port": 2, "health": {"interval": "3s"}}]
    for text in ("", TWO, "[app]\nname = 'orders'\nport = 5000\nmetadata = { zone = 'a' }"):
        a, b = load_text(text, {"PRANA_APP": json.dumps(apps)}).settings.apps
        assert (a.name, b.name, a.metadata, a.health.interval, b.health.interval) == ("a", "b", {}, 10.0, 3.0)
    assert load_text(TWO, {"PRANA_APP": "[]"}).settings.apps == ()
    assert load_text(TWO, {"PRANA_APP": json.dumps(apps[:1])}).settings.apps[0].name == "a"


@pytest.mark.parametrize(
    ("environ", "flags", "place"),
    [
        ({}, [FlagValue("--app", "app.name", "a")], "--app"),
        ({}, [FlagValue("--app-port", "app.port", "1")], "--app-port"),
        ({}, [FlagValue("--set", "app.health.fall", "1")], "--set app.health.fall"),
        ({"PRANA_APP__NAME": "a"}, [], "PRANA_APP__NAME"),
        ({"PRANA_APP": '{"name": "a"}'}, [], "PRANA_APP"),
    ],
)
def test_what_stands_for_a_single_app_is_refused_beside_several(
    environ: dict[str, str], flags: list[FlagValue], place: str, problems_of: Problems
) -> None:
    assert problems_of(TWO, environ, *flags) == [
        f"{place}: stands for a single app, but there are 2 (prana.toml:2, prana.toml:7); write it there"
    ]


BAD = [
    ("[[app]]\nname = 'a'\nport = 1\n[[app]]\nname = 'b'\nport = 'x'", "prana.toml:6: app[1].port: must be a whole"),
    ("[[app]]\nname = 'a'\nport = 1\n[[app]]\nname = 'b'", "prana.toml:4: app[1].port: is required beside an app"),
    ("[[app]]\nport = 1\n[[app]]\nname = 'b'\nport = 2", "prana.toml:1: app[0].name: is required to register"),
    (
        "[[app]]\nname = 'a'\nport = 1\n[[app]]\nname = 'b'\nport = 2\nhealth.fal = 3",
        "prana.toml:7: app[1].health.fal: unknown key; did you mean app[1].health.fall?",
    ),
    (
        "[[app]]\nname = 'a'\nport = 1\n[[app]]\nname = 'b'\nport = 2\ndata_center = 'Amazon'",
        "prana.toml:7: app[1].data_center: not available yet: ",
    ),
    (
        "[[app]]\nname = 'a'\nport = 1\n[[app]]\nname = 'b'\nport = 1",
        "prana.toml:6: app[1].port: is 1, as is app[0].port; each app has a port of its own",
    ),
    (
        "[[app]]\nname = 'a'\nport = 1\ninstance_id = 'i'\n[[app]]\nname = 'A'\nport = 2\ninstance_id = 'i'",
        "prana.toml:8: app[1].instance_id: is that of app[0], which has the same name; "
        "the second would replace the first",
    ),
]


@pytest.mark.parametrize(("text", "line"), BAD)
def test_a_problem_is_located_in_its_table(text: str, line: str, problems_of: Problems) -> None:
    (found,) = problems_of(text)
    assert found.startswith(line)


def test_a_problem_in_json_names_the_variable_and_the_place_in_it(problems_of: Problems) -> None:
    value = '[{"name": "a", "port": 1}, {"name": "b", "prt": 2, "port": 3}]'
    assert problems_of("", {"PRANA_APP": value}) == [
        "PRANA_APP: app[1].prt: unknown key; did you mean app[1].port?",
    ]


@pytest.mark.parametrize(
    "second",
    ["name = 'a'\nport = 2\ninstance_id = 'j'", "name = 'b'\nport = 2\ninstance_id = 'i'", "name = 'a'\nport = 2"],
)
def test_apps_may_share_a_name_or_an_instance_id(second: str, load_text: Load) -> None:
    assert len(load_text(f"[[app]]\nname = 'a'\nport = 1\ninstance_id = 'i'\n[[app]]\n{second}").settings.apps) == 2


def test_each_app_on_a_port_of_prana_is_warned_about(load_text: Load) -> None:
    warnings = load_text("[[app]]\nname = 'a'\nport = 8078\n[[app]]\nname = 'b'\nport = 8077").warnings
    assert [warning.origin.key for warning in warnings] == ["app[0].port", "app[1].port"]


def test_the_effective_configuration_shows_all_with_their_origins_and_loads_again(
    load_text: Load, config_file: Path
) -> None:
    loaded = load_text(TWO)
    shown = {path: (value, place) for path, value, place in effective(loaded)}
    assert shown[("app", 0, "health", "fall")] == (2, f"{config_file}:6")
    assert shown[("app", 1, "health", "fall")] == (3, "default")
    assert shown[("app", 1, "metadata", "zone")] == ("a", f"{config_file}:10")
    again = load_text("", {"PRANA_APP": json.dumps(nested(loaded)["app"])})
    assert again.settings == loaded.settings
