"""Which form of the metrics a caller gets: RFC 9110 12.5.1, with JSON as the answer to "anything"."""

import re
from enum import StrEnum

_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")  # RFC 9110 12.4.2


class Form(StrEnum):
    """A form of the metrics, by its name in `?format=`. The order is our preference among equals."""

    JSON = "json"
    PROMETHEUS = "prometheus"
    OPENMETRICS = "openmetrics"

    @property
    def media_type(self) -> str:
        return _MEDIA_TYPES[self]

    @property
    def content_type(self) -> str:
        return _CONTENT_TYPES[self]


_MEDIA_TYPES = {
    Form.JSON: "application/json",
    Form.PROMETHEUS: "text/plain",
    Form.OPENMETRICS: "application/openmetrics-text",
}
_CONTENT_TYPES = {
    Form.JSON: "application/json",
    Form.PROMETHEUS: "text/plain; version=0.0.4; charset=utf-8",
    Form.OPENMETRICS: "application/openmetrics-text; version=1.0.0; charset=utf-8",
}


def negotiate(accept: str) -> Form:
    """The form with the highest quality in an Accept header; JSON among equals, and when nothing fits.

    Parameters other than `q` are not compared: each form has one version, and every scraper that asks for another
    version of it reads ours. Ranges that do not parse are ignored. Nothing acceptable gets JSON rather than 406:
    a person with an odd client is better served by some answer (RFC 9110 12.5.1 allows it).
    """
    ranges = _qualities(accept)
    best = max(Form, key=lambda form: _quality(form.media_type, ranges))  # max() keeps the first among equals
    return best if _quality(best.media_type, ranges) > 0 else Form.JSON


def _qualities(accept: str) -> dict[str, float]:
    """Quality by media range; the best one counts where a range is named several times, as Prometheus does."""
    qualities: dict[str, float] = {}
    for element in accept.lower().split(","):
        media_range, *parameters = (part.strip() for part in element.split(";"))
        quality = "1"
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name == "q":
                quality = value
        if "/" in media_range and _QUALITY.fullmatch(quality):
            qualities[media_range] = max(float(quality), qualities.get(media_range, 0.0))
    return qualities


def _quality(media_type: str, qualities: dict[str, float]) -> float:
    """The quality of the most specific range that matches; 0 when none does."""
    major = media_type.partition("/")[0]
    for media_range in (media_type, f"{major}/*", "*/*"):
        if media_range in qualities:
            return qualities[media_range]
    return 0.0
