"""The defaults are those of the documentation, and a service's policy is the defaults with its own parts."""

import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
from msgspec import structs

from prana.config import FlagValue, Loaded, load
from prana.config.settings import AppHealth, Fallback, Policy, Settings
from prana.config.shapes import branch, leaf_paths
from prana.config.show import effective
from prana.config.unavailable import NOT_AVAILABLE

Load = Callable[..., Loaded]
Problems = Callable[..., list[str]]

# The documented table of defaults, but for [app], which has none for name and port, and what is not available yet.
DOCUMENTED = """
[eureka]
urls = ["http://localhost:8761/eureka/"]
register = true
fetch = true
renewal_interval = "30s"
lease_duration = "90s"
fetch_interval = "30s"
zone = ""
ca_file = ""
cache_file = ""
allow_loopback_instances = "auto"
[eureka.dns]
domain = ""
region = "default"
scheme = "http"
port = 8761
path = "/eureka/"
[proxy]
listen = ["127.0.0.1:8078"]
default_service = ""
compat = true
max_connections = 10000
unix_mode = ""
warm_up = []
min_upload_rate = "32B"
[admin]
listen = "0.0.0.0:8077"
token = ""
[shutdown]
drain_delay = "10s"
grace = "30s"
hand_over = ""
[log]
level = "info"
format = "auto"
access = "off"
[defaults]
timeout = "10s"
attempt_timeout = "5s"
connect_timeout = "1s"
idle_timeout = "60s"
max_concurrent = 512
fallback_max_concurrent = 512
single_flight = false
websocket = false
tunnel_idle_timeout = "5m"
[defaults.balancer]
rule = "p2c-ewma"
slow_start = "10s"
subset = 0
zone_filter = "none"
[defaults.balancer.ribbon]
connection_failure_threshold = 3
trip_factor = "10s"
trip_max = "30s"
filter_circuit_tripped = true
active_connections_limit = 0
active_requests_window = "10m"
weight_interval = "30s"
retry_for = "500ms"
avoid_zone_blackout_ratio = 0.99999
avoid_zone_load = 0.2
affinity_max_blackout_ratio = 0.8
affinity_max_load = 0.6
affinity_min_available = 2
[defaults.breaker]
enabled = true
window = "10s"
request_volume = 20
error_percentage = 50
sleep_window = "5s"
mode = "eager"
health_interval = "500ms"
force = "none"
slow_call_percentage = 0
slow_call_duration = "1s"
half_open_permits = 1
ramp = "0s"
[defaults.adaptive]
enabled = false
min = 4
max = 200
initial = 20
[defaults.eject]
enabled = true
consecutive_failures = 7
min_success_ratio = 0.8
min_requests = 5
window = "10s"
base = "1s"
max = "60s"
max_ejected_percent = 50
panic_percent = 50
shadow = false
[defaults.eject.consecutive]
enabled = true
shadow = false
[defaults.eject.success_ratio]
enabled = true
shadow = false
[defaults.eject.refused]
enabled = true
shadow = false
[defaults.eject.latency]
enabled = false
shadow = false
deviations = 5.0
min_samples = 20
min_nodes = 5
floor = "50ms"
[defaults.hedge]
enabled = false
percentile = 95
min_delay = "10ms"
[defaults.retry]
enabled = true
max_retries = 2
same_node_retries = 0
methods = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]
idempotency_key = true
backoff = "25ms"
max_backoff = "250ms"
max_retry_after = "2s"
budget_ratio = 0.2
budget_floor_per_s = 10
statuses = [502, 503, 504]
replay_bytes = "64KiB"
[defaults.tls]
mode = "auto"
ca_file = ""
cert_file = ""
key_file = ""
verify = true
server_name = ""
"""


def test_every_default_is_the_documented_one(load_text: Load) -> None:
    assert load_text(DOCUMENTED).settings == Settings() == load(None, {}).settings


def test_the_table_of_defaults_leaves_no_available_key_out(load_text: Load) -> None:
    loaded = load_text(DOCUMENTED)
    assert [path for path, _, place in effective(loaded) if place == "default"] == []


def test_the_app_has_the_documented_defaults(load_text: Load) -> None:
    (app,) = load_text("[app]\nname = 'orders'\nport = 5000").settings.apps
    assert (app.hostname, app.ip, app.prefer_ip, app.instance_id, app.vip) == ("", "", False, "", "")
    assert (app.secure_port, app.metadata, app.data_center) == (0, {}, "MyOwn")
    assert (app.health_check_url, app.status_page_url, app.home_page_url) == ("", "", "")
    assert app.health == AppHealth(
        url="",
        command=(),
        interval=10.0,
        timeout=1.0,
        rise=1,
        fall=3,
        statuses=frozenset(range(200, 300)),
        max_changes=10,
        window=300.0,
    )


@pytest.mark.parametrize(
    ("text", "registers"),
    [
        ("", False),
        ("[app]\nname = 'a'\nport = 1", True),
        ("[app]\nport = 1\n[eureka]\nurls = []", False),
        ("[app]\nport = 1\n[eureka]\nregister = false", False),
    ],
)
def test_an_app_is_registered_unless_nothing_asks_for_it(text: str, registers: bool, load_text: Load) -> None:
    assert load_text(text).settings.registers is registers


def test_a_service_overrides_any_part_and_inherits_the_rest(load_text: Load) -> None:
    text = """
    defaults.timeout = "3s"
    defaults.retry.max_retries = 1
    [services.Orders]
    retry.budget_ratio = 0.5
    breaker.enabled = false
    """
    settings = load_text(text).settings
    policy = settings.policy_for("ORDERS")
    assert policy is settings.services["orders"]
    assert (policy.timeout, policy.attempt_timeout) == (3.0, 5.0)
    assert (policy.retry.max_retries, policy.retry.budget_ratio) == (1, 0.5)
    assert (policy.breaker.enabled, policy.breaker.request_volume) == (False, 20)


def test_a_service_without_a_table_has_the_defaults(load_text: Load) -> None:
    settings = load_text("defaults.timeout = '3s'\n[services.a]\ntimeout = '1s'").settings
    policy = settings.policy_for("other")
    assert {name: getattr(policy, name) for name in Policy.__struct_fields__} == {
        name: getattr(settings.defaults, name) for name in Policy.__struct_fields__
    }
    assert (policy.instances, policy.fallback) == ((), ())


def test_a_fallback_has_its_content_and_the_type_that_fits() -> None:
    assert (Fallback(json={"a": []}).content, Fallback(json={}).media_type) == (b'{"a":[]}', "application/json")
    assert (Fallback(json=None).content, Fallback(body="").content) == (b"null", b"")
    assert Fallback(body="é").content == "é".encode()
    assert Fallback(body="").media_type == "text/plain; charset=utf-8"
    assert Fallback(body="", content_type="text/html").media_type == "text/html"


WARNINGS = [
    ("[defaults]\nattempt_timeout = '11s'", "defaults.attempt_timeout: is 11s, which never ends before timeout (10s)"),
    (
        "[services.a]\nconnect_timeout = '11s'",
        "services.a.connect_timeout: is 11s, which never ends before timeout (10s)",
    ),
    (
        "[app]\nname = 'a'\nport = 8078",
        "app.port: is 8078, which is also a port of Prana itself (127.0.0.1:8078); the app needs its own",
    ),
    (
        "[services.a]\n[eureka]\nfetch = false",
        "services.a: has no instances, and no registry is read; every call will be refused",
    ),
    (
        "[eureka]\nzone = 'c'\nzones = { a = ['http://a/'], b = ['http://b/'] }",
        "eureka.zone: is c, which has no servers in eureka.zones; given are a, b",
    ),
    (
        "[services.a.breaker]\nenabled = false\nforce = 'open'",
        "services.a.breaker.force: has no effect, for the breaker is not enabled",
    ),
    (
        "[services.a]\nmax_concurrent = 9\nadaptive.enabled = true",
        "services.a.max_concurrent: has no effect, for adaptive is enabled",
    ),
]


@pytest.mark.parametrize(("text", "warning"), WARNINGS)
def test_what_is_odd_but_possible_is_a_warning(text: str, warning: str, load_text: Load) -> None:
    (found,) = load_text(text).warnings
    assert str(found).endswith(warning)


def test_a_service_that_only_shortens_its_timeout_is_not_warned_about(load_text: Load) -> None:
    assert load_text("[services.a]\ntimeout = '800ms'").warnings == []


def test_ports_that_the_system_chooses_do_not_collide(load_text: Load) -> None:
    assert load_text("[proxy]\nlisten = ['127.0.0.1:0', '127.0.0.1:0']\n[admin]\nlisten = '127.0.0.1:0'").warnings == []


def test_the_same_port_of_different_hosts_does_not_collide(load_text: Load) -> None:
    listen = load_text("[proxy]\nlisten = ['127.0.0.1:80', '127.0.0.2:80', '[::1]:80', 'unix:/a', 'unix:/b']")
    assert len(listen.settings.proxy.listen) == 5


def test_zero_is_allowed_where_it_means_none(load_text: Load) -> None:
    text = """
    app = { name = "a", port = 1, secure_port = 0 }
    shutdown = { drain_delay = "0s", grace = "0s" }
    [defaults]
    eject = { min_success_ratio = 0, max_ejected_percent = 0 }
    retry = { max_retries = 0, budget_ratio = 0, budget_floor_per_s = 0, statuses = [], replay_bytes = "0B" }
    """
    settings = load_text(text).settings
    assert (settings.shutdown.grace, settings.defaults.eject.max_ejected_percent) == (0.0, 0)
    assert settings.defaults.retry.statuses == frozenset()


def starter() -> str:
    return resources.files("prana.config").joinpath("starter.toml").read_text()


def test_the_starter_file_loads_cleanly(load_text: Load) -> None:
    loaded = load_text(starter())
    assert loaded.warnings == []
    assert loaded.settings.registers


def test_the_starter_file_names_every_setting_there_is() -> None:
    table, named = "", set()
    for line in starter().splitlines():
        if found := re.match(r"(?:# )?\[+([a-z_.]+)\]", line):
            table = found[1]
        elif found := re.match(r"(?:# )?([a-z_.]+) = ", line):
            named.add(f"{table}.{found[1]}")
    known = {".".join(path) for path in leaf_paths(branch(Settings))}
    assert known - named == {key.partition("=")[0] for key in NOT_AVAILABLE}


def test_what_the_starter_file_comments_out_loads_cleanly_too_and_shows_the_defaults(load_text: Load) -> None:
    lines = [
        line.removeprefix("# ") if " = " in line or line.startswith("# [") else line for line in starter().splitlines()
    ]
    loaded = load_text("\n".join(lines))
    assert loaded.warnings == []
    settings = loaded.settings
    assert structs.replace(settings.apps[0].health, url="") == AppHealth()
    assert list(settings.eureka.zones) == ["eu-west-1a", "eu-west-1b"]
    eureka = structs.replace(settings.eureka, zones={})
    assert (settings.defaults, eureka, settings.proxy, settings.admin, settings.log, settings.shutdown) == (
        Policy(), Settings().eureka, Settings().proxy, Settings().admin, Settings().log, Settings().shutdown
    )  # fmt: skip


def test_a_health_command_is_a_list_of_arguments(load_text: Load) -> None:
    app = "[app]\nname = 'a'\nport = 1\n"
    (written,) = load_text(app + """health.command = ["sh", "-c", "a,b\\nc", ""]""").settings.apps
    assert written.health.command == ("sh", "-c", "a,b\nc", "")
    (single,) = load_text(app, {"PRANA_APP__HEALTH__COMMAND": "./check.sh"}).settings.apps
    assert single.health.command == ("./check.sh",)
    (as_json,) = load_text(app, {"PRANA_APP__HEALTH__COMMAND": '["./check.sh", "a,b"]'}).settings.apps
    assert as_json.health.command == ("./check.sh", "a,b")


# which Eureka servers

LOCAL = "http://localhost:8761/eureka/"


@pytest.mark.parametrize(
    ("text", "plain", "everything", "configured"),
    [
        ("", (LOCAL,), (LOCAL,), True),
        ("urls = []", (), (), False),
        ("zones = { a = ['http://a/', 'http://b/'] }", (), ("http://a/", "http://b/"), True),
        ("urls = ['http://x/']\nzones = { a = ['http://a/'] }", ("http://x/",), ("http://x/", "http://a/"), True),
        ("zones = { a = ['http://a/'], b = ['http://a/'] }", (), ("http://a/",), True),
        ("dns = { domain = 'example.com' }", (), (), True),
        ("urls = []\nzones = { a = [] }", (), (), False),
    ],
)
def test_the_default_server_gives_way_to_zones_and_dns(
    text: str, plain: tuple[str, ...], everything: tuple[str, ...], configured: bool, load_text: Load
) -> None:
    eureka = load_text(f"[eureka]\n{text}").settings.eureka
    assert (eureka.plain_urls, eureka.all_urls, eureka.configured) == (plain, everything, configured)


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("", ""),
        ("[app]\nname = 'a'\nport = 1\nmetadata = { zone = 'm' }", "m"),
        ("[app]\nname = 'a'\nport = 1\nmetadata = { zone = 'm' }\n[eureka]\nzone = 'z'", "z"),
        ("[eureka]\nzone = 'z'", "z"),
    ],
)
def test_the_own_zone_is_that_of_eureka_or_of_the_first_app(text: str, zone: str, load_text: Load) -> None:
    assert load_text(text).settings.own_zone == zone


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_ca_file_that_cannot_be_used_is_refused(content: str | None, problems_of: Problems, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    (line,) = problems_of(f"[eureka]\nca_file = '{file}'")
    reason = "cannot be read (No such file or directory)" if content is None else "holds no certificate"
    allowed = "allowed is a PEM file with the certificates of authorities"
    assert line == f"prana.toml:2: eureka.ca_file: {file} {reason}; {allowed}"


def test_a_ca_file_with_a_certificate_is_fine(load_text: Load) -> None:
    file = Path(__file__).parents[1] / "tls" / "authority.pem"
    assert load_text(f"[eureka]\nca_file = '{file}'").settings.eureka.ca_file == str(file)


def test_properties_have_any_name_and_any_text(load_text: Load) -> None:
    loaded = load_text('[properties]\n"a.b" = "1"\nC = "two\\nlines"', {"PRANA_PROPERTIES__LOG_LEVEL": "debug"})
    assert loaded.settings.properties == {"a.b": "1", "C": "two\nlines", "log_level": "debug"}
    assert load_text("", {"PRANA_PROPERTIES": '{"a.B": "1"}'}).settings.properties == {"a.B": "1"}
    flag = FlagValue("--set", 'properties."a.b"', "2")
    assert load_text('[properties]\n"a.b" = "1"', {}, flag).settings.properties == {"a.b": "2"}


def test_a_property_shows_no_credentials(load_text: Load) -> None:
    loaded = load_text('[properties]\ndb = "postgres://user:hunter2@host/"')
    shown = {path: value for path, value, _ in effective(loaded)}
    assert shown[("properties", "db")] == "postgres://***@host/"


def test_a_service_that_an_endpoint_hides_is_a_warning(load_text: Load) -> None:
    text = "[services.Status]\ninstances = ['127.0.0.1:1']\n[services.other]\ninstances = ['127.0.0.1:1']\n"
    (found,) = load_text(text).warnings
    assert found.origin.key == "services.Status"
    assert "is not reached by /status, " in found.message
    assert load_text(text + "[proxy]\ncompat = false").warnings == []
