"""Pieces of requests and answers that tests of several rules send."""

from collections.abc import Mapping

import pytest

from tests.integration.conftest import Peer, Upstream, answering, get

CHUNKED = b"Transfer-Encoding: chunked"
SMUGGLED = b"GET /orders/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
FINE = b"HTTP/1.1 200 OK\r\n"


def bodied(*headers: bytes, body: bytes = b"0\r\n\r\n" + SMUGGLED) -> bytes:
    """A POST whose body, if its headers were believed, hides another request."""
    return get(b"/orders/", *headers, method=b"POST") + body


def chunked_answer(chunks: bytes, *headers: bytes) -> bytes:
    return FINE + b"".join(line + b"\r\n" for line in (*headers, CHUNKED)) + b"\r\n" + chunks


def replying(upstream: Upstream, answer: bytes) -> None:
    """Every request gets this answer."""

    async def serve(peer: Peer) -> None:
        await answering(peer, answer)

    upstream.serve = serve


def requests(table: Mapping[str, bytes]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("raw", table.values(), ids=table.keys())


def answers(table: Mapping[str, bytes]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("nonsense", table.values(), ids=table.keys())
