"""`[defaults.tls]` and `[services.NAME.tls]`: what cannot be used is refused before anything is called."""

from collections.abc import Callable
from pathlib import Path

import pytest

from prana.config import Loaded
from prana.config.settings import Tls

Load = Callable[..., Loaded]
Problems = Callable[..., list[str]]
TLS = Path(__file__).parents[1] / "tls"
CLIENT, STRANGER, OURS = TLS / "client.pem", TLS / "stranger.pem", TLS / "ours-authority.pem"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys and certificates apart, and what is neither."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = CLIENT.read_text().split("-----BEGIN CERTIFICATE-----")
    (folder / "key.pem").write_text(key)
    (folder / "cert.pem").write_text(f"-----BEGIN CERTIFICATE-----{certificate}")
    (folder / "text.pem").write_text("text")
    (folder / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n" + key)
    (folder / "encrypted.pem").write_text(key.replace("PRIVATE", "ENCRYPTED PRIVATE"))
    return folder


def test_usable_files_are_taken(load_text: Load, files: Path) -> None:
    text = f"""
    [defaults.tls]
    ca_file = '{OURS}'
    cert_file = '{CLIENT}'
    [services.orders.tls]
    mode = "always"
    cert_file = '{files / "cert.pem"}'
    key_file = '{files / "key.pem"}'
    server_name = "orders.internal"
    """
    loaded = load_text(text)
    assert loaded.warnings == []
    assert loaded.settings.policy_for("users").tls == Tls(ca_file=str(OURS), cert_file=str(CLIENT))
    orders = loaded.settings.policy_for("orders").tls
    assert (orders.mode, orders.ca_file, orders.server_name) == ("always", str(OURS), "orders.internal")


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        (
            "ca_file = 'FILES/none.pem'",
            "ca_file",
            "FILES/none.pem cannot be read (No such file or directory); allowed is a PEM",
        ),
        (
            "ca_file = 'FILES/text.pem'",
            "ca_file",
            "FILES/text.pem holds no certificate; allowed is a PEM file with the",
        ),
        (
            "cert_file = 'FILES/none.pem'",
            "cert_file",
            "FILES/none.pem cannot be read (No such file or directory); allowed is",
        ),
        ("cert_file = 'FILES'", "cert_file", "FILES cannot be read (Is a directory); allowed is a PEM file"),
        (
            "cert_file = 'FILES/text.pem'",
            "cert_file",
            "FILES/text.pem holds no certificate; allowed is a PEM file with one",
        ),
        (
            "cert_file = 'FILES/cert.pem'",
            "cert_file",
            "FILES/cert.pem holds no private key; give key_file, or a PEM file with",
        ),
        (
            "cert_file = 'FILES/broken.pem'",
            "cert_file",
            "FILES/broken.pem with the key of FILES/broken.pem cannot be used (",
        ),
        (
            "cert_file = 'FILES/cert.pem'\nkey_file = 'FILES/text.pem'",
            "key_file",
            "FILES/text.pem holds no private key; allowed is a PEM file with one",
        ),
        (
            "cert_file = 'FILES/cert.pem'\nkey_file = 'FILES/none.pem'",
            "key_file",
            "FILES/none.pem cannot be read (No such file or directory); allowed is a PEM file",
        ),
        (
            f"cert_file = 'FILES/cert.pem'\nkey_file = '{STRANGER}'",
            "key_file",
            f"{STRANGER} holds the key of another certificate than FILES/cert.pem",
        ),
        (
            "cert_file = 'FILES/cert.pem'\nkey_file = 'FILES/encrypted.pem'",
            "key_file",
            "FILES/encrypted.pem holds an encrypted key; allowed is one without a password",
        ),
        (
            "key_file = 'FILES/key.pem'",
            "key_file",
            "is given without cert_file; allowed are both, or cert_file with the",
        ),
        ("mode = 'on'", "mode", 'is "on"; allowed are "auto", "always", "never"'),
        ("server_name = 'a b'", "server_name", 'is "a b"; allowed is a host name'),
    ],
)
@pytest.mark.parametrize("table", ["defaults", "services.orders"])
def test_what_cannot_be_used_is_named_on_one_line(
    table: str, text: str, key: str, message: str, problems_of: Problems, files: Path
) -> None:
    lines = text.replace("FILES", str(files)).splitlines()
    line = next(number for number, written in enumerate(lines, 2) if written.startswith(key))
    (problem,) = problems_of("\n".join([f"[{table}.tls]", *lines]))
    assert problem.startswith(f"prana.toml:{line}: {table}.tls.{key}: {message}".replace("FILES", str(files)))


@pytest.mark.parametrize(
    ("wrong", "service"),
    [("ca_file", "verify = true"), ("ca_file", f"cert_file = '{CLIENT}'"), ("cert_file", "mode = 'always'")],
)
def test_a_service_does_not_repeat_what_is_wrong_with_the_defaults(
    wrong: str, service: str, problems_of: Problems
) -> None:
    text = f"[defaults.tls]\n{wrong} = '/none'\n[services.a.tls]\n{service}"
    assert [line.split(": ")[1] for line in problems_of(text)] == [f"defaults.tls.{wrong}"]


def test_a_key_that_is_inherited_must_fit_all_the_same(problems_of: Problems, files: Path) -> None:
    text = f"[defaults.tls]\ncert_file = '{CLIENT}'\n[services.a.tls]\nkey_file = '{STRANGER}'"
    assert [line.split(": ")[1] for line in problems_of(text)] == ["services.a.tls.key_file"]
    text = (
        f"[defaults.tls]\ncert_file = '{files}/cert.pem'\nkey_file = '{files}/key.pem'\n"
        f"[services.a.tls]\ncert_file = '{STRANGER}'"
    )
    assert [line.split(": ")[1] for line in problems_of(text)] == ["services.a.tls.cert_file"]


def test_not_to_verify_is_possible_and_warned_of_where_it_is_written(load_text: Load) -> None:
    loaded = load_text("[defaults.tls]\nverify = false\n[services.a]\ntimeout = '1s'")
    (warning,) = loaded.warnings
    assert str(warning).endswith(
        ":2: defaults.tls.verify: is false, so that whoever answers at an instance's address is believed; "
        "better name its ca_file"
    )
    assert load_text("[services.a.tls]\nverify = true").warnings == []


def test_an_instance_may_be_written_with_https(load_text: Load) -> None:
    orders = load_text("services.orders.instances = ['https://h:8443', 'h:80', 'https://[::1]:443']").settings
    instances = orders.policy_for("orders").instances
    assert [(each.host, each.port, each.secure) for each in instances] == [
        ("h", 8443, True),
        ("h", 80, False),
        ("::1", 443, True),
    ]
    assert [str(each) for each in instances] == ["https://h:8443", "h:80", "https://[::1]:443"]


@pytest.mark.parametrize("address", ["http://h:80", "https://h:443/", "h:80/", "ftp://h:21"])
def test_but_not_with_another_scheme_or_a_path(address: str, problems_of: Problems) -> None:
    (line,) = problems_of(f"services.a.instances = ['{address}']")
    allowed = "allowed is host:port, or https://host:port for TLS"
    assert line == f'prana.toml:1: services.a.instances[0]: is "{address}"; {allowed}'


def test_https_where_tls_is_never_used_is_a_contradiction(problems_of: Problems) -> None:
    (line,) = problems_of("[services.a]\ninstances = ['https://h:443']\ntls.mode = 'never'")
    assert line == (
        "prana.toml:2: services.a.instances: has https://, but tls.mode never calls by TLS; leave out one of them"
    )
