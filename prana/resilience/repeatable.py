"""Which requests may reach instances twice."""

from collections.abc import Collection

from prana.request import Request


class Repeatable:
    """Those with a method whose repetition changes nothing, or that the service itself recognises as repeated
    (draft-ietf-httpapi-idempotency-key-header); and whose body, if there is one, is still at hand."""

    __slots__ = ("_by_key", "_methods")

    def __init__(self, methods: Collection[str], *, by_key: bool) -> None:
        """`by_key`: whether services heed Idempotency-Key. Methods are case-sensitive (RFC 9110 section 9.1)."""
        self._methods = frozenset(method.encode() for method in methods)
        self._by_key = by_key

    def __call__(self, request: Request) -> bool:
        if request.method not in self._methods and not (self._by_key and _has_key(request)):
            return False
        return request.body is None or request.body.replayable


def _has_key(request: Request) -> bool:
    return any(field.lower == b"idempotency-key" and field.value for field in request.headers)
