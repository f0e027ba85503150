from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.instance import Instance
from registry.trust import Reason, Trust, is_loopback_host, trusts_loopback

GOOD = Instance(app="ORDERS", id="o-1", host="orders-1.internal", ip="10.0.0.7", port=80, vips=("orders",))
OWN_IP, PROXY, ADMIN = "10.0.0.9", 8078, 8077


def trust(*, loopback: bool = False) -> Trust:
    return Trust(loopback=loopback, own_ports=lambda: {PROXY, ADMIN}, is_own=lambda ip: ip == OWN_IP)


NEVER = [
    ("169.254.169.254", Reason.METADATA),
    ("fd00:ec2::254", Reason.METADATA),
    ("fd00:ec2::254%eth0", Reason.METADATA),
    ("100.100.100.200", Reason.METADATA),
    ("168.63.129.16", Reason.METADATA),
    ("169.254.0.1", Reason.LINK_LOCAL),
    ("fe80::1", Reason.LINK_LOCAL),
    ("fe80::1%eth0", Reason.LINK_LOCAL),
    ("0.0.0.0", Reason.UNSPECIFIED),
    ("0.1.2.3", Reason.UNSPECIFIED),
    ("::", Reason.UNSPECIFIED),
    ("224.0.0.1", Reason.MULTICAST),
    ("ff02::1", Reason.MULTICAST),
    ("255.255.255.255", Reason.BROADCAST),
    ("::ffff:169.254.169.254", Reason.METADATA),
    ("::ffff:a9fe:1", Reason.LINK_LOCAL),
    ("::169.254.169.254", Reason.METADATA),
    ("64:ff9b::169.254.169.254", Reason.METADATA),
    ("2002:a9fe:a9fe::1", Reason.METADATA),
    ("::ffff:0.0.0.0", Reason.UNSPECIFIED),
]
LOOPBACK = ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1"]
FINE = ["10.0.0.7", "192.168.1.1", "8.8.8.8", "2001:db8::1", "fd12:3456::1", "::ffff:10.0.0.7", "100.64.0.1"]


@pytest.mark.parametrize("loopback", [False, True])
@pytest.mark.parametrize(("ip", "reason"), NEVER)
def test_what_no_instance_can_have_is_refused_as_host_and_as_ip(ip: str, reason: Reason, loopback: bool) -> None:
    policy = trust(loopback=loopback)
    assert policy.address_refusal(ip, 80) is reason
    assert policy.refusal(replace(GOOD, host=ip)) is reason
    assert policy.refusal(replace(GOOD, ip=ip)) is reason


def test_the_secure_port_and_the_secure_vip_are_judged_too() -> None:
    assert trust().refusal(replace(GOOD, host=OWN_IP, secure_port=PROXY)) is Reason.OWN_PORT
    assert trust().refusal(replace(GOOD, host=OWN_IP, secure_port=443)) is None
    assert trust().refusal(replace(GOOD, port=0, secure_port=443)) is None
    assert trust().refusal(replace(GOOD, secure_vips=("a\nb",))) is Reason.MALFORMED


@pytest.mark.parametrize("ip", LOOPBACK)
def test_loopback_is_refused_unless_allowed(ip: str) -> None:
    assert trust().refusal(replace(GOOD, host=ip)) is Reason.LOOPBACK
    assert trust(loopback=True).refusal(replace(GOOD, host=ip)) is None
    assert trust().refusal(replace(GOOD, ip=ip)) is None, "beside a name it is not called by"
    assert trust().address_refusal(ip, 80) is Reason.LOOPBACK, "and not dialled either"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "a.localhost"])
def test_names_of_loopback_are_loopback(host: str) -> None:
    assert trust().refusal(replace(GOOD, host=host)) is Reason.LOOPBACK
    assert trust(loopback=True).refusal(replace(GOOD, host=host)) is None


@pytest.mark.parametrize("ip", FINE)
def test_other_addresses_are_fine(ip: str) -> None:
    assert trust().refusal(replace(GOOD, host=ip)) is None
    assert trust().refusal(replace(GOOD, ip=ip)) is None
    assert trust().address_refusal(ip, 80) is None


@pytest.mark.parametrize("port", [PROXY, ADMIN])
@pytest.mark.parametrize("ip", [OWN_IP, f"::ffff:{OWN_IP}", "127.0.0.1", "::1"])
def test_our_own_ports_are_refused_even_where_loopback_is_allowed(ip: str, port: int) -> None:
    policy = trust(loopback=True)
    assert policy.refusal(replace(GOOD, host=ip, port=port)) is Reason.OWN_PORT
    assert policy.refusal(replace(GOOD, ip=ip, port=port)) is Reason.OWN_PORT
    assert policy.address_refusal(ip, port) is Reason.OWN_PORT
    assert policy.refusal(replace(GOOD, host=ip, port=port + 10)) is None
    assert policy.refusal(replace(GOOD, host="10.0.0.8", port=port)) is None, "another machine's"


def test_an_instance_without_any_port_is_refused_and_one_with_a_secure_port_just_not_callable() -> None:
    assert trust().refusal(replace(GOOD, port=0)) is Reason.NO_PORT
    assert trust().refusal(replace(GOOD, port=0, secure_port=443)) is None


@pytest.mark.parametrize("field", ["app", "id", "host", "ip"])
@pytest.mark.parametrize("text", ["a\r\nX: y", "a\x00", "a\x1b[31m", "a\u2028b", "a\u202eb"])
def test_control_characters_are_refused_everywhere(field: str, text: str) -> None:
    assert trust().refusal(replace(GOOD, **{field: text})) is Reason.MALFORMED  # type: ignore[arg-type] # all are texts
    assert trust().refusal(replace(GOOD, vips=("a", text))) is Reason.MALFORMED


@pytest.mark.parametrize(
    "host", ["", "a b", "a/b", "user@host", "http://x", "a:80", "-a", ".", "é", "a" * 254, "[::1]"]
)
def test_a_host_that_is_no_host_is_refused(host: str) -> None:
    assert trust().refusal(replace(GOOD, host=host)) is Reason.MALFORMED


@pytest.mark.parametrize("host", ["a", "a-b.c_d.", "xn--bcher-kva.example", "1.example", "a" * 253])
def test_host_names_are_fine(host: str) -> None:
    assert trust().refusal(replace(GOOD, host=host)) is None


@pytest.mark.parametrize("host", ["metadata", "Metadata.Google.Internal", "metadata.google.internal.", "instance-data"])
def test_names_of_metadata_services_are_refused(host: str) -> None:
    assert trust().refusal(replace(GOOD, host=host)) is Reason.METADATA


def test_an_odd_ip_beside_a_good_name_is_not_looked_at() -> None:
    assert trust().refusal(replace(GOOD, ip="not-an-ip")) is None
    assert trust().address_refusal("not-an-ip", 80) is Reason.MALFORMED


@given(st.ip_addresses(), st.integers(0, 65535), st.booleans())
def test_the_policy_has_an_answer_for_every_address(address: object, port: int, loopback: bool) -> None:
    policy = trust(loopback=loopback)
    assert policy.refusal(replace(GOOD, host=str(address), port=port or 1)) == policy.address_refusal(
        str(address), port or 1
    )


HERE, THERE = "http://localhost:8761/eureka/", "http://eureka.internal:8761/eureka/"


@pytest.mark.parametrize(
    ("setting", "urls", "trusted"),
    [
        ("always", [THERE], True),
        ("never", [HERE], False),
        ("auto", [HERE], True),
        ("auto", ["http://u:p@127.0.0.1/", "https://[::1]:1/"], True),
        ("auto", [THERE], False),
        ("auto", [HERE, THERE], False),
        ("auto", [], False),
    ],
)
def test_loopback_is_trusted_while_eureka_is_on_loopback(setting: str, urls: Iterable[str], trusted: bool) -> None:
    assert trusts_loopback(setting, urls) is trusted


def test_a_loopback_host_is_one_by_address_or_name() -> None:
    assert [is_loopback_host(host) for host in ("127.1.2.3", "LocalHost.", "10.0.0.1", "")] == [
        True,
        True,
        False,
        False,
    ]
