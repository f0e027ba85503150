"""Answers and circumstances that once ended a background loop, and with it the sidecar."""

import errno
import json
import socket
from pathlib import Path
from random import Random

import pytest
import yarl

from registry.address import is_own_address, route_address
from registry.cachefile import _FIRST_LINE, CacheFile, CacheUnusable
from registry.codec import decode_applications
from registry.server_url import Server
from registry.servers import Servers
from registry.transport import _redirected, _Refused


def test_a_name_that_is_no_utf8_costs_its_application_only() -> None:
    good = json.dumps(
        {"name": "A", "instance": [{"instanceId": "a", "hostName": "h", "app": "A", "ipAddr": "10.0.0.1"}]}
    )
    body = b'{"applications":{"application":[{"name":"\xff","instance":[]},' + good.encode() + b"]}}"
    listing = decode_applications(body)
    assert [entry.instance.id for entry in listing.entries] == ["a"]
    assert listing.skipped == 1


@pytest.mark.parametrize("raw", ["9" * 4300, str(2**63 - 1), -1])
def test_a_timestamp_that_leaves_no_room_for_a_successor_is_none(raw: object) -> None:
    instance = {"instanceId": "a", "hostName": "h", "app": "A", "ipAddr": "10.0.0.1", "lastDirtyTimestamp": raw}
    body = json.dumps({"applications": {"application": [{"name": "A", "instance": [instance]}]}})
    assert [entry.instance.last_dirty_ms for entry in decode_applications(body.encode()).entries] == [0]


async def test_a_kernel_without_ipv6_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def only_ipv4(family: int = socket.AF_INET, *rest: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "not supported")
        return real(family, *rest)

    monkeypatch.setattr("registry.address.socket.socket", only_ipv4)
    assert not is_own_address("2001:db8::1")
    assert await route_address(["http://[2001:db8::1]:8761/"]) is None
    assert is_own_address("127.0.0.1")


def test_without_a_descriptor_to_ask_with_an_address_counts_as_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: int) -> socket.socket:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr("registry.address.socket.socket", exhausted)
    assert is_own_address("10.0.0.1")


@pytest.mark.parametrize("header", [b'{"sha256":"\xff"}', b'{"x":' + b"[" * 5000], ids=["no utf-8", "deep"])
def test_a_damaged_header_makes_a_cache_unusable(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "cache").write_bytes(_FIRST_LINE + header + b"\n{}")
    with pytest.raises(CacheUnusable, match="damaged"):
        CacheFile(tmp_path / "cache", []).read()


def test_a_server_that_was_replaced_while_it_was_asked_is_not_asked_again() -> None:
    servers = Servers(lambda: 0.0, Random(1))
    old, new = Server.parse("http://old/"), Server.parse("http://new/")
    servers.replace([], [old])
    servers.replace([], [new])
    servers.answered(old)
    servers.failed(old)
    assert list(servers.tries()) == [new]


def test_a_redirect_with_a_control_character_is_refused() -> None:
    class Answer:
        status = 302
        headers = {"Location": "/a\x01b/eureka/v2/apps/"}  # noqa: RUF012 - a stand-in for a response

    with pytest.raises(_Refused):
        _redirected(yarl.URL("http://eureka/"), Answer())  # type: ignore[arg-type]
