"""How requests are read and answers written, the same for every endpoint."""

import zlib
from collections.abc import Awaitable, Callable

from aiohttp import web

from registry.server.document import Document
from registry.server.media import CONTENT_TYPES, Form, accepted_form, written

MAX_BODY_BYTES = 4 * 1024 * 1024  # a batch has up to 250 instances

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_CANNOT_PARSE = {
    CONTENT_TYPES["json"]: b'{"error": "cannot parse request body"}',
    CONTENT_TYPES["xml"]: b"<error><message>cannot parse request body</message></error>",
}


@web.middleware
async def empty_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return empty(error.status, allow)


@web.middleware
async def only_acceptable(request: web.Request, handler: Handler) -> web.StreamResponse:
    """406 for who accepts neither form, also where there is nothing to answer with, as JAX-RS decides it."""
    if request.path.startswith("/eureka/"):
        accepted(request)
    return await handler(request)


def accepted(request: web.Request) -> Form:
    try:
        form = accepted_form(request.headers.get("Accept", ""))
    except ValueError as error:
        raise web.HTTPBadRequest from error
    if form is None:
        raise web.HTTPNotAcceptable
    return form


async def read_body(request: web.Request) -> tuple[str, bytes]:
    """The content type, JSON or XML, and the body.

    As in Eureka, a charset is checked and then ignored: JSON is in UTF-8, XML in the encoding that it declares.
    """
    content_type = request.content_type
    if content_type not in _CANNOT_PARSE or (request.charset or "utf-8").lower() not in ("utf-8", "iso-8859-1"):
        raise web.HTTPUnsupportedMediaType
    body = await request.read()
    if request.headers.get("Content-Encoding", "").lower() == "gzip":
        body = _unpacked(body)
    return content_type, body


def _unpacked(body: bytes) -> bytes:
    """Peers may compress their batches."""
    unpacking = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        plain = unpacking.decompress(body, MAX_BODY_BYTES)
    except zlib.error as error:
        raise web.HTTPBadRequest from error
    if unpacking.unconsumed_tail:
        raise web.HTTPRequestEntityTooLarge(max_size=MAX_BODY_BYTES, actual_size=len(plain))
    return plain


def unreadable(content_type: str) -> web.Response:
    """Eureka's words for a body of that type that it cannot read."""
    return web.Response(status=400, body=_CANNOT_PARSE[content_type], content_type=content_type)


def answered(document: Document, form: Form, status: int = 200) -> web.Response:
    return web.Response(status=status, body=written(document, form), content_type=CONTENT_TYPES[form])


def empty(status: int, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, headers=headers, content_type="application/xml")
