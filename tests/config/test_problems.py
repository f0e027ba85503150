"""Bad configurations: every problem at once, each on its line, with what is allowed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana.config import ConfigError, FlagValue, load
from prana.config.settings import RIBBON_RULES
from prana.config.unavailable import NOT_AVAILABLE

Problems = Callable[..., list[str]]

BAD_FILES = [
    # Values
    ("[app]\nname = 'a'\nport = 'x'", 'prana.toml:3: app.port: must be a whole number from 1 to 65535, not "x"'),
    ("[app]\nname = 'a'\nport = true", "prana.toml:3: app.port: must be a whole number from 1 to 65535, not true"),
    ("[app]\nname = 'a'\nport = 70000", "prana.toml:3: app.port: is 70000; allowed are 1 to 65535"),
    ("[app]\nname = 'a'\nport = 0", "prana.toml:3: app.port: is 0; allowed are 1 to 65535"),
    ("[eureka]\nregister = 'yes'", 'prana.toml:2: eureka.register: must be true or false, not "yes"'),
    (
        "[defaults]\n\ntimeout = 5",
        'prana.toml:3: defaults.timeout: is a bare number; a duration needs a unit, such as "5s" or "5ms"',
    ),
    (
        "[defaults]\ntimeout = '5'",
        'prana.toml:2: defaults.timeout: is a bare number; a duration needs a unit, such as "5s" or "5ms"',
    ),
    ("[defaults]\ntimeout = '-5s'", "prana.toml:2: defaults.timeout: is -5s; allowed are 1ms to 1h"),
    ("[defaults]\nwebsocket = 'yes'", 'prana.toml:2: defaults.websocket: must be true or false, not "yes"'),
    ("[services.a]\nwebsocket = 1", "prana.toml:2: services.a.websocket: must be true or false, not 1"),
    (
        "[defaults]\ntunnel_idle_timeout = 300",
        "prana.toml:2: defaults.tunnel_idle_timeout: is a bare number; a duration needs a unit, "
        'such as "300s" or "300ms"',
    ),
    (
        "[services.a]\ntunnel_idle_timeout = '100ms'",
        "prana.toml:2: services.a.tunnel_idle_timeout: is 100ms; allowed are 1s to 24h",
    ),
    ("[defaults]\ntimeout = '0s'", "prana.toml:2: defaults.timeout: is 0s; allowed are 1ms to 1h"),
    ("[defaults]\ntimeout = '61m'", "prana.toml:2: defaults.timeout: is 61m; allowed are 1ms to 1h"),
    (
        "[defaults]\ntimeout = '5 sec'",
        'prana.toml:2: defaults.timeout: "5 sec" is not a duration; write a number and ms, s, m or h, '
        'such as "250ms" or "5s"',
    ),
    ("[defaults]\ntimeout = true", 'prana.toml:2: defaults.timeout: must be a duration such as "5s", not true'),
    (
        "defaults.retry.budget_ratio = true",
        "prana.toml:1: defaults.retry.budget_ratio: must be a number from 0 to 1, not true",
    ),
    (
        "[app]\nname = 'a'\nport = 1\ninstance_id = \"a\\u001bb\"",
        'prana.toml:4: app.instance_id: is "a\\u001bb"; allowed is text without / and control characters',
    ),
    (
        "[app]\nname = 'a'\nport = 1\ninstance_id = 'rack/7'",
        'prana.toml:4: app.instance_id: is "rack/7"; allowed is text without / and control characters',
    ),
    *(
        (
            f"eureka.urls = ['http://user:hunter2@h/eureka/{rest}']",
            "prana.toml:1: eureka.urls[0]: has a query or fragment; "
            "allowed is a URL that ends with its path, such as /eureka/",
        )
        for rest in ("?a=b", "#a")
    ),
    (
        "services.orders.instances = ['h:1', '[::1]:1', 'h:2', 'h:1']",
        "prana.toml:1: services.orders.instances: has h:1 more than once; each instance once",
    ),
    (
        "defaults.max_concurrent = 1000001",
        "prana.toml:1: defaults.max_concurrent: is 1000001; allowed are 1 to 1000000",
    ),
    (
        "defaults.retry.budget_floor_per_s = true",
        "prana.toml:1: defaults.retry.budget_floor_per_s: must be a number from 0 to 100000, not true",
    ),
    ("[defaults]\ntimeout = []", 'prana.toml:2: defaults.timeout: must be a duration such as "5s", not []'),
    (
        "[defaults.retry]\nreplay_bytes = 1024",
        "prana.toml:2: defaults.retry.replay_bytes: is a bare number; "
        'a size needs a unit, such as "1024B" or "1024KiB"',
    ),
    (
        "defaults.retry.replay_bytes = '1GiB'",
        "prana.toml:1: defaults.retry.replay_bytes: is 1GiB; allowed are 0B to 64MiB",
    ),
    ("[defaults.retry]\nbudget_ratio = 1.5", "prana.toml:2: defaults.retry.budget_ratio: is 1.5; allowed are 0 to 1"),
    ("[defaults.retry]\nbudget_ratio = nan", "prana.toml:2: defaults.retry.budget_ratio: is nan; allowed are 0 to 1"),
    (
        "[defaults.retry]\nbudget_ratio = '20%'",
        'prana.toml:2: defaults.retry.budget_ratio: must be a number from 0 to 1, not "20%"',
    ),
    (
        "[defaults.breaker]\nerror_percentage = 101",
        "prana.toml:2: defaults.breaker.error_percentage: is 101; allowed are 1 to 100",
    ),
    (
        "[defaults.breaker]\nwindow = '1s'\nhealth_interval = '1500ms'",
        "prana.toml:3: defaults.breaker.health_interval: is 1500ms; allowed is up to the window (1s)",
    ),
    (
        "[defaults.adaptive]\nmax = 10",
        "prana.toml:2: defaults.adaptive.max: initial is 20; allowed are adaptive.min (4) to adaptive.max (10)",
    ),
    (
        "[defaults.breaker]\nforce = 'half-open'",
        'prana.toml:2: defaults.breaker.force: is "half-open"; did you mean "open"? '
        'allowed are "none", "open", "closed"',
    ),
    (
        "[log]\nlevel = 'wraning'",
        'prana.toml:2: log.level: is "wraning"; did you mean "warning"? '
        'allowed are "debug", "info", "warning", "error"',
    ),
    ("[log]\nlevel = 3", "prana.toml:2: log.level: must be a string, not 3"),
    (
        "[defaults.balancer]\nrule = 'RuondRobinRule'",
        'prana.toml:2: defaults.balancer.rule: is "RuondRobinRule"; did you mean "RoundRobinRule"? '
        'allowed are "p2c-ewma", "p2c-least-request", ' + ", ".join(f'"{rule}"' for rule in RIBBON_RULES),
    ),
    (
        "[admin]\nlisten = '8077'",
        'prana.toml:2: admin.listen: "8077" is not an address; write host:port, such as "127.0.0.1:8078"',
    ),
    (
        "[admin]\nlisten = 'unix:/run/a.sock'",
        'prana.toml:2: admin.listen: is "unix:/run/a.sock"; a Unix socket is not possible here, write host:port',
    ),
    ("[proxy]\nlisten = 'localhost:1'", 'prana.toml:2: proxy.listen: must be a list, not "localhost:1"'),
    (
        "[proxy]\nlisten = [\n  'localhost:1',\n  5,\n]",
        "prana.toml:4: proxy.listen[1]: must be a string, not 5",
    ),
    (
        "[proxy]\ndefault_service = 'a/b'",
        'prana.toml:2: proxy.default_service: "a/b" is not a service name; allowed are 1 to 128 of A-Z a-z 0-9 . _ -',
    ),
    ("[app]\nport = 1\nname = 'a b'", 'prana.toml:3: app.name: is "a b"; allowed is 1 to 128 of A-Z a-z 0-9 . _ -'),
    (
        "[app]\nport = 1\nname = 'a'\nip = 'host'",
        'prana.toml:4: app.ip: is "host"; allowed is an IP address such as "10.0.0.7"',
    ),
    (
        "[app]\nport = 1\nname = 'a'\nhostname = '-'",
        'prana.toml:4: app.hostname: is "-"; allowed is a host name such as "orders-1.internal"',
    ),
    (
        "[app]\nport = 1\nname = 'a'\nmetadata = { zone = 3 }",
        "prana.toml:4: app.metadata.zone: must be a string, not 3",
    ),
    (
        "[app]\nport = 1\nname = 'a'\nhealth.statuses = '2xx'",
        'prana.toml:4: app.health.statuses: "2xx" is not a status range; write codes from 100 to 599, '
        'such as "200-299" or "200-204,401"',
    ),
    (
        "[app]\nport = 1\nname = 'a'\nhealth.command = 'check.sh'",
        'prana.toml:4: app.health.command: must be a list, not "check.sh"',
    ),
    (
        "[app]\nport = 1\nname = 'a'\nhealth.command = ['a', \"b\\u0000\"]",
        "prana.toml:4: app.health.command[1]: has a NUL character, which no argument can have",
    ),
    (
        "[services.a]\ninstances = ['localhost:0']",
        'prana.toml:2: services.a.instances[0]: "localhost:0" has port 0; allowed are 1 to 65535',
    ),
    (
        "[services.a.fallback]\nstatus = 199\nbody = ''",
        "prana.toml:2: services.a.fallback.status: is 199; allowed are 200 to 599",
    ),
    (
        "[services.a.fallback]\njson = { x = nan }",
        "prana.toml:2: services.a.fallback.json: holds nan or inf; allowed is any value that JSON can hold",
    ),
    # Tables
    ("app = 5", "prana.toml:1: app: must be a table, or an array of tables"),
    ("app = [{}, 5]", "prana.toml:1: app: must be a table, or an array of tables"),
    ("log = []", "prana.toml:1: log: must be a table, not a single value or a list"),
    ("[services]\na = 5", "prana.toml:2: services.a: must be a table, not a single value or a list"),
    (
        '[services."a/b"]',
        'prana.toml:1: services."a/b": "a/b" is not a service name; allowed are 1 to 128 of A-Z a-z 0-9 . _ -',
    ),
    (
        "[services.orders]\ntimeout = '1s'\n[services.Orders]\ntimeout = '2s'",
        'prana.toml:3: services.Orders: is the same as "orders"; case does not count',
    ),
    # Unknown keys
    ("[proxy]\nlisen = 1", "prana.toml:2: proxy.lisen: unknown key; did you mean proxy.listen?"),
    ("[proxi]\nlisten = []", "prana.toml:1: proxi: unknown key; did you mean proxy?"),
    ("timeout = '5s'", "prana.toml:1: timeout: unknown key; did you mean app.health.timeout or defaults.timeout?"),
    (
        "[shutdown]\nxyzzy = 1",
        "prana.toml:2: shutdown.xyzzy: unknown key; known here are drain_delay, grace, hand_over",
    ),
    (
        "[services.a]\n'time out' = 1",
        'prana.toml:2: services.a."time out": unknown key; did you mean services.a.timeout?',
    ),
    # Together
    ("[app]\nname = 'a'", "prana.toml:1: app.port: is required beside an app; allowed are 1 to 65535"),
    (
        "[app]\nport = 80",
        "prana.toml:1: app.name: is required to register; give a name, or set eureka.register = false",
    ),
    (
        "[app]\nport = 1\nname = 'a'\n[app.health]\nurl = 'http://a/'\ncommand = ['a']",
        "prana.toml:6: app.health.command: is given beside app.health.url; allowed is one of them",
    ),
    (
        "[app]\nport = 1\nname = 'a'\n[app.health]\ncommand = ['', 'a']",
        "prana.toml:5: app.health.command: names no program; allowed is a program and its arguments, as a list",
    ),
    (
        "[eureka]\nlease_duration = '30s'",
        "prana.toml:2: eureka.lease_duration: is 30s; it must be shorter than eureka.lease_duration (30s), "
        "or the registration expires between two renewals",
    ),
    (
        "[proxy]\nlisten = []",
        'prana.toml:2: proxy.listen: is empty; allowed is at least one address, such as "127.0.0.1:8078"',
    ),
    (
        "[proxy]\nlisten = ['0.0.0.0:1', '127.0.0.1:1']",
        "prana.toml:2: proxy.listen: has 0.0.0.0:1 and 127.0.0.1:1, which take the same port; each address once",
    ),
    (
        "[proxy]\nlisten = ['unix:/a', 'unix:/a']",
        "prana.toml:2: proxy.listen: has unix:/a and unix:/a, which take the same port; each address once",
    ),
    (
        "[proxy]\nlisten = ['127.0.0.1:8077']",
        "prana.toml:2: proxy.listen: 0.0.0.0:8077 takes the port of proxy.listen 127.0.0.1:8077; choose another",
    ),
    (
        "[proxy]\nlisten = ['unix:/a']\n[shutdown]\nhand_over = '/a'",
        "prana.toml:4: shutdown.hand_over: is /a, where callers are listened for (proxy.listen); "
        "give it a path of its own",
    ),
    (
        "[shutdown]\nhand_over = 'a'",
        'prana.toml:2: shutdown.hand_over: is "a"; allowed is an absolute path of up to 101 characters',
    ),
    ("[proxy]\nunix_mode = '0888'", 'prana.toml:2: proxy.unix_mode: is "0888"; allowed is an octal mode such as 0660'),
    ("[defaults.eject]\nbase = '2m'", "prana.toml:2: defaults.eject.base: is 2m; allowed is up to eject.max (1m)"),
    (
        "[services.a.eject]\nmax = '500ms'",
        "prana.toml:2: services.a.eject.max: is 1s; allowed is up to eject.max (500ms)",
    ),
    (
        "[services.a.fallback]",
        "prana.toml:1: services.a.fallback: has no answer; "
        "allowed is exactly one of service, last_good, file, json, body",
    ),
    (
        "[services.a]\nfallback = { json = 1, body = 'x' }",
        "prana.toml:2: services.a.fallback: has json and body; "
        "allowed is exactly one of service, last_good, file, json, body",
    ),
    # Properties
    (
        "[properties]\na.b = '1'",
        'prana.toml:2: properties.a: is a table; a name with dots stands in quotes, as in "a.b" = "value"',
    ),
    ("[properties]\na = 1", "prana.toml:2: properties.a: must be a string, not 1"),
    # No TOML
    ("a = 1\nb 2\n", "prana.toml:2: is not TOML: Expected '=' after a key in a key/value pair, column 3"),
    ("a = 1\nb = 'x\n", """prana.toml:2: is not TOML: Expected "'" at the end of the file"""),
    ("a = 1\nb = [1,\n\n", "prana.toml:2: is not TOML: Invalid value at the end of the file"),
    ("[app]\nport = 1\n[app]\n", "prana.toml:3: is not TOML: Cannot declare ('app',) twice, column 5"),
]


@pytest.mark.parametrize(("text", "line"), BAD_FILES)
def test_a_bad_file_is_refused_with_exactly_this_line(text: str, line: str, problems_of: Problems) -> None:
    assert problems_of(text) == [line]


UNAVAILABLE_FILES = [
    ("[admin]\ndashboard = true", "admin.dashboard"),
    ("app.port = 1\n'app'.'name' = 'x'\napp.data_center = 'Amazon'", "app.data_center"),
]


@pytest.mark.parametrize(("text", "key"), UNAVAILABLE_FILES)
def test_a_key_without_effect_is_refused_as_not_available_yet(text: str, key: str, problems_of: Problems) -> None:
    (line,) = problems_of(text)
    assert f": {key}: not available yet: " in line


def test_every_row_of_the_table_of_unavailable_keys_is_tested() -> None:
    assert len(NOT_AVAILABLE) == len(UNAVAILABLE_FILES)


def test_an_unavailable_key_with_a_wrong_type_says_so_first(problems_of: Problems) -> None:
    assert problems_of("[admin]\ndashboard = 3") == ["prana.toml:2: admin.dashboard: must be true or false, not 3"]


@pytest.mark.parametrize(
    "url", ["http:/host/", "host:8761", "http://", "http://h:0/", "http://h:x/", "http://h h/", ""]
)
def test_what_is_no_url_is_refused(url: str, problems_of: Problems) -> None:
    (line,) = problems_of(f"[eureka]\nurls = ['{url}']")
    assert line.startswith("prana.toml:2: eureka.urls[0]: is not a URL; allowed is http:// or https:// with a host, ")


def test_a_missing_key_is_reported_at_its_table_in_the_order_of_lines(problems_of: Problems) -> None:
    lines = problems_of("[log]\nlevel = 'x'\n[app]\nname = 'a'\n[admin]\nlisten = 5")
    keys = ["log.level", "app.port", "admin.listen"]
    assert [line.split(": ")[:2] for line in lines] == [
        [f"prana.toml:{number}", key] for number, key in zip((2, 3, 6), keys, strict=True)
    ]


def test_a_bad_key_does_not_hide_what_its_neighbours_lack(problems_of: Problems) -> None:
    lines = problems_of("[services.a.fallback]\nstatus = 199")
    assert [line.split(": ")[1] for line in lines] == ["services.a.fallback", "services.a.fallback.status"]


SECRET_FILES = [
    "[eureka]\nurls = ['ftp://user:hunter2@host/']",
    "[eureka]\nurls = 'http://user:hunter2@host/'",
    "[eureka]\nurls = ['http://user:12/hunter2@host/']",
    "[eureka]\nurls = [['http://user:hunter2@host/']]",
    "[admin]\ntoken = ['hunter2']",
    "[admin]\ntoken = 'hunter2 hunter2'",
    "[admin]\ntoken = { a = 'hunter2' }",
]


@pytest.mark.parametrize("text", SECRET_FILES)
def test_a_problem_with_a_secret_does_not_repeat_it(text: str, problems_of: Problems) -> None:
    (line,) = problems_of(text)
    assert line.startswith("prana.toml:2: ")
    assert "hunter2" not in line


def test_a_file_that_is_missing_is_a_problem(tmp_path: Path) -> None:
    missing = tmp_path / "no.toml"
    with pytest.raises(ConfigError) as error:
        load(missing, {})
    assert str(error.value) == f"{missing}: cannot be read: No such file or directory; name an existing file"


def test_a_file_that_is_no_text_is_a_problem_on_the_line_of_the_bad_byte(tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(ConfigError) as error:
        load(binary, {})
    assert str(error.value) == f"{binary}:2: is not UTF-8 text, as TOML must be"


def test_a_byte_order_mark_and_crlf_do_not_matter(tmp_path: Path) -> None:
    file = tmp_path / "windows.toml"
    file.write_bytes(b"\xef\xbb\xbf[defaults]\r\n\r\ntimeout = 5\r\n")
    with pytest.raises(ConfigError, match=rf"^{file}:3: defaults.timeout: is a bare number"):
        load(file, {})


def test_an_unreadable_file_hides_no_problem_of_variables_and_adds_none(problems_of: Problems) -> None:
    lines = problems_of("x", {"PRANA_APP__NAME": "orders", "PRANA_LOG__LEVEL": "loud"})
    assert [line.split(": ")[0] for line in lines] == ["PRANA_LOG__LEVEL", "prana.toml:1"]


BAD_VARIABLES = [
    (
        "PRANA_PROXY__LISTEN",
        "5",
        'PRANA_PROXY__LISTEN: proxy.listen[0]: "5" is not an address; write host:port, such as "127.0.0.1:8078"',
    ),
    ("PRANA_PROXY__LISEN", "", "PRANA_PROXY__LISEN: unknown key; did you mean PRANA_PROXY__LISTEN?"),
    ("PRANA_PROXI__LISTEN", "", "PRANA_PROXI__LISTEN: unknown key; did you mean PRANA_PROXY__LISTEN?"),
    ("PRANA_LISTEN", "", "PRANA_LISTEN: unknown key; did you mean PRANA_PROXY__LISTEN or PRANA_ADMIN__LISTEN?"),
    ("PRANA_PORT", "8078", "PRANA_PORT: unknown key; did you mean PRANA_APP__PORT or PRANA_EUREKA__DNS__PORT?"),
    (
        "PRANA_DEFAULTS__MAX_CONCURRENT",
        "many",
        'PRANA_DEFAULTS__MAX_CONCURRENT: must be a whole number from 1 to 1000000, not "many"',
    ),
    ("PRANA_EUREKA__FETCH", "maybe", 'PRANA_EUREKA__FETCH: must be true or false, not "maybe"'),
    ("PRANA_DEFAULTS", "5", "PRANA_DEFAULTS: must be a table, not a single value or a list"),
    (
        "PRANA_DEFAULTS",
        '{"retry": {"max_retries": 99}}',
        "PRANA_DEFAULTS: defaults.retry.max_retries: is 99; allowed are 0 to 10",
    ),
    (
        "PRANA_DEFAULTS__RETRY__STATUSES",
        "502,x",
        'PRANA_DEFAULTS__RETRY__STATUSES: defaults.retry.statuses[1]: must be a whole number from 400 to 599, not "x"',
    ),
    ("PRANA_SERVICES__A__FALLBACK__JSON", "{", 'PRANA_SERVICES__A__FALLBACK__JSON: "{" is not JSON'),
    ("PRANA_APP__NAME", "orders", "PRANA_APP__NAME: app.port: is required beside an app; allowed are 1 to 65535"),
]


@pytest.mark.parametrize(("name", "value", "line"), BAD_VARIABLES)
def test_a_bad_variable_is_refused_with_exactly_this_line(
    name: str, value: str, line: str, problems_of: Problems
) -> None:
    assert problems_of("", {name: value}) == [line]


BAD_FLAGS = [
    (
        FlagValue("--listen", "proxy.listen", ("x",)),
        '--listen: proxy.listen[0]: "x" is not an address; write host:port, such as "127.0.0.1:8078"',
    ),
    (
        FlagValue("--admin-listen", "admin.listen", "8077"),
        '--admin-listen: "8077" is not an address; write host:port, such as "127.0.0.1:8078"',
    ),
    (FlagValue("--set", "log.levle", "info"), "--set log.levle: unknown key; did you mean log.level?"),
    (FlagValue("--set", "log.level", "x"), '--set log.level: is "x"; allowed are "debug", "info", "warning", "error"'),
    (FlagValue("--set", "a b", "x"), "--set: 'a b' is not a key; write section.key, such as proxy.listen"),
    (FlagValue("--set", "", "x"), "--set: '' is not a key; write section.key, such as proxy.listen"),
]


@pytest.mark.parametrize(("flag", "line"), BAD_FLAGS)
def test_a_bad_flag_is_refused_with_exactly_this_line(flag: FlagValue, line: str, problems_of: Problems) -> None:
    assert problems_of("", {}, flag) == [line]


# Any of these may stand beside any other: what is wrong with one has nothing to do with the rest.
INDEPENDENT = [
    ("log.level = 'loud'", "log.level"),
    ("admin.listen = 5", "admin.listen"),
    ("proxy.max_connections = 0", "proxy.max_connections"),
    ("eureka.zone = 1", "eureka.zone"),
    ("eureka.fetch = 1", "eureka.fetch"),
    ("defaults.timeout = 5", "defaults.timeout"),
    ("defaults.eject.base = '2m'", "defaults.eject.base"),
    ("defaults.retry.statuses = [200]", "defaults.retry.statuses[0]"),
    ("services.a.timeout = '0s'", "services.a.timeout"),
    ("services.b.fallback = {}", "services.b.fallback"),
    ("shutdown.grce = '1s'", "shutdown.grce"),
    ("app = { port = 1, name = 'a b' }", "app.name"),
]


@given(st.lists(st.sampled_from(INDEPENDENT), min_size=2, unique=True))
def test_all_independent_problems_of_a_file_are_reported_together_in_the_order_of_lines(
    problems_of: Problems, bad: list[tuple[str, str]]
) -> None:
    places = [line.split(": ")[:2] for line in problems_of("\n".join(text for text, _ in bad))]
    assert places == [[f"prana.toml:{number}", key] for number, (_, key) in enumerate(bad, 1)]


def test_problems_of_file_variables_and_flags_are_reported_together(problems_of: Problems) -> None:
    flag = FlagValue("--log-level", "log.level", "x")
    lines = problems_of("[log]\nlevel = 'y'", {"PRANA_LOG__LEVEL": "z"}, flag)
    assert [line.split(": ")[0] for line in lines] == ["PRANA_LOG__LEVEL", "--log-level", "prana.toml:2"]
