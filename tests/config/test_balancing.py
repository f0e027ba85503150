"""Warnings of balancer settings that nothing can come of."""

from collections.abc import Callable

import pytest

from prana.config import Loaded

Load = Callable[..., Loaded]


def warned(load_text: Load, text: str) -> list[str]:
    return [str(warning).split(": ", 1)[1] for warning in load_text(text).warnings]


@pytest.mark.parametrize("table", ["[defaults.balancer]", "[services.a.balancer]"])
@pytest.mark.parametrize("zone_filter", ["affinity", "exclusivity", "preference"])
def test_a_zone_filter_needs_an_own_zone(table: str, zone_filter: str, load_text: Load) -> None:
    text = f"{table}\nzone_filter = '{zone_filter}'\n"
    (line,) = warned(load_text, text)
    assert ".balancer.zone_filter: is " + zone_filter + ", but our own zone is not known" in f".{line}"
    assert warned(load_text, f"{text}[eureka]\nzone = 'a'") == []
    assert warned(load_text, f"{text}[app]\nname = 'x'\nport = 1\nmetadata.zone = 'a'") == []


def test_no_filter_needs_no_zone(load_text: Load) -> None:
    assert warned(load_text, "[defaults.balancer]\nzone_filter = 'none'") == []


def test_tuning_of_ribbons_rules_needs_one(load_text: Load) -> None:
    text = "[defaults.balancer.ribbon]\nweight_interval = '5s'\n"
    assert warned(load_text, text) == [
        "defaults.balancer.ribbon.weight_interval: has no effect without one of Ribbon's rules"
    ]
    assert warned(load_text, f"defaults.balancer.rule = 'RandomRule'\n{text}") == []
    service = "[services.a]\ninstances = ['h:1']\n[services.a.balancer]\n"
    assert warned(load_text, f"{text}{service}rule = 'RandomRule'") == []
    (line,) = warned(load_text, f"{service}ribbon.trip_max = '1m'")
    assert line.startswith("services.a.balancer.ribbon.trip_max: has no effect")


def test_limits_of_affinity_need_affinity(load_text: Load) -> None:
    text = "defaults.balancer.ribbon.affinity_max_load = 3\ndefaults.balancer.rule = 'RandomRule'\neureka.zone = 'a'\n"
    (line,) = warned(load_text, text)
    assert line == 'defaults.balancer.ribbon.affinity_max_load: has no effect without zone_filter = "affinity"'
    assert warned(load_text, f"{text}defaults.balancer.zone_filter = 'affinity'") == []


def test_instances_of_the_configuration_are_in_nobodys_zone(load_text: Load) -> None:
    text = "eureka.zone = 'a'\n[services.a]\ninstances = ['h:1']\nbalancer.zone_filter = "
    (line,) = warned(load_text, f"{text}'exclusivity'")
    assert line.startswith("services.a.instances: have no zone, so none of them is called")
    assert warned(load_text, f"{text}'affinity'") == []
