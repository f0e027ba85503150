"""Errors of the admin port, as problem+json (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from aiohttp import web

SAFETY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
    "Server": "prana",  # instead of the versions of Python and aiohttp
    "X-Content-Type-Options": "nosniff",
}
"""On every answer: nothing here may be cached, guessed to be a page, or run anything."""


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None, **members: object) -> web.Response:
    """An error answer; `members` are added to the document."""
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return web.Response(
        body=msgspec.json.encode(document | members),
        status=status,
        headers={**SAFETY_HEADERS, **(headers or {})},
        content_type="application/problem+json",
    )
