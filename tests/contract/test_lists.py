"""Applications, the delta, VIPs: what lists show, and their hashcode."""

from tests.contract.eureka import Eureka


async def test_the_delta_shows_the_final_state_of_every_changed_instance(eureka: Eureka) -> None:
    kept, overridden, cancelled = (f"{eureka.app}:{n}" for n in range(3))
    for instance_id in (kept, overridden, cancelled):
        await eureka.register(instanceId=instance_id, status="UP")
    await eureka.call("PUT", f"apps/{eureka.app}/{overridden}/status?value=DOWN")
    await eureka.call("DELETE", f"apps/{eureka.app}/{cancelled}")
    delta = {it["instanceId"]: it for it in await eureka.in_list("apps/delta")}
    assert {key: (it["actionType"], it["status"]) for key, it in delta.items()} == {
        kept: ("ADDED", "UP"),
        overridden: ("MODIFIED", "DOWN"),
        cancelled: ("DELETED", "UP"),
    }
    assert delta[cancelled]["leaseInfo"]["evictionTimestamp"] > 0


async def test_a_heartbeat_does_not_enter_the_delta(eureka: Eureka) -> None:
    await eureka.register()
    before = await eureka.in_list("apps/delta")
    await eureka.call("PUT", eureka.path)
    after = await eureka.in_list("apps/delta")
    assert [it["lastUpdatedTimestamp"] for it in before] == [it["lastUpdatedTimestamp"] for it in after]


async def test_the_hashcode_counts_every_status_and_the_delta_has_that_of_the_whole(eureka: Eureka) -> None:
    vip = eureka.app.lower()
    for number, status in enumerate(("UP", "DOWN", "UP", "STARTING")):
        await eureka.register(instanceId=f"{eureka.app}:{number}", status=status, vipAddress=vip)
    await eureka.register()
    await eureka.call("DELETE", eureka.path)  # in the delta, but not in its hashcode
    of_vip = (await eureka.read(f"vips/{vip}"))["applications"]
    assert of_vip["apps__hashcode"] == "DOWN_1_STARTING_1_UP_2_"
    assert of_vip["versions__delta"] == "-1"
    full = (await eureka.read("apps"))["applications"]
    delta = (await eureka.read("apps/delta"))["applications"]
    assert full["versions__delta"] == "1"
    assert isinstance(delta["versions__delta"], str)
    assert full["apps__hashcode"] == delta["apps__hashcode"]


async def test_a_vip_matches_one_element_exactly(eureka: Eureka) -> None:
    vip = eureka.app.lower()
    await eureka.register(vipAddress=f"{vip}-a,{vip}-B", secureVipAddress=f"{vip}-s")
    for path in (f"vips/{vip}-a", f"vips/{vip}-B", f"svips/{vip}-s"):
        assert len(await eureka.in_list(path)) == 1, path
    for path in (f"vips/{vip}-b", f"vips/{vip}-a,{vip}-B", f"vips/{vip}-s", f"svips/{vip}-a"):
        empty = {"versions__delta": "-1", "apps__hashcode": "", "application": []}
        assert (await eureka.read(path))["applications"] == empty, path


async def test_an_instance_is_found_by_its_id_alone_and_by_its_app(eureka: Eureka) -> None:
    own_id = f"{eureka.app}:1"
    await eureka.register(instanceId=own_id)
    assert (await eureka.read(f"instances/{own_id}"))["instance"]["app"] == eureka.app
    application = (await eureka.read(f"apps/{eureka.app.lower()}"))["application"]
    assert application["name"] == eureka.app
    assert [it["instanceId"] for it in application["instance"]] == [own_id]
