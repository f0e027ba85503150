"""The embedded server over real sockets: its life, its page, and hostile input."""

import asyncio
import gzip
import io
import json
from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.server import RegistryServer, RegistrySettings, serve
from registry.server.document import instance_document, to_json
from registry.server.document_xml import to_xml
from registry.server.json_body import read_json
from registry.server.lease import Lease
from registry.server.registration import (
    PLAIN_CLASS,
    InvalidRegistrationError,
    UnreadableBodyError,
    require_complete,
)
from registry.server.replication import EmptyBatchError, apply, read_batch
from registry.server.store import LeaseStore

PLAIN = {"@class": PLAIN_CLASS, "name": "MyOwn"}


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)


@pytest.fixture
async def server() -> AsyncIterator[RegistryServer]:
    server = await serve("127.0.0.1", 0)
    yield server
    await server.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


async def register(session: aiohttp.ClientSession, server: RegistryServer, **fields: Any) -> None:
    body = {"instanceId": "i1", "hostName": "h", "app": "A", "ipAddr": "1", "dataCenterInfo": PLAIN, **fields}
    async with session.post(f"{server.url}apps/{body['app']}", json={"instance": body}) as answer:
        assert answer.status == 204


async def test_a_taken_port_is_an_oserror_and_leaves_nothing_running(server: RegistryServer) -> None:
    running = asyncio.all_tasks()
    with pytest.raises(OSError, match="address already in use"):
        await serve("127.0.0.1", server.port)
    assert asyncio.all_tasks() == running


async def test_after_close_the_port_is_free_and_the_next_server_there_is_empty(
    session: aiohttp.ClientSession,
) -> None:
    first = await serve("127.0.0.1", 0)
    await register(session, first)
    await first.close()
    assert {task.get_name() for task in asyncio.all_tasks()}.isdisjoint({"registry-loops"})
    second = await serve("127.0.0.1", first.port)
    assert second.url == f"http://127.0.0.1:{first.port}/eureka/"
    async with session.get(f"{second.url}apps", headers={"Accept": "application/json"}) as answer:
        assert (await answer.json())["applications"]["application"] == []
    await second.close()


async def test_the_background_loop_evicts(session: aiohttp.ClientSession) -> None:
    server = await serve("127.0.0.1", 0, RegistrySettings(eviction_interval_s=0.05))
    await register(session, server, leaseInfo={"durationInSecs": 1})
    async with asyncio.timeout(5):
        while await _listed(session, server):  # noqa: ASYNC110 - a real second has to pass
            await asyncio.sleep(0.05)
    await server.close()


async def _listed(session: aiohttp.ClientSession, server: RegistryServer, path: str = "apps") -> int:
    async with session.get(f"{server.url}{path}", headers={"Accept": "application/json"}) as answer:
        return len((await answer.json())["applications"]["application"])


async def test_every_error_but_the_400_texts_has_an_empty_body(
    session: aiohttp.ClientSession, server: RegistryServer
) -> None:
    for method, path, status in (
        ("PUT", "apps/A/nobody", 404),
        ("GET", "nothing", 404),
        ("PATCH", "apps", 405),
        ("POST", "apps/A", 415),
        ("POST", "peerreplication/batch/", 415),
        ("PUT", "asg/group/status?value=ENABLED", 400),
    ):
        async with session.request(method, server.url + path, data=b"<instance/>") as answer:
            assert (answer.status, await answer.read()) == (status, b""), path


async def test_within_a_cache_interval_lists_do_not_change_but_single_instances_do(
    session: aiohttp.ClientSession,
) -> None:
    server = await serve("127.0.0.1", 0, RegistrySettings(response_cache_interval_s=86_400.0))
    assert await _listed(session, server) == 0
    await register(session, server)
    async with session.get(f"{server.url}apps/A/i1") as answer:
        assert answer.status == 200
    assert await _listed(session, server) == 0
    await server.close()


async def test_after_a_cache_interval_lists_change(session: aiohttp.ClientSession) -> None:
    server = await serve("127.0.0.1", 0, RegistrySettings(response_cache_interval_s=0.1))
    assert await _listed(session, server) == 0
    await register(session, server)
    async with asyncio.timeout(5):
        while await _listed(session, server) == 0:  # noqa: ASYNC110 - a real interval has to pass
            await asyncio.sleep(0.02)
    await server.close()


async def test_the_delta_forgets_after_its_retention(session: aiohttp.ClientSession) -> None:
    server = await serve("127.0.0.1", 0, RegistrySettings(delta_retention_s=0.05))
    await register(session, server)
    async with asyncio.timeout(5):
        while await _listed(session, server, "apps/delta"):  # noqa: ASYNC110 - the retention has to pass
            await asyncio.sleep(0.02)
    assert await _listed(session, server) == 1
    await server.close()


async def test_a_compressed_body_is_bounded_in_what_comes_out_of_it(
    session: aiohttp.ClientSession, server: RegistryServer
) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    bomb = gzip.compress(b" " * 50_000_000)
    for body, status in ((bomb, 413), (b"no gzip", 400), (b" " * 5_000_000, 413)):
        async with session.post(f"{server.url}apps/A", data=io.BytesIO(body), headers=headers) as answer:
            assert (answer.status, await answer.read()) == (status, b"")


async def test_the_page_says_when_self_preservation_keeps_everything(session: aiohttp.ClientSession) -> None:
    for enabled in (False, True):
        server = await serve("127.0.0.1", 0, RegistrySettings(self_preservation=enabled))
        async with session.get(f"http://127.0.0.1:{server.port}/") as answer:
            assert ("Self-preservation" in await answer.text()) is enabled
        await server.close()


async def test_a_crashed_background_loop_is_told_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: LeaseStore, late_ms: int = 0) -> list[Lease]:
        raise RuntimeError("broken")

    monkeypatch.setattr(LeaseStore, "evict", broken)
    server = await serve("127.0.0.1", 0, RegistrySettings(eviction_interval_s=0.01))
    (loops,) = (task for task in asyncio.all_tasks() if task.get_name() == "registry-loops")
    await asyncio.wait([loops])
    with pytest.raises(ExceptionGroup) as crash:
        await server.close()
    assert crash.group_contains(RuntimeError, match="broken")


@given(any_json)
def test_any_json_is_a_batch_or_refused(entry: Any) -> None:
    for document in (entry, {"replicationList": entry}, {"replicationList": [entry]}):
        try:
            writes = read_batch(json.dumps(document).encode())
        except (UnreadableBodyError, EmptyBatchError):
            continue
        assert [apply(write, LeaseStore(lambda: 1)).status for write in writes] == [500] * len(writes)


async def test_lists_are_gzipped_only_for_who_accepts_gzip(
    session: aiohttp.ClientSession, server: RegistryServer
) -> None:
    for accepted, encoding in (("gzip", "gzip"), ("gzip, deflate", "gzip"), ("identity", None)):
        async with session.get(f"{server.url}apps/delta", headers={"Accept-Encoding": accepted}) as answer:
            assert answer.headers.get("Content-Encoding") == encoding


async def test_the_page_shows_instances_with_everything_escaped(
    session: aiohttp.ClientSession, server: RegistryServer
) -> None:
    hostile = "<script>alert(1)</script>"
    await register(session, server, hostName=hostile, vipAddress=hostile, metadata={"zone": hostile})
    async with session.get(f"http://127.0.0.1:{server.port}/") as answer:
        page = await answer.text()
        assert answer.content_type == "text/html"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 3
    assert "<td>UP</td>" in page


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"\xff\xfe",
        b'{"instance":' + b"[" * 100_000,
        b'{"instance":{"app":"A","port":{"$":1e999}}}',
        b'{"instance":{"app":"A","countryId":1e308}}',
        b'{"instance":{"app":"A","countryId":' + b"9" * 400 + b"}}",
        b'{"instance":{"app":"\\ud800"}}',
    ],
)
async def test_malformed_bodies_are_400(session: aiohttp.ClientSession, server: RegistryServer, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    async with session.post(f"{server.url}apps/A", data=body, headers=headers) as answer:
        assert (answer.status, await answer.json()) == (400, {"error": "cannot parse request body"})


field_names = st.sampled_from(
    (
        *("instanceId", "hostName", "ipAddr", "status", "overriddenStatus", "port", "securePort", "countryId"),
        *("metadata", "leaseInfo", "dataCenterInfo", "lastDirtyTimestamp", "vipAddress", "sid", "unknown"),
    )
)
metadata_maps = st.dictionaries(st.text(), st.text())


@given(st.dictionaries(field_names, any_json), metadata_maps)
def test_any_json_is_refused_or_reads_back_in_both_forms(fields: dict[str, Any], metadata: dict[str, str]) -> None:
    plain = {"instanceId": "i", "hostName": "h", "app": "A", "ipAddr": "1", "dataCenterInfo": PLAIN}
    body = json.dumps({"instance": {**plain, "metadata": metadata, **fields}}).encode()
    try:
        registration = read_json(body)
        require_complete(registration, "A")
    except (UnreadableBodyError, InvalidRegistrationError):
        return
    store = LeaseStore(lambda: 1)
    store.register(registration)
    (lease,) = store.leases()
    read_back = json.loads(to_json(instance_document(lease)))["instance"]
    instance = ElementTree.fromstring(to_xml(instance_document(lease)))  # noqa: S314 - our own document
    assert {element.tag.lower() for element in instance} == {name.lower() for name in read_back}
