"""What clients of Netflix Prana and Spring Cloud Netflix Sidecar parse, and what parameters must not let through."""

from urllib.parse import quote, quote_plus

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.views import AppView
from prana.compat import (
    healthy,
    host_names,
    parameters,
    properties,
    proxied,
    required,
    service_instance,
    single,
    status,
)
from prana.errors import BadRequest
from registry.instance import Instance, Status


def app(status: Status, healthy: bool | None = True) -> AppView:
    return AppView("orders", status.value, healthy, "", "", None, "h", 1)


def instance(host: str = "h1", **fields: object) -> Instance:
    given: dict[str, object] = {"app": "ORDERS", "id": "i1", "ip": "10.0.0.1", "port": 8080} | fields
    return Instance(host=host, **given)  # type: ignore[arg-type] # fields of an Instance


# parameters


def test_parameters_are_decoded_once_and_kept_in_order() -> None:
    assert parameters(b"id=a%2525&id=b+c&&x&y=&%69d=d=e") == {
        "id": [b"a%25", b"b c", b"d=e"],
        "x": [b""],
        "y": [b""],
    }


@given(st.dictionaries(st.text(min_size=1), st.lists(st.text(), min_size=1)))
def test_what_a_form_encodes_is_read_back(form: dict[str, list[str]]) -> None:
    query = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, values in form.items() for value in values)
    assert parameters(query.encode()) == {name: [value.encode() for value in values] for name, values in form.items()}


def test_a_parameter_that_is_missing_ambiguous_or_no_text_is_refused() -> None:
    assert single(parameters(b""), "vip") == b""
    with pytest.raises(BadRequest, match="vip is given more than once"):
        single(parameters(b"vip=a&vip=a"), "vip")
    for query in (b"", b"appName", b"appName="):
        with pytest.raises(BadRequest, match=r"^appName has to be specified$"):
            required(parameters(query), "appName")
    for query in (b"appName=%ff", b"%ff=1"):
        with pytest.raises(BadRequest, match="UTF-8"):
            required(parameters(query), "appName")


# /proxy


@given(st.text(alphabet=[chr(code) for code in range(0x21, 0x7F) if chr(code) not in "\\#"]))
def test_a_path_arrives_as_it_was_before_it_was_encoded(rest: str) -> None:
    path = "/" + rest
    for encode in (quote_plus, lambda text: quote(text, safe="")):
        assert proxied(parameters(f"vip=orders&path={encode(path)}".encode())) == (b"orders", path.encode())


def test_a_path_may_be_left_out_but_not_the_vip() -> None:
    assert proxied(parameters(b"vip=orders")) == proxied(parameters(b"path=&vip=orders")) == (b"orders", b"/")
    for query in (b"", b"path=/a", b"vip=&path=/a"):
        with pytest.raises(BadRequest, match="vip has to be specified"):
            proxied(parameters(query))


@pytest.mark.parametrize(
    "path",
    [
        b"%2Fa%0D%0AX-Evil:%201",
        b"/a%0A",
        b"/a%00",
        b"/a%20b",
        b"/a+b",
        b"/a%09",
        b"/a%C3%A9",
        b"/a%5Cb",
        b"/a%23b",
        b"/a%7F",
        b"a",
        b"http://169.254.169.254/",
        b"http%3A%2F%2Fevil%2F",
        b"*",
        b"?a=b",
        b"@evil/",
    ],
)
def test_nothing_slips_into_the_request_line_by_a_path(path: bytes) -> None:
    with pytest.raises(BadRequest, match="path, decoded once, must start with /"):
        proxied(parameters(b"vip=orders&path=" + path))


def test_an_ambiguous_destination_is_refused() -> None:
    for query in (b"vip=a&vip=b&path=/", b"vip=a&path=/a&path=/b"):
        with pytest.raises(BadRequest, match="more than once"):
            proxied(parameters(query))


# /healthcheck, /status, /dynamicproperties


def test_one_app_that_is_not_known_to_be_well_makes_all_ill() -> None:
    assert healthy([])
    assert healthy([app(Status.UP), app(Status.UP)])
    assert not healthy([app(Status.UP), app(Status.DOWN, healthy=False)])
    assert not healthy([app(Status.STARTING, healthy=None)])


@pytest.mark.parametrize(
    ("statuses", "draining", "told"),
    [
        ([Status.UP], False, "UP"),
        ([Status.STARTING], False, "STARTING"),
        ([Status.UP, Status.STARTING], False, "STARTING"),
        ([Status.STARTING, Status.DOWN, Status.UP], False, "DOWN"),
        ([Status.UP], True, "OUT_OF_SERVICE"),
        ([Status.DOWN], True, "OUT_OF_SERVICE"),
        ([], False, "UNKNOWN"),
    ],
)
def test_the_status_is_what_eureka_is_told_about_the_worst(statuses: list[Status], draining: bool, told: str) -> None:
    assert status([app(each) for each in statuses], draining=draining) == {"status": told}


def test_a_property_that_is_not_set_is_null() -> None:
    values = {"a": "1"}
    assert properties([b"a", b"caf\xc3\xa9", b"a"], values.get) == {"a": "1", "café": None}
    assert properties([], values.get) == {}
    with pytest.raises(BadRequest):
        properties([b"\xff"], values.get)


# hosts


def test_host_names_are_those_whose_vip_contains_the_one_asked_for() -> None:
    instances = [instance("a", vips=("orders", "orders-v2")), instance("b", vips=("other",)), instance("c")]
    assert host_names(instances, "") == ["a", "b", "c"]
    assert host_names(instances, "ORDERS-V") == ["a"]
    assert host_names(instances, "nobody") == []


def test_an_instance_looks_as_spring_shows_it() -> None:
    shown = service_instance(
        instance(vips=("orders", "all"), secure_vips=("s",), metadata={"zone": "a"}, last_dirty_ms=1, last_updated_ms=2)
    )
    assert shown == {
        "host": "h1",
        "port": 8080,
        "uri": "http://h1:8080",
        "serviceId": "ORDERS",
        "secure": False,
        "metadata": {"zone": "a"},
        "scheme": "http",
        "instanceId": "i1",
        "instanceInfo": {
            "instanceId": "i1",
            "app": "ORDERS",
            "ipAddr": "10.0.0.1",
            "hostName": "h1",
            "vipAddress": "orders,all",
            "secureVipAddress": "s",
            "status": "UP",
            "metadata": {"zone": "a"},
            "lastUpdatedTimestamp": 2,
            "lastDirtyTimestamp": 1,
        },
    }


def test_a_secure_port_is_the_one_to_call_and_an_ipv6_address_is_bracketed() -> None:
    shown = service_instance(instance("::1", secure_port=8443))
    assert (shown["secure"], shown["port"], shown["scheme"], shown["uri"]) == (
        True,
        8443,
        "https",
        "https://[::1]:8443",
    )


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_nothing_that_a_registry_says_breaks_the_document(host: str, value: str) -> None:
    listed = [instance(host, id=value, app=value, vips=(value,), metadata={value: value})]
    assert msgspec.json.decode(msgspec.json.encode([service_instance(each) for each in listed]))[0]["host"] == host
    assert msgspec.json.decode(msgspec.json.encode(host_names(listed, ""))) == [host]
