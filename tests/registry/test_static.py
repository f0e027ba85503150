import pytest

from registry.instance import Instance, Status
from registry.snapshot import Snapshot
from registry.static import static_instances


def test_each_address_is_an_instance_that_can_be_called() -> None:
    v4, v6, named = static_instances("Orders", ["127.0.0.1:9001", "[::1]:9002", "host_1.internal:80"])
    assert v4 == Instance(
        app="ORDERS",
        id="127.0.0.1:9001",
        host="127.0.0.1",
        ip="127.0.0.1",
        port=9001,
        status=Status.UP,
        vips=("orders",),
    )
    assert (v6.id, v6.host, v6.ip, v6.port) == ("[::1]:9002", "::1", "::1", 9002)
    assert (named.host, named.ip, named.port) == ("host_1.internal", "host_1.internal", 80)
    assert Snapshot.of([v4, v6, named]).callable_instances("orders") == (v4, v6, named)


def test_one_with_https_is_called_by_tls_and_so_are_all_of_a_service_that_says_so() -> None:
    plain, secure = static_instances("orders", ["10.0.0.1:80", "https://[::1]:8443"])
    assert (plain.port, plain.secure) == (80, False)
    assert (secure.id, secure.host, secure.port, secure.secure_port) == ("https://[::1]:8443", "::1", 8443, 8443)
    assert secure.secure
    assert all(each.secure for each in static_instances("orders", ["10.0.0.1:80", "https://h:443"], secure=True))


@pytest.mark.parametrize(
    "address",
    [
        "",
        "host",
        "host:",
        ":80",
        "host:0",
        "host:65536",
        "host:http",
        "host:-1",
        "http://host:80",
        "https://host",
        "https://host:443/",
        "HTTPS://host:443",
        "host:80/path",
        "user@host:80",
        "::1:80",
        "[::1]",
        "[::g]:80",
        "[host]:80",
        "[]:80",
        " host:80",
        "host :80",
        "host:80\n",
        "ho\u0661st:80",
    ],
)
def test_a_wrong_address_is_named_with_what_is_allowed(address: str) -> None:
    with pytest.raises(ValueError, match="allowed: host:port") as raised:
        static_instances("orders", ["10.0.0.1:80", address])
    assert repr(address) in str(raised.value)


@pytest.mark.parametrize("port", [1, 65535])
def test_the_outermost_ports_are_allowed(port: int) -> None:
    assert static_instances("orders", [f"host:{port}"])[0].port == port


def test_an_address_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="'a:1' is listed more than once"):
        static_instances("orders", ["a:1", "b:1", "a:1"])


def test_no_addresses_are_no_instances() -> None:
    assert static_instances("orders", []) == ()
