"""What telling whether an answer may be shared leaves behind."""

import tracemalloc

from prana.request import Request
from prana.sharing import may_share
from prana.wire.fields import Field


def test_long_lists_are_not_remembered() -> None:
    members = b",".join(b"%x" % number for number in range(1500))
    tracemalloc.start()
    try:
        for number in range(200):
            asked = Request(b"GET", b"/a", [Field(b"Cache-Control", b"%d,%b" % (number, members))], 0.0)
            assert may_share(asked)
        left_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left_bytes < 200_000
