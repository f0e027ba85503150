"""Which form an answer has: JSON or XML, by the request's Accept header (RFC 9110 section 12.5.1)."""

from typing import Literal

from registry.server.document import Document, to_json
from registry.server.document_xml import to_xml

Form = Literal["json", "xml"]

_FORMS: dict[str, Form] = {
    "application/json": "json",
    "application/xml": "xml",
    # XML is what Eureka gives to who does not mind.
    "application/*": "xml",
    "*/*": "xml",
}
CONTENT_TYPES = {"json": "application/json", "xml": "application/xml"}


def accepted_form(accept: str) -> Form | None:
    """The form the client likes best; the earlier of equals. None: it accepts neither.

    Raises ValueError for a weight that is no number.
    """
    best: tuple[float, Form] | None = None
    for media_range in (accept or "*/*").split(","):
        media_type, *parameters = (part.strip().lower() for part in media_range.split(";"))
        form = _FORMS.get(media_type)
        weight = _weight(parameters)
        if form is not None and (best is None or weight > best[0]):
            best = weight, form
    return best and best[1]


def listed_form(accept: str) -> Form:
    """Of the lists: any mention of JSON is enough, whatever its weight, as in `ApplicationsResource`."""
    return "json" if "json" in accept else "xml"


def written(document: Document, form: Form) -> bytes:
    return to_json(document) if form == "json" else to_xml(document)


def _weight(parameters: list[str]) -> float:
    return next((float(it.removeprefix("q=")) for it in parameters if it.startswith("q=")), 1.0)
