"""The compact form of lists, for clients that ask with `X-Eureka-Accept: compact`."""

from typing import Any

import pytest

from tests.contract.eureka import PLAIN, Eureka


async def compact(eureka: Eureka, **fields: Any) -> dict[str, Any]:
    await eureka.register(**fields)
    (instance,) = (await eureka.read(f"apps/{eureka.app}", X_Eureka_Accept="compact"))["application"]["instance"]
    assert instance.pop("lastUpdatedTimestamp") > 10**12  # a number, unlike in the full form
    return dict(instance)


async def test_it_keeps_what_callers_need(eureka: Eureka) -> None:
    fields = {"vipAddress": "v", "secureVipAddress": "s", "asgName": "group"}
    dropped = {"metadata": {"a": "b"}, "sid": "s", "homePageUrl": "http://h1/", "appGroupName": "g", "countryId": 2}
    assert await compact(eureka, status="UP", port={"$": 80, "@enabled": "true"}, **fields, **dropped) == {
        "instanceId": eureka.id,
        "app": eureka.app,
        "ipAddr": "10.0.0.1",
        "hostName": "h1",
        "status": "UP",
        "port": {"$": 80, "@enabled": "true"},
        "securePort": {"$": 7002, "@enabled": "false"},
        "dataCenterInfo": PLAIN,
        "actionType": "ADDED",
        **fields,
    }


async def test_fields_that_were_not_sent_are_absent(eureka: Eureka) -> None:
    optional = {"vipAddress", "secureVipAddress", "asgName"}
    assert optional.isdisjoint(await compact(eureka))


async def test_an_amazon_data_center_keeps_its_metadata(eureka: Eureka) -> None:
    machine = {"instance-id": "i-1", "availability-zone": "us-east-1a"}
    amazon = {"@class": "com.netflix.appinfo.AmazonInfo", "name": "Amazon", "metadata": machine}
    assert (await compact(eureka, dataCenterInfo=amazon))["dataCenterInfo"] == amazon


@pytest.mark.parametrize("path", ["apps", "apps/delta", "vips/{vip}", "svips/{vip}"])
async def test_every_list_has_it_with_version_and_hashcode(eureka: Eureka, path: str) -> None:
    vip = eureka.app.lower()
    await eureka.register(vipAddress=vip, secureVipAddress=vip, metadata={"a": "b"})
    path = path.replace("{vip}", vip)
    (instance,) = await eureka.in_list(path, X_Eureka_Accept="compact")
    assert "metadata" not in instance
    full = (await eureka.read(path))["applications"]
    small = (await eureka.read(path, X_Eureka_Accept="compact"))["applications"]
    assert small["apps__hashcode"] == full["apps__hashcode"]
    assert isinstance(small["versions__delta"], str)


async def test_a_single_instance_is_always_full(eureka: Eureka) -> None:
    await eureka.register(metadata={"a": "b"})
    for path in (eureka.path, f"instances/{eureka.id}"):
        assert (await eureka.read(path, X_Eureka_Accept="compact"))["instance"]["metadata"] == {"a": "b"}


async def test_any_other_word_is_the_full_form(eureka: Eureka) -> None:
    await eureka.register()
    for word, has_lease in (("full", True), ("mini", True), ("COMPACT", False)):
        (instance,) = await eureka.in_list("apps", X_Eureka_Accept=word)
        assert ("leaseInfo" in instance) is has_lease


async def test_it_exists_in_xml_too(eureka: Eureka) -> None:
    await eureka.register(metadata={"a": "b"}, vipAddress="v")
    answer = await eureka.ask("GET", f"apps/{eureka.app}", Accept="application/xml", X_Eureka_Accept="compact")
    instance = answer.xml.find("instance")
    assert instance is not None
    assert instance.find("metadata") is None
    assert instance.findtext("vipAddress") == "v"
    assert instance.findtext("port") == "7001"
