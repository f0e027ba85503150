import pytest

from admin.access import change_refusal, refusal

EVERYTHING_ELSE = {"peer": "127.0.0.1", "host": "localhost:8077", "authorization": "", "token": ""}


def status(**call: str) -> int | None:
    seen = refusal(**(EVERYTHING_ELSE | call))
    return None if seen is None else seen.status


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "::1%lo"])
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8077", "127.0.0.1:8077", "[::1]:8077", "127.1.2.3"])
def test_this_machine_may_see_everything_by_a_loopback_name(peer: str, host: str) -> None:
    assert status(peer=peer, host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8077",
        "localhost.evil.example",
        "evil@10.0.0.1",
        "10.0.0.1",
        "",
        "[::1",
        "2130706433",
    ],
)
@pytest.mark.parametrize("token", ["", "secret"])
def test_a_foreign_host_header_is_refused_on_loopback_too(host: str, token: str) -> None:
    assert status(host=host, token=token) == 403


@pytest.mark.parametrize(
    "peer", ["10.0.0.7", "8.8.8.8", "::ffff:10.0.0.7", "fe80::1%eth0", "2001:db8::1", "", "unknown"]
)
def test_other_machines_are_refused(peer: str) -> None:
    assert status(peer=peer) == 403
    assert status(peer=peer, token="secret") == 401


@pytest.mark.parametrize("authorization", ["Bearer sécret", "bearer sécret", "BEARER  sécret "])
def test_the_token_opens_everything_from_everywhere(authorization: str) -> None:
    assert status(peer="10.0.0.7", host="prana.example", authorization=authorization, token="sécret") is None


@pytest.mark.parametrize(
    "authorization",
    ["Bearer wrong", "Bearer", "Bearer ", "secret", "Basic secret", "Bearer secret2", "Bearer \udcff", ""],
)
def test_anything_but_the_token_does_not(authorization: str) -> None:
    assert status(peer="10.0.0.7", authorization=authorization, token="secret") == 401


@pytest.mark.parametrize("authorization", ["Bearer ", "Bearer", ""])
def test_an_empty_token_is_no_token(authorization: str) -> None:
    assert status(peer="10.0.0.7", authorization=authorization, token="") == 403


@pytest.mark.parametrize(
    ("origin", "fetch_site"),
    [
        ("", ""),
        ("", "none"),
        ("", "same-origin"),
        ("http://localhost:8077", ""),
        ("http://localhost:8077", "same-origin"),
        ("https://localhost:8077", ""),
    ],
)
@pytest.mark.parametrize("host", ["localhost:8077", "LOCALHOST:8077"])
def test_programs_and_our_own_pages_may_change_things(host: str, origin: str, fetch_site: str) -> None:
    assert change_refusal(host, origin, fetch_site) is None


@pytest.mark.parametrize(
    ("origin", "fetch_site"),
    [
        ("http://evil.example", ""),
        ("http://localhost:3000", ""),
        ("http://localhost", ""),
        ("http://localhost:8077.evil.example", ""),
        ("http://localhost:80777", ""),
        ("http://evil.example/localhost:8077", ""),
        ("null", ""),
        ("file://", ""),
        ("file://localhost:8077", ""),
        ("localhost:8077", ""),
        ("http://evil.example", "same-origin"),
        ("http://localhost:8077", "cross-site"),
        ("", "cross-site"),
        ("", "same-site"),
        ("", "anything"),
    ],
)
def test_a_page_of_another_origin_may_not(origin: str, fetch_site: str) -> None:
    seen = change_refusal("localhost:8077", origin, fetch_site)
    assert seen is not None
    assert seen.status == 403
