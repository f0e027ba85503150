"""A fallback as a table, several as an array: what each may say, and where a problem is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from prana.config import Loaded
from prana.config.settings import Fallback
from prana.config.show import effective, nested

Load = Callable[..., Loaded]
Problems = Callable[..., list[str]]

CHAIN = """
[[services.a.fallback]]
body = "x"
[[services.a.fallback]]
json = { b = false }
status = 503
"""


def test_a_table_is_a_chain_of_one_and_an_array_is_walked_in_order(load_text: Load) -> None:
    contract = "[services.a.fallback]\nstatus = 200\njson = { recommendations = [], fallback = true }"
    (only,) = load_text(contract).settings.services["a"].fallback
    assert (only.status, only.json) == (200, {"recommendations": [], "fallback": True})
    first, second = load_text(CHAIN).settings.services["a"].fallback
    assert (first.body, second.json, second.status) == ("x", {"b": False}, 503)
    assert load_text("[services.a]\ntimeout = '1s'").settings.services["a"].fallback == ()


def test_an_array_replaces_a_whole_chain(load_text: Load) -> None:
    (only,) = load_text(CHAIN, {"PRANA_SERVICES__A__FALLBACK": '[{"body": "y"}]'}).settings.services["a"].fallback
    assert only == Fallback(body="y")
    assert load_text(CHAIN, {"PRANA_SERVICES__A__FALLBACK": "[]"}).settings.services["a"].fallback == ()


@pytest.mark.parametrize("json", [False, 0, None, []])
def test_any_json_value_is_an_answer(json: object) -> None:
    assert Fallback(json=json).given == ["json"]


def test_a_files_type_is_that_of_its_suffix_unless_it_is_given() -> None:
    assert Fallback(file="/srv/a.json").media_type == "application/json"
    assert Fallback(file="/srv/a.html").media_type == "text/html"
    assert (
        Fallback(file="/srv/a.html.gz").media_type == Fallback(file="/srv/a").media_type == "application/octet-stream"
    )
    assert Fallback(file="/srv/a", content_type="text/css").media_type == "text/css"


def test_only_keys_that_have_an_effect_are_shown(load_text: Load) -> None:
    loaded = load_text(CHAIN)
    shown = {path[3:]: value for path, value, _ in effective(loaded) if path[:3] == ("services", "a", "fallback")}
    assert shown == {
        (0, "body"): "x",
        (0, "status"): 200,
        (0, "content_type"): "",
        (1, "json"): {"b": False},
        (1, "status"): 503,
        (1, "content_type"): "",
    }
    assert [step["status"] for step in nested(loaded)["services"]["a"]["fallback"]] == [200, 503]


PROBLEMS = [
    (
        "[services.a]\nfallback = { service = 'x', body = '' }",
        "prana.toml:2: services.a.fallback: has service and body; "
        "allowed is exactly one of service, last_good, file, json, body",
    ),
    (
        "[[services.a.fallback]]\nbody = ''\n[[services.a.fallback]]\nstatus = 200",
        "prana.toml:3: services.a.fallback[1]: has no answer; "
        "allowed is exactly one of service, last_good, file, json, body",
    ),
    (
        "[services.a.fallback]\nfile = '/nowhere/x'",
        "prana.toml:2: services.a.fallback.file: /nowhere/x cannot be read (No such file or directory); "
        "name an existing file",
    ),
    (
        "[services.a.fallback]\nlast_good = true\nstatus = 200",
        "prana.toml:3: services.a.fallback.status: has no effect beside last_good; leave it out",
    ),
    (
        "[services.a.fallback]\nbody = ''\nmax_age = '1m'",
        "prana.toml:3: services.a.fallback.max_age: has no effect beside body; leave it out",
    ),
    (
        "[services.a.fallback]\nlast_good = false",
        "prana.toml:2: services.a.fallback.last_good: is false; allowed is true, or to leave it out",
    ),
    (
        "[[services.a.fallback]]\nlast_good = true\n[[services.a.fallback]]\nlast_good = true",
        "prana.toml:4: services.a.fallback[1].last_good: is given already in services.a.fallback[0].last_good; "
        "once is enough",
    ),
    (
        "[services.A.fallback]\nservice = 'a'",
        "prana.toml:2: services.A.fallback.service: is a, the service that has failed; name another",
    ),
    (
        "[[services.a.routes]]\nprefix = '/x'\nfallback = [{ last_good = true }, { service = 'a' }]",
        "prana.toml:3: services.a.routes[0].fallback[1].service: is a, the service that has failed; name another",
    ),
    ("services.a.fallback = 1", "prana.toml:1: services.a.fallback: must be a table, or an array of tables"),
]


@pytest.mark.parametrize(("text", "line"), PROBLEMS)
def test_a_bad_chain_is_refused_with_exactly_this_line(text: str, line: str, problems_of: Problems) -> None:
    assert problems_of(text) == [line]


def test_a_file_that_is_too_large_is_refused(problems_of: Problems, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(1024 * 1024))
    assert problems_of(f"[services.a.fallback]\nfile = '{file}'") == []
    file.write_bytes(bytes(1024 * 1024 + 1))
    (line,) = problems_of(f"[services.a.fallback]\nfile = '{file}'")
    assert line.endswith(f"{file} is larger than 1MiB, which is allowed for an answer that stays in memory")


def test_a_service_that_can_never_answer_is_warned_about(load_text: Load) -> None:
    chain = "[[services.a.fallback]]\nservice = 'B'\n[[services.a.fallback]]\nservice = 'c'"
    static = "[services.b]\ninstances = ['127.0.0.1:1']\n[services.a]\ninstances = ['127.0.0.1:2']"
    assert load_text(f"eureka.urls = ['http://e/']\n{chain}").warnings == []
    (warning,) = load_text(f"eureka.urls = []\n{static}\n{chain}").warnings
    assert str(warning).endswith(
        ":9: services.a.fallback[1].service: is c, which has no instances, and no registry is read; "
        "it will never answer"
    )


def test_two_services_may_stand_in_for_each_other(load_text: Load) -> None:
    services = load_text("services.a.fallback.service = 'b'\nservices.b.fallback.service = 'a'").settings.services
    assert [services[name].fallback[0].service for name in ("a", "b")] == ["b", "a"]


def test_what_is_never_reached_is_warned_about(load_text: Load) -> None:
    (warning,) = load_text(f"eureka.urls = ['http://e/']{CHAIN}").warnings
    assert str(warning).endswith(
        ":4: services.a.fallback[1]: is never reached, for services.a.fallback[0] before it always answers; "
        "leave it out, or put it first"
    )
