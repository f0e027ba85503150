import socket
from collections.abc import AsyncIterator

import pytest

from registry.address import hostname, is_own_address, route_address

UNREACHABLE = "http://no-such-host.invalid:8761/eureka/"


class FakeSocket:
    """Stands for a machine with two networks: 10.1/16 is reached from 10.1.0.9, 10.2/16 from 10.2.0.9."""

    def __init__(self, *_: object) -> None:
        self._own = ""

    def __enter__(self) -> "FakeSocket":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def connect(self, target: tuple[str, int]) -> None:
        routes = {"10.1.": "10.1.0.9", "10.2.": "10.2.0.9", "fe80:": "fe80::9%eth0"}
        for prefix, own in routes.items():
            if target[0].startswith(prefix):
                self._own = own
                return
        raise OSError(101, "Network is unreachable")

    def getsockname(self) -> tuple[str, int]:
        return self._own, 40000


@pytest.fixture
async def two_networks(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    def resolve(host: str, port: int, family: int, type: int, *_: int) -> list[tuple[object, ...]]:
        names = {"both": ["fe80::1", "10.2.0.1"], "second": ["10.2.0.1"]}
        return [
            (socket.AF_INET6 if ":" in ip else socket.AF_INET, type, 17, "", (ip, port))
            for ip in names.get(host, [host])
        ]

    with monkeypatch.context() as patch:  # only while the loop runs, which has sockets of its own
        patch.setattr(socket, "getaddrinfo", resolve)
        patch.setattr(socket, "socket", FakeSocket)
        yield


@pytest.mark.usefixtures("two_networks")
@pytest.mark.parametrize(
    ("urls", "address"),
    [
        (["http://10.1.0.1:8761/eureka/"], "10.1.0.9"),
        (["http://10.2.0.1:8761/eureka/"], "10.2.0.9"),
        (["http://second/eureka/"], "10.2.0.9"),
        (["http://10.3.0.1/eureka/", "http://10.2.0.1/eureka/"], "10.2.0.9"),
        (["http://10.3.0.1/eureka/"], None),
        (["http://both/eureka/"], "10.2.0.9"),
        (["http://[fe80::1]/eureka/"], "fe80::9"),
        (["nonsense"], None),
        ([], None),
    ],
)
async def test_the_address_is_that_of_the_route_towards_the_first_reachable_server(
    urls: list[str], address: str | None
) -> None:
    assert await route_address(urls) == address


async def test_a_server_on_this_machine_is_reached_over_loopback() -> None:
    assert await route_address(["http://user:secret@127.0.0.1:8761/eureka/"]) == "127.0.0.1"
    assert await route_address(["http://localhost:8761/eureka/"]) == "127.0.0.1"


async def test_a_name_that_does_not_resolve_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert await route_address([UNREACHABLE]) is None


def test_the_host_name_is_the_machines_own() -> None:
    assert hostname() == socket.gethostname()


def test_an_address_of_this_machine_is_its_own_and_others_are_not() -> None:
    assert is_own_address("127.0.0.1")
    assert not is_own_address("192.0.2.1")
    assert not is_own_address("2001:db8::1")
