"""The Eureka side as the settings ask for it."""

from pathlib import Path
from random import Random

import pytest

from prana.config.settings import App, Eureka, EurekaDns, Settings
from prana.registry_client import RegistryClient
from prana.startup import StartupError
from registry.server_url import Server

A, B, PLAIN = "http://a/eureka/", "http://b/eureka/", "http://user:canary@plain/eureka/"
AUTHORITY = Path(__file__).parents[1] / "tls" / "authority.pem"


def client(eureka: Eureka, *apps: App, seed: int = 1) -> RegistryClient:
    settings = Settings(apps=apps, eureka=eureka)
    return RegistryClient(settings, lambda: (8078,), clock=lambda: 0.0, rng=Random(seed))


def servers(made: RegistryClient) -> tuple[str, ...]:
    assert made.transport is not None
    return made.transport.servers


def test_without_servers_there_is_nothing_to_do() -> None:
    made = client(Eureka(urls=()))
    assert (made.transport, made.discovery, made.loops()) == (None, None, [])


def test_a_registry_that_is_not_to_be_read_has_a_transport_only() -> None:
    made = client(Eureka(fetch=False))
    assert made.transport is not None
    assert (made.discovery, made.loops()) == (None, [])


@pytest.mark.parametrize("seed", range(5))
def test_the_servers_of_the_own_zone_come_first(seed: int) -> None:
    eureka = Eureka(urls=(PLAIN,), zones={"a": (A,), "b": (B,)}, zone="b")
    first, *rest = servers(client(eureka, seed=seed))
    assert first == B
    assert sorted(rest) == ["http://***@plain/eureka/", A]


@pytest.mark.parametrize("seed", range(5))
def test_the_zone_of_the_app_is_the_default(seed: int) -> None:
    app = App(name="a", port=1, metadata={"zone": "a"})
    assert servers(client(Eureka(zones={"a": (A,), "b": (B,)}), app, seed=seed)) == (A, B)


def test_servers_of_the_dns_join_those_of_the_configuration() -> None:
    made = client(Eureka(zones={"a": (A,)}, zone="b", dns=EurekaDns(domain="example.com")))
    assert servers(made) == (A,)
    made._found({"b": [Server.parse(B)], "a": [Server.parse("http://a2/")]})
    first, *rest = servers(made)
    assert (first, sorted(rest)) == (B, [A, "http://a2/"])


def test_a_ca_file_is_used_and_one_that_cannot_be_keeps_it_from_starting() -> None:
    made = client(Eureka(ca_file=str(AUTHORITY)))
    assert made.transport is not None
    assert made.transport._tls is not None
    assert made.transport._tls.get_ca_certs()
    with pytest.raises(StartupError, match=r"eureka\.ca_file: /nowhere cannot be read"):
        client(Eureka(ca_file="/nowhere"))


@pytest.mark.parametrize(
    ("eureka", "allowed"),
    [
        (Eureka(), True),
        (Eureka(urls=(A,)), False),
        (Eureka(urls=(A,), allow_loopback_instances="always"), True),
        (Eureka(allow_loopback_instances="never"), False),
        (Eureka(urls=("http://localhost:1/",), dns=EurekaDns(domain="example.com")), False),
    ],
)
def test_loopback_may_be_dialled_as_the_settings_say(eureka: Eureka, allowed: bool) -> None:
    assert client(eureka).may_dial("name", "127.0.0.1", 80) is allowed


def test_an_address_that_may_not_be_dialled_is_noted() -> None:
    made = client(Eureka())
    assert not made.may_dial("evil", "169.254.169.254", 80)
    assert made.may_dial("good", "10.0.0.1", 80)
    assert made.discovery is not None
    assert made.discovery.refusals.total == {"metadata": 1}
