import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.negotiation import Form, negotiate

PROMETHEUS_2 = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_WITH_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_TEXT_ONLY = "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Form.JSON),
        ("*/*", Form.JSON),
        ("application/json", Form.JSON),
        ("Application/JSON", Form.JSON),
        ("application/*", Form.JSON),
        (BROWSER, Form.JSON),
        ("text/plain", Form.PROMETHEUS),
        ("text/*", Form.PROMETHEUS),
        ("text/plain;version=0.0.4", Form.PROMETHEUS),
        ("application/openmetrics-text", Form.OPENMETRICS),
        (PROMETHEUS_2, Form.OPENMETRICS),
        (PROMETHEUS_3, Form.OPENMETRICS),
        (PROMETHEUS_WITH_PROTOBUF, Form.OPENMETRICS),
        (PROMETHEUS_TEXT_ONLY, Form.PROMETHEUS),
        ("text/plain, application/json", Form.JSON),
        ("text/plain, application/json;q=0.9", Form.PROMETHEUS),
        ("application/json;q=0.2, text/plain;q=0.3", Form.PROMETHEUS),
        ("application/json;q=0.2, text/plain;Q=0.1", Form.JSON),
        ("application/json; q=0, */*", Form.PROMETHEUS),
        ("application/openmetrics-text;q=0, text/plain;q=0, */*;q=0.5", Form.JSON),
        ("*/*;q=0.9, text/*;q=0.1", Form.JSON),
        ("image/png", Form.JSON),
        ("*/*;q=0", Form.JSON),
        ("text/plain;q=7, application/json;q=0.1", Form.JSON),
        ("text/plain;q=nan, application/json;q=0.1", Form.JSON),
        ("text/plain;q=1.5", Form.JSON),
        ("text, plain;;;q=, ;q=1, text/plain", Form.PROMETHEUS),
        ("application/json;q=0.001, text/plain;q=0.002", Form.PROMETHEUS),
    ],
)
def test_the_accept_header_decides(accept: str, form: Form) -> None:
    assert negotiate(accept) is form


@given(st.text(st.sampled_from('atxplinjsoqm/*;=,.019- "'), max_size=80))
def test_any_header_gets_some_form(accept: str) -> None:
    assert negotiate(accept) in Form


def test_content_types_name_version_and_charset_where_scrapers_look_for_them() -> None:
    assert Form.PROMETHEUS.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert Form.OPENMETRICS.content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert Form.JSON.content_type == "application/json"
