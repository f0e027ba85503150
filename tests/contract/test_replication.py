"""What peers write: single requests marked as replication, and batches answered in order."""

import json
from typing import Any

import pytest

from tests.contract.eureka import CANNOT_PARSE, Eureka

REPLICATED: dict[str, Any] = {"x_netflix_discovery_replication": "true"}
BATCH = "peerreplication/batch/"


def entry(eureka: Eureka, action: Any, **fields: Any) -> dict[str, Any]:
    """`...` as a value leaves that field out."""
    whole = {"appName": eureka.app, "id": eureka.id, "action": action, **fields}
    return {name: value for name, value in whole.items() if value is not ...}


async def send(eureka: Eureka, *entries: Any) -> list[dict[str, Any]]:
    answer = await eureka.ask("POST", BATCH, json={"replicationList": entries})
    assert answer.status == 200
    responses: list[dict[str, Any]] = json.loads(answer.body)["responseList"]
    return responses


async def codes(eureka: Eureka, *entries: Any) -> list[int]:
    return [response["statusCode"] for response in await send(eureka, *entries)]


async def test_a_batch_is_applied_and_answered_in_order(eureka: Eureka) -> None:
    instance = eureka.instance(lastDirtyTimestamp=1000, status="UP")
    assert await send(
        eureka,
        entry(eureka, "Heartbeat", lastDirtyTimestamp=1000, status="UP"),
        entry(eureka, "Register", lastDirtyTimestamp=1000, status="UP", instanceInfo=instance),
        entry(eureka, "Heartbeat", lastDirtyTimestamp=1000, status="UP"),
        entry(eureka, "StatusUpdate", lastDirtyTimestamp=1000, status="OUT_OF_SERVICE"),
        entry(eureka, "Cancel"),
        entry(eureka, "Cancel"),
    ) == [{"statusCode": code} for code in (404, 200, 200, 200, 200, 404)]
    (deleted,) = await eureka.in_list("apps/delta")
    assert (deleted["actionType"], deleted["status"]) == ("DELETED", "OUT_OF_SERVICE")


@pytest.mark.parametrize(("dirty", "code"), [(999, 409), (1000, 200), (1001, 404), (None, 200)])
async def test_of_two_descriptions_the_newer_wins(eureka: Eureka, dirty: int | None, code: int) -> None:
    await eureka.register(lastDirtyTimestamp=1000)
    (response,) = await send(eureka, entry(eureka, "Heartbeat", lastDirtyTimestamp=dirty))
    assert response["statusCode"] == code
    assert ("responseEntity" in response) is (code == 409)
    if code == 409:
        assert response["responseEntity"] == await eureka.registered()


@pytest.mark.parametrize(("dirty", "code"), [("999", 409), ("1000", 200), ("1001", 404)])
async def test_a_single_replicated_heartbeat_likewise(eureka: Eureka, dirty: str, code: int) -> None:
    await eureka.register(lastDirtyTimestamp=1000)
    answer = await eureka.ask("PUT", f"{eureka.path}?lastDirtyTimestamp={dirty}", **REPLICATED)
    assert answer.status == code
    assert answer.body.startswith(b'{"instance":{"instanceId"') is (code == 409)
    # From a client the same is 200 or 404.
    assert await eureka.status_of("PUT", f"{eureka.path}?lastDirtyTimestamp={dirty}") == (404 if code == 404 else 200)


async def test_the_conflict_comes_as_xml_for_who_wants_that(eureka: Eureka) -> None:
    await eureka.register(lastDirtyTimestamp=1000)
    path = f"{eureka.path}?lastDirtyTimestamp=999"
    answer = await eureka.ask("PUT", path, Accept="application/xml", **REPLICATED)
    assert (answer.status, answer.xml.findtext("lastDirtyTimestamp")) == (409, "1000")
    answer = await eureka.ask("POST", BATCH, json={"replicationList": [entry(eureka, "Cancel")]}, Accept="*/*")
    assert answer.xml.tag == "com.netflix.eureka.cluster.protocol.ReplicationListResponse"
    response = "responseList/com.netflix.eureka.cluster.protocol.ReplicationInstanceResponse"
    assert answer.xml.findtext(f"{response}/statusCode") == "200"


@pytest.mark.parametrize("batched", [True, False])
async def test_a_replicated_registration_moves_between_up_and_out_of_service(eureka: Eureka, batched: bool) -> None:
    for status in ("UP", "OUT_OF_SERVICE", "UP"):
        instance = eureka.instance(status=status, lastDirtyTimestamp=1000)
        if batched:
            assert await codes(eureka, entry(eureka, "Register", instanceInfo=instance)) == [200]
        else:
            path = f"apps/{eureka.app}"
            assert await eureka.status_of("POST", path, json={"instance": instance}, **REPLICATED) == 204
        assert await eureka.statuses() == (status, "UNKNOWN")


@pytest.mark.parametrize("batched", [True, False])
async def test_a_newer_heartbeat_brings_its_override_which_the_next_one_applies(eureka: Eureka, batched: bool) -> None:
    await eureka.register(status="UP", lastDirtyTimestamp=1000)
    if batched:
        newer = entry(eureka, "Heartbeat", lastDirtyTimestamp=1001, overriddenStatus="OUT_OF_SERVICE")
        assert await codes(eureka, newer) == [404]
    else:
        path = f"{eureka.path}?lastDirtyTimestamp=1001&overriddenstatus=OUT_OF_SERVICE"
        assert await eureka.status_of("PUT", path, **REPLICATED) == 404
    assert await eureka.statuses() == ("UP", "OUT_OF_SERVICE")
    assert await eureka.status_of("PUT", eureka.path) == 200
    assert await eureka.statuses() == ("OUT_OF_SERVICE", "OUT_OF_SERVICE")


async def test_a_newer_heartbeat_with_an_override_that_is_no_status_is_500(eureka: Eureka) -> None:
    await eureka.register(status="UP", lastDirtyTimestamp=1000)
    newer = f"{eureka.path}?lastDirtyTimestamp=1001&overriddenstatus=SICK"
    assert await eureka.status_of("PUT", newer, **REPLICATED) == 500
    assert await eureka.statuses() == ("UP", "UNKNOWN")


async def test_a_newer_heartbeat_without_an_override_brings_none(eureka: Eureka) -> None:
    await eureka.register(status="UP", lastDirtyTimestamp=1000)
    newer = entry(eureka, "Heartbeat", lastDirtyTimestamp=1001, overriddenStatus="UNKNOWN")
    assert await codes(eureka, newer, entry(eureka, "Heartbeat", appName=eureka.app.lower())) == [404, 200]
    assert await eureka.statuses() == ("UP", "UNKNOWN")


async def test_a_client_cannot_bring_an_override_with_its_heartbeat(eureka: Eureka) -> None:
    await eureka.register(status="UP", lastDirtyTimestamp=1000)
    path = f"{eureka.path}?lastDirtyTimestamp=1001&overriddenstatus=OUT_OF_SERVICE"
    assert await eureka.status_of("PUT", path) == 404
    assert await eureka.statuses() == ("UP", "UNKNOWN")


async def test_overrides_are_replicated_and_removed(eureka: Eureka) -> None:
    await eureka.register(status="UP", lastDirtyTimestamp=1000)
    put = entry(eureka, "StatusUpdate", lastDirtyTimestamp=1500, status="DOWN")
    assert await codes(eureka, put, entry(eureka, "StatusUpdate", status="DOWN", id="nobody")) == [200, 404]
    assert await eureka.statuses() == ("DOWN", "DOWN")
    assert (await eureka.registered())["lastDirtyTimestamp"] == "1500"
    assert await codes(eureka, entry(eureka, "DeleteStatusOverride", lastDirtyTimestamp=1500, status="UP")) == [200]
    assert await eureka.statuses() == ("UP", "UNKNOWN")


@pytest.mark.parametrize("wrong", [{"hostName": None}, {"app": "OTHER"}])
async def test_a_registration_that_is_refused_is_answered_with_200(eureka: Eureka, wrong: dict[str, Any]) -> None:
    assert await codes(eureka, entry(eureka, "Register", instanceInfo=eureka.instance(**wrong))) == [200]
    assert await eureka.status_of("GET", eureka.path) == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "Register"},  # without an instance
        {"action": "StatusUpdate", "status": "SICK", "lastDirtyTimestamp": 1},
        {"action": "DeleteStatusOverride", "status": "UP"},  # without a timestamp
        {"action": ...},
        {"action": "Heartbeat", "appName": ...},
        {"action": "Heartbeat", "id": ...},
    ],
)
async def test_an_entry_that_fails_is_500_and_the_next_one_follows(eureka: Eureka, wrong: dict[str, Any]) -> None:
    await eureka.register()
    assert await codes(eureka, entry(eureka, **wrong), entry(eureka, "Heartbeat")) == [500, 200]


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "Sing"},
        {"action": "Heartbeat", "lastDirtyTimestamp": "x"},
        {"action": "Heartbeat", "status": ["UP"]},
        {"action": "Heartbeat", "unknown": 1},
    ],
)
async def test_an_entry_that_cannot_be_read_spoils_the_batch(eureka: Eureka, wrong: dict[str, Any]) -> None:
    await eureka.register()
    entries = [entry(eureka, "Cancel"), {"appName": eureka.app, "id": eureka.id, **wrong}]
    body = {"replicationList": entries}
    assert await eureka.call("POST", BATCH, json=body) == (400, CANNOT_PARSE.encode())
    assert await eureka.status_of("GET", eureka.path) == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"replicationList":[]}', 200),
        (b"{}", 500),
        (b"null", 500),
        (b'{"replicationList":null}', 500),
        (b'{"replicationList":[null]}', 500),
        (b"", 400),
        (b"[]", 400),
        (b'{"replicationList":{}}', 400),
        (b'{"replicationList":[],"more":1}', 400),
    ],
)
async def test_what_is_no_batch(eureka: Eureka, body: bytes, status: int) -> None:
    for path in (BATCH, BATCH.rstrip("/")):
        answer = await eureka.ask("POST", path, data=body, Content_Type="application/json")
        assert answer.status == status
        if status == 200:
            assert answer.body == b'{"responseList":[]}'


async def test_there_are_no_batches_in_xml(eureka: Eureka) -> None:
    assert await eureka.status_of("POST", BATCH, data=b"<x/>", Content_Type="application/xml") == 400
