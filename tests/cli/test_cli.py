"""Commands: what they print and the code they exit with."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from prana.cli import main
from prana.config import load
from prana.startup import StartupError

Capture = pytest.CaptureFixture[str]


def test_check_of_a_good_file_says_ok(capsys: Capture) -> None:
    Path("mine.toml").write_text("[log]\nlevel = 'debug'\n")
    assert main(["check", "-c", "mine.toml"]) == 0
    assert capsys.readouterr().out == "ok: mine.toml\n"


def test_check_without_a_file_checks_the_defaults(capsys: Capture) -> None:
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "ok: no file, defaults only\n"


def test_check_finds_prana_toml_and_prints_every_problem(capsys: Capture) -> None:
    Path("prana.toml").write_text("[log]\nlevl = 'debug'\n[shutdown]\ngrace = 5\n")
    assert main(["check"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "prana.toml:2: log.levl: unknown key; did you mean log.level?",
        'prana.toml:4: shutdown.grace: is a bare number; a duration needs a unit, such as "5s" or "5ms"',
    ]


def test_check_of_a_named_file_that_is_missing_fails(capsys: Capture) -> None:
    assert main(["check", "-c", "no.toml"]) == 1
    assert capsys.readouterr().out == "no.toml: cannot be read: No such file or directory; name an existing file\n"


def test_check_prints_warnings_and_passes(capsys: Capture) -> None:
    assert main(["check", "--set", "defaults.attempt_timeout=1m"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "ok: no file, defaults only\n"
    assert printed.err == ("warning: --set defaults.attempt_timeout: is 1m, which never ends before timeout (10s)\n")


PROPERTIES = """
eureka.registration.enabled = false
hystrix.command.default.execution.isolation.thread.timeoutInMilliseconds = 800
hystrix.threadpool.default.coreSize = 30
ribbon.ReadTimeOut = 500
"""


def test_check_lists_properties_without_a_counterpart_and_passes(capsys: Capture) -> None:
    Path("prana.properties").write_text(PROPERTIES)
    assert main(["check", "-c", "prana.properties"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "ok: prana.properties\n"
    assert printed.err.splitlines() == [
        "warning: prana.properties:4: hystrix.threadpool.default.coreSize: has no counterpart: "
        "Prana has no thread pools; max_concurrent bounds the calls in progress",
        "warning: prana.properties:5: ribbon.ReadTimeOut: is not known; did you mean ribbon.ReadTimeout?",
    ]


def test_run_names_them_in_one_line_of_the_log() -> None:
    nowhere = "proxy.listen = 127.0.0.1:0\nadmin.listen = 203.0.113.1:1\nlog.format = json\n"  # so that it ends
    Path("prana.properties").write_text(PROPERTIES + nowhere)
    command = [sys.executable, "-c", "from prana.cli import main; raise SystemExit(main())", "run"]
    done = subprocess.run([*command, "-c", "prana.properties"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    first, last = done.stderr.splitlines()
    assert last.startswith("prana: 203.0.113.1:1 is no address of this machine")
    line = json.loads(first)
    assert (line["event"], line["level"]) == ("properties without effect; prana check says why", "warning")
    assert line["count"] == 2
    assert line["properties"] == [
        "prana.properties:4: hystrix.threadpool.default.coreSize",
        "prana.properties:5: ribbon.ReadTimeOut",
    ]


def test_every_shortcut_flag_sets_its_key(capsys: Capture) -> None:
    flags = "--app a --app-port 1 --eureka http://x/ --eureka http://y/ --listen h:1 --listen h:2 --admin-listen h:3"
    assert main(["config", "show", "--json", *flags.split(), "--log-level", "error", "--log-format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["app"]["name"], shown["app"]["port"]) == ("a", 1)
    assert shown["eureka"]["urls"] == ["http://x/", "http://y/"]
    assert (shown["proxy"]["listen"], shown["admin"]["listen"]) == (["h:1", "h:2"], "h:3")
    assert (shown["log"]["level"], shown["log"]["format"]) == ("error", "json")


def test_set_is_stronger_than_a_shortcut(capsys: Capture) -> None:
    assert main(["config", "show", "--set", "log.level=error", "--log-level", "debug"]) == 0
    assert 'log.level = "error"\n' in capsys.readouterr().out


def test_config_show_origin_says_where_each_value_comes_from(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("prana.toml").write_text("[log]\nlevel = 'debug'\n")
    monkeypatch.setenv("PRANA_ADMIN__TOKEN", "hunter2")
    assert main(["config", "show", "--origin", "--listen", "h:1"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["log.level", "=", '"debug"', "#", "prana.toml:2"] in lines
    assert ["admin.token", "=", '"***"', "#", "PRANA_ADMIN__TOKEN"] in lines
    assert ["proxy.listen", "=", '["h:1"]', "#", "--listen"] in lines
    assert ["log.access", "=", '"off"', "#", "default"] in lines


def test_config_show_origin_has_a_form_for_machines(capsys: Capture) -> None:
    assert main(["config", "show", "--origin", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"key": "defaults.timeout", "value": "10s", "origin": "default"} in rows


def test_config_show_of_a_bad_configuration_fails(capsys: Capture) -> None:
    assert main(["config", "show", "--log-level", "loud"]) == 1
    assert capsys.readouterr().err.startswith('--log-level: is "loud"; ')


def test_config_schema_is_json(capsys: Capture) -> None:
    assert main(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Prana"


def test_config_init_prints_a_file_that_loads(capsys: Capture) -> None:
    assert main(["config", "init"]) == 0
    Path("prana.toml").write_text(capsys.readouterr().out)
    assert load(Path("prana.toml"), {}).settings.registers


def test_version_names_parser_and_event_loop(capsys: Capture) -> None:
    assert main(["version", "--json"]) == 0
    versions = json.loads(capsys.readouterr().out)
    assert set(versions) == {"prana", "python", "parser", "event_loop"}
    assert main(["version"]) == 0
    assert capsys.readouterr().out.startswith(
        f"prana {versions['prana']} on Python {versions['python']}, own HTTP parser"
    )


@pytest.mark.parametrize(
    "arguments", [["run", "--", "node", "app.js"], ["run", "--app", "a", "--", "x"], ["explain", "42"]]
)
def test_what_is_not_built_yet_says_so(arguments: list[str], capsys: Capture) -> None:
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "not available yet" in line


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["config"],
        ["hosts"],
        ["check", "--set", "log.level"],
        ["demo", "--port", "0"],
        ["demo", "--port", "x"],
        ["registry", "--listen", "8761"],
        ["registry", "--listen", "unix:/a"],
        ["run", "--list", "h:1"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    assert capsys.readouterr().err.startswith("usage: prana")


def test_run_with_a_bad_configuration_exits_with_1_and_says_every_problem(capsys: Capture) -> None:
    assert main(["run", "--app", "a", "--app-port", "x", "--listen", "y"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["--app-port", "--listen"]


def test_what_keeps_a_command_from_starting_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def refuse(_: object) -> int:
        raise StartupError("port 8078 is taken")

    monkeypatch.setattr("prana.cli._COMMANDS", {"check": refuse})
    assert main(["check"]) == 1
    assert capsys.readouterr().err == "prana: port 8078 is taken\n"


def test_an_interrupt_that_no_command_handles_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("prana.cli._COMMANDS", {"check": interrupt})
    assert main(["check"]) == 130


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    code = "from prana.cli import main; raise SystemExit(main(['version']))"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False, env=buffered
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_asking_a_sidecar_does_not_import_it() -> None:
    code = (
        "import sys; from prana.cli import main; main(['healthcheck', '--admin', '127.0.0.1:1']); "
        "print(sorted({'aiohttp', 'uvloop', 'asyncio', 'structlog', 'prana.app'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
