import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rrset
import pytest
from structlog.testing import capture_logs

from registry.dnsservers import DnsName, DnsServers, NoRecords, servers_by_zone, txt_words
from registry.server_url import Server

NAME = DnsName("us-east-1", "example.com", "http", 8761, "/eureka/v2/")
RECORDS = {
    "txt.us-east-1.example.com": ["us-east-1c.example.com", "us-east-1d"],
    "txt.us-east-1c.example.com": ["ec2-1.amazonaws.com.", "ec2-2.amazonaws.com"],
    "txt.us-east-1d.example.com": ["10.0.0.4"],
}


class Dns:
    def __init__(self, records: Mapping[str, list[str]] = RECORDS) -> None:
        self.records = dict(records)

    async def __call__(self, name: str) -> list[str]:
        if name not in self.records:
            raise NoRecords(f"{name}: NXDOMAIN")
        return self.records[name]


def bases(found: Mapping[str, Sequence[Server]]) -> dict[str, list[str]]:
    return {zone: [server.base for server in servers] for zone, servers in found.items()}


async def test_the_region_lists_zones_and_each_zone_its_hosts() -> None:
    assert bases(await servers_by_zone(NAME, Dns())) == {
        "us-east-1c": ["http://ec2-1.amazonaws.com:8761/eureka/v2/", "http://ec2-2.amazonaws.com:8761/eureka/v2/"],
        "us-east-1d": ["http://10.0.0.4:8761/eureka/v2/"],
    }


async def test_a_zone_may_be_written_with_its_whole_record_name() -> None:
    records = {"txt.us-east-1.example.com": ["txt.z.other.org."], "txt.z.other.org": ["::1"]}
    assert bases(await servers_by_zone(NAME, Dns(records))) == {"z": ["http://[::1]:8761/eureka/v2/"]}


@pytest.mark.parametrize(
    "records",
    [
        {},
        {"txt.us-east-1.example.com": []},
        {"txt.us-east-1.example.com": ["a"], "txt.a.example.com": []},
        {"txt.us-east-1.example.com": ["a", "b"], "txt.a.example.com": ["x"]},
    ],
)
async def test_half_an_answer_is_none(records: dict[str, list[str]]) -> None:
    with pytest.raises(NoRecords):
        await servers_by_zone(NAME, Dns(records))


async def test_a_failure_keeps_what_was_found_and_is_said_once() -> None:
    dns, found = Dns(), []
    servers = DnsServers(NAME, lambda zones: found.append(bases(zones)), dns)
    with capture_logs() as logs:
        await servers.resolve()
        await servers.resolve()
        dns.records = {}
        await servers.resolve()
        await servers.resolve()
        dns.records = {"txt.us-east-1.example.com": ["a"], "txt.a.example.com": ["a host?"]}
        await servers.resolve()
        dns.records = {"txt.us-east-1.example.com": ["a"], "txt.a.example.com": ["new"]}
        await servers.resolve()
    assert len(found) == 3
    assert found[-1] == {"a": ["http://new:8761/eureka/v2/"]}
    assert [line["event"] for line in logs] == [
        "eureka servers found in the DNS",
        "eureka servers not found in the DNS, keeping those known",
        "eureka servers found in the DNS",
    ]


async def test_it_looks_again_every_five_minutes_and_sooner_while_it_knows_none() -> None:
    pauses: list[float] = []
    dns = Dns({})

    async def sleep(pause_s: float) -> None:
        pauses.append(pause_s)
        dns.records = dict(RECORDS)
        if len(pauses) == 3:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await DnsServers(NAME, lambda _: None, dns, sleep).run()
    assert pauses == [5, 300, 300]


# over a real socket


class Nameserver(asyncio.DatagramProtocol):
    """Answers TXT questions from `RECORDS`, and NXDOMAIN to others; "silent.example.com" never."""

    def connection_made(self, transport: Any) -> None:  # a DatagramTransport
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text().rstrip(".")
        if name == "silent.example.com":
            return
        response = dns.message.make_response(query)
        if name in RECORDS:
            first, *rest = RECORDS[name]
            texts = [f'"{first}"', *([f'"{" ".join(rest)}"'] if rest else [])]
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", "TXT", *texts))
        else:
            response.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(response.to_wire(), addr)


@pytest.fixture
async def nameserver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Nameserver, ("127.0.0.1", 0), family=socket.AF_INET)
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], transport.get_extra_info("sockname")[1]
    monkeypatch.setattr(dns.asyncresolver, "default_resolver", resolver)
    yield
    transport.close()


@pytest.mark.usefixtures("nameserver")
async def test_txt_records_are_read_word_by_word() -> None:
    assert sorted(await txt_words("txt.us-east-1.example.com")) == ["us-east-1c.example.com", "us-east-1d"]
    found = await servers_by_zone(NAME, txt_words)
    assert len(found["us-east-1c"]) == 2


@pytest.mark.usefixtures("nameserver")
async def test_no_record_and_no_answer_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoRecords, match="NXDOMAIN"):
        await txt_words("nothing.example.com")
    monkeypatch.setattr("registry.dnsservers._LOOKUP_TIMEOUT_S", 0.05)
    with pytest.raises(NoRecords, match="Timeout"):
        await txt_words("silent.example.com")
