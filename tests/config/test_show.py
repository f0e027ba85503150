"""The effective configuration and the schema."""

import json
from collections.abc import Callable
from typing import Any

from prana.config import Loaded
from prana.config.show import effective, json_schema, nested

Load = Callable[..., Loaded]

EVERYTHING = """
[app]
name = "orders"
port = 5000
metadata = { zone = "a" }
[eureka]
urls = ["http://user:hunter2@host/eureka/"]
[admin]
token = "hunter2"
[services.a]
instances = ["127.0.0.1:1"]
fallback.json = { x = [1] }
[properties]
"a.b" = "1"
"""


def test_values_are_shown_as_toml_writes_them(load_text: Load) -> None:
    shown = {path: value for path, value, _ in effective(load_text(EVERYTHING))}
    assert shown[("defaults", "timeout")] == "10s"
    assert shown[("defaults", "retry", "replay_bytes")] == "64KiB"
    assert shown[("defaults", "retry", "statuses")] == [502, 503, 504]
    assert shown[("app", "health", "statuses")] == "200-299"
    assert shown[("app", "metadata", "zone")] == "a"
    assert shown[("proxy", "listen")] == ["127.0.0.1:8078"]
    assert shown[("services", "a", "fallback", "json")] == {"x": [1]}
    assert ("services", "a", "fallback", "body") not in shown


def test_secrets_are_masked(load_text: Load) -> None:
    loaded = load_text(EVERYTHING)
    shown = {path: value for path, value, _ in effective(loaded)}
    assert shown[("admin", "token")] == "***"
    assert shown[("eureka", "urls")] == ["http://***@host/eureka/"]
    assert "hunter2" not in str(nested(loaded))


def test_properties_are_masked_where_their_names_tell_of_a_secret(load_text: Load) -> None:
    text = "[properties]\n'a.ribbon.TrustStorePassword' = 'x'\n'db.api-token' = 'x'\n'page.size' = '20'"
    shown = {path[-1]: value for path, value, _ in effective(load_text(text)) if path[0] == "properties"}
    assert shown == {"a.ribbon.TrustStorePassword": "***", "db.api-token": "***", "page.size": "20"}


def test_what_is_not_available_is_not_shown(load_text: Load) -> None:
    shown = {path for path, _, _ in effective(load_text(""))}
    assert not shown & {("admin", "dashboard"), ("app", "port")}


def test_the_tree_of_the_effective_configuration_loads_again_as_it_is(load_text: Load) -> None:
    loaded = load_text(EVERYTHING.replace("user:hunter2@", "").replace('"hunter2"', '""'))
    again = load_text("", {f"PRANA_{table.upper()}": json.dumps(value) for table, value in nested(loaded).items()})
    assert again.settings == loaded.settings


def tables(schema: dict[str, Any]) -> list[dict[str, Any]]:
    found = [schema] if schema.get("type") == "object" else []
    for inner in (*schema.get("properties", {}).values(), *schema.get("anyOf", [])):
        found += tables(inner)
    if isinstance(schema.get("additionalProperties"), dict):
        found += tables(schema["additionalProperties"])
    return found


def test_the_schema_refuses_unknown_keys_in_every_table_and_has_no_references() -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "$ref" not in str(schema)
    assert len(tables(schema)) == 46
    assert all("additionalProperties" in table for table in tables(schema))
    assert [table for table in tables(schema) if table["additionalProperties"] is True] == []


def test_the_schema_has_ranges_text_forms_and_defaults() -> None:
    sections = json_schema()["properties"]
    policy = sections["defaults"]["properties"]
    assert policy["timeout"] == {
        "type": "string",
        "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$",
        "description": "1ms to 1h",
        "default": "10s",
    }
    assert policy["max_concurrent"] == {"type": "integer", "minimum": 1, "maximum": 1000000, "default": 512}
    assert policy["retry"]["properties"]["statuses"]["items"] == {"type": "integer", "minimum": 400, "maximum": 599}
    one, several = sections["app"]["anyOf"]
    assert several == {"type": "array", "items": one}
    assert one["required"] == ["port"]
    assert "default" not in one["properties"]["port"]
    service = sections["services"]["additionalProperties"]
    assert service["properties"]["instances"]["type"] == "array"
    assert service["properties"]["fallback"]["anyOf"][0]["properties"]["json"] == {}
    assert sections["properties"]["additionalProperties"] == {"type": "string"}


def test_the_schema_leaves_out_what_is_not_available() -> None:
    sections = json_schema()["properties"]
    assert "dashboard" not in sections["admin"]["properties"]
    assert sections["app"]["anyOf"][0]["properties"]["data_center"]["enum"] == ["MyOwn"]
