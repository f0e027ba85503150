"""Which status others see: what instances report, and what operators put over it."""

import pytest

from tests.contract.eureka import Eureka


async def test_up_down_up_by_registering_again(eureka: Eureka) -> None:
    for status in ("STARTING", "UP", "DOWN", "UP"):
        await eureka.register(status=status)
        assert await eureka.statuses() == (status, "UNKNOWN")


async def test_an_instance_cannot_leave_up_for_out_of_service_or_back_by_itself(eureka: Eureka) -> None:
    seen = []
    for status in ("UP", "OUT_OF_SERVICE", "DOWN", "OUT_OF_SERVICE", "UP", "STARTING", "UP"):
        await eureka.register(status=status)
        seen.append((await eureka.registered())["status"])
    assert seen == ["UP", "UP", "DOWN", "OUT_OF_SERVICE", "OUT_OF_SERVICE", "STARTING", "UP"]


async def test_an_override_holds_over_heartbeats_and_registrations_until_it_is_dropped(eureka: Eureka) -> None:
    override = f"{eureka.path}/status"
    assert await eureka.status_of("PUT", f"{override}?value=OUT_OF_SERVICE") == 404
    assert await eureka.status_of("DELETE", override) == 404
    await eureka.register(status="UP", lastDirtyTimestamp=1000)
    assert await eureka.call("PUT", f"{override}?value=OUT_OF_SERVICE&lastDirtyTimestamp=1500") == (200, b"")
    instance = await eureka.registered()
    assert (instance["actionType"], instance["lastDirtyTimestamp"]) == ("MODIFIED", "1500")
    assert await eureka.status_of("PUT", eureka.path) == 200
    assert await eureka.statuses() == ("OUT_OF_SERVICE", "OUT_OF_SERVICE")
    await eureka.register(status="DOWN")
    assert await eureka.statuses() == ("DOWN", "OUT_OF_SERVICE")
    await eureka.register(status="UP")
    assert await eureka.statuses() == ("OUT_OF_SERVICE", "OUT_OF_SERVICE")
    assert await eureka.call("DELETE", override) == (200, b"")
    assert await eureka.statuses() == ("UNKNOWN", "UNKNOWN")
    assert await eureka.status_of("PUT", eureka.path) == 404
    await eureka.register(status="UP")
    assert await eureka.statuses() == ("UP", "UNKNOWN")


async def test_dropping_an_override_with_a_value_sets_it_at_once(eureka: Eureka) -> None:
    await eureka.register(status="UP")
    await eureka.call("PUT", f"{eureka.path}/status?value=DOWN")
    assert await eureka.status_of("DELETE", f"{eureka.path}/status?value=UP") == 200
    assert await eureka.statuses() == ("UP", "UNKNOWN")
    assert await eureka.status_of("PUT", eureka.path) == 200


@pytest.mark.parametrize("query", ["", "?value=up", "?value=SICK"])
async def test_an_override_needs_one_of_the_five_statuses(eureka: Eureka, query: str) -> None:
    await eureka.register()
    assert await eureka.status_of("PUT", f"{eureka.path}/status{query}") == 500
    assert await eureka.statuses() == ("UP", "UNKNOWN")


async def test_cancel_also_drops_the_override(eureka: Eureka) -> None:
    await eureka.register()
    await eureka.call("PUT", f"{eureka.path}/status?value=OUT_OF_SERVICE")
    await eureka.call("DELETE", eureka.path)
    await eureka.register()
    assert await eureka.statuses() == ("UP", "UNKNOWN")
