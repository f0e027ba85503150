"""Which form an Accept header asks for."""

import pytest

from registry.server.media import Form, accepted_form, listed_form


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "xml"),
        ("*/*", "xml"),
        ("application/*", "xml"),
        ("application/json", "json"),
        (" Application/JSON ; charset=utf-8", "json"),
        ("application/json, application/xml", "json"),
        ("application/xml, application/json", "xml"),
        ("application/xml;q=0.5, application/json;q=0.6", "json"),
        ("text/html, */*;q=0.1", "xml"),
        ("text/html", None),
        ("json", None),
    ],
)
def test_the_best_liked_form_wins_and_the_earlier_of_equals(accept: str, form: Form | None) -> None:
    assert accepted_form(accept) == form


def test_a_weight_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="heavy"):
        accepted_form("application/json;q=heavy")


def test_any_mention_of_json_is_enough_for_a_list() -> None:
    assert listed_form("application/xml, application/vnd.x+json;q=0") == "json"
    assert listed_form("application/xml") == "xml"
