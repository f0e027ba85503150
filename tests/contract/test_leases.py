"""Heartbeats, cancellation, expiry and the other writes to a registration."""

import asyncio
import time

import pytest

from tests.contract.eureka import Eureka


async def test_a_heartbeat_answers_200_to_who_is_registered_and_404_to_others(eureka: Eureka) -> None:
    assert await eureka.status_of("PUT", eureka.path) == 404
    await eureka.register()
    assert await eureka.call("PUT", f"{eureka.path}?status=UP") == (200, b"")


@pytest.mark.parametrize(
    ("dirty", "status"),
    [
        ("999", 200),
        ("1000", 200),
        ("1001", 404),
        ("-1", 200),
        ("%2B1", 200),
        ("x", 500),
        ("", 500),
        ("1_0", 500),
        ("99999999999999999999", 500),
    ],
)
async def test_a_heartbeat_with_a_newer_dirty_timestamp_asks_for_a_registration(
    eureka: Eureka, dirty: str, status: int
) -> None:
    await eureka.register(lastDirtyTimestamp=1000)
    assert await eureka.status_of("PUT", f"{eureka.path}?lastDirtyTimestamp={dirty}") == status
    assert (await eureka.registered())["lastDirtyTimestamp"] == "1000"


async def test_a_heartbeat_does_not_change_the_status(eureka: Eureka) -> None:
    await eureka.register(status="UP", lastDirtyTimestamp=1000)
    assert await eureka.status_of("PUT", f"{eureka.path}?status=DOWN&lastDirtyTimestamp=1000") == 200
    assert (await eureka.registered())["status"] == "UP"


async def test_an_older_registration_keeps_the_newer_description(eureka: Eureka) -> None:
    await eureka.register(status="UP", lastDirtyTimestamp=1000)
    assert (await eureka.register(status="DOWN", hostName="old", lastDirtyTimestamp=999))[0] == 204
    instance = await eureka.registered()
    assert (instance["hostName"], instance["status"], instance["lastDirtyTimestamp"]) == ("h1", "UP", "1000")
    await eureka.register(status="DOWN", hostName="same-age", lastDirtyTimestamp=1000)
    assert (await eureka.registered())["hostName"] == "same-age"


async def test_metadata_is_added_in_place(eureka: Eureka) -> None:
    assert await eureka.status_of("PUT", f"{eureka.path}/metadata?a=1") == 404
    await eureka.register(metadata={"zone": "a", "b": "0"})
    assert await eureka.call("PUT", f"{eureka.path}/metadata?b=1&b=2&empty=") == (200, b"")
    instance = await eureka.registered()
    assert instance["metadata"] == {"zone": "a", "b": "1", "empty": ""}
    assert instance["actionType"] == "ADDED"


async def test_a_cancelled_instance_is_gone_at_once_everywhere(eureka: Eureka) -> None:
    assert await eureka.status_of("DELETE", eureka.path) == 404
    await eureka.register(vipAddress="v1")
    assert await eureka.call("DELETE", eureka.path) == (200, b"")
    assert await eureka.status_of("PUT", eureka.path) == 404
    for path in (eureka.path, f"apps/{eureka.app}", "instances/" + eureka.app):
        assert await eureka.status_of("GET", path) == 404
    assert await eureka.in_list("apps") == []
    assert await eureka.in_list("vips/v1") == []


async def test_an_expired_instance_disappears(eureka: Eureka) -> None:
    await eureka.register(leaseInfo={"durationInSecs": 1, "renewalIntervalInSecs": 1}, lastDirtyTimestamp=1)
    async with asyncio.timeout(10):
        while await eureka.in_list("apps"):  # noqa: ASYNC110 - another process's clock has to pass
            await asyncio.sleep(0.1)
    assert await eureka.status_of("PUT", eureka.path) == 404
    assert [it["actionType"] for it in await eureka.in_list("apps/delta")] == ["DELETED"]


@pytest.mark.parametrize(("heartbeats", "lifetime_s"), [(0, 2.0), (1, 4.0)])
async def test_a_heartbeat_doubles_the_lease(eureka: Eureka, heartbeats: int, lifetime_s: float) -> None:
    await eureka.register(leaseInfo={"durationInSecs": 2, "renewalIntervalInSecs": 1})
    started_s = time.monotonic()
    for _ in range(heartbeats):
        assert await eureka.status_of("PUT", eureka.path) == 200
    async with asyncio.timeout(10):
        while await eureka.status_of("GET", eureka.path) == 200:  # noqa: ASYNC110 - another process's clock has to pass
            await asyncio.sleep(0.05)
    assert lifetime_s - 0.1 < time.monotonic() - started_s < lifetime_s + 1.8
    async with asyncio.timeout(10):
        while await eureka.in_list("apps"):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.1)


async def test_in_strict_leases_the_last_renewal_lies_in_the_future(eureka: Eureka) -> None:
    await eureka.register(leaseInfo={"durationInSecs": 60})
    await eureka.call("PUT", eureka.path)
    lease = (await eureka.registered())["leaseInfo"]
    assert 59_000 < lease["lastRenewalTimestamp"] - lease["registrationTimestamp"] < 70_000
