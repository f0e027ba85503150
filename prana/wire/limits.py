"""Bounds of the data plane: what one peer may make us hold, and for how long.

Sizes follow nginx's and aiohttp's defaults, times HAProxy's and nginx's; a sidecar talks to few, known
programs, so anything beyond them is refused and never accommodated.
"""

from typing import Final

MAX_LINE_BYTES: Final = 8 * 1024  # request line, and each header line
MAX_HEADERS: Final = 100
MAX_HEAD_BYTES: Final = 32 * 1024
MAX_EMPTY_LINES: Final = 4  # passed over before a request line
MAX_INTERIM_RESPONSES: Final = 16  # 1xx before the final head

# Framing that each chunk may bring for nothing; beyond it and twice the data, MAX_HEAD_BYTES in all. One byte per chunk
# is legal and costs five.
CHUNK_OVERHEAD_BYTES: Final = 16
CHUNKS_PER_TURN: Final = 1024  # of one connection, about a millisecond; then the others get their turn

BODY_HIGH_WATER_BYTES: Final = 64 * 1024  # buffered per direction before the producer is paused
FEED_BYTES: Final = 64 * 1024  # parsed at once
MAX_PIPELINED: Final = 2  # parsed requests waiting on one connection before no more of its bytes are parsed

DEFAULT_IDLE_TIMEOUT_S: Final = 60.0  # between body bytes, until the service of a request is known
HEAD_TIMEOUT_S: Final = 10.0  # for the whole head, so a byte a second does not keep a slot
PACE_WINDOW_S: Final = 30.0  # over which a request body must keep up `proxy.min_upload_rate`
WRITE_STALL_TIMEOUT_S: Final = 30.0  # in which a caller must read at least this much of an answer that waits for it
WRITE_STALL_BYTES: Final = 16 * 1024
KEEP_ALIVE_TIMEOUT_S: Final = 60.0
# How long a body waits for the instance's 100 Continue; curl's own patience. Many servers never send one.
CONTINUE_TIMEOUT_S: Final = 1.0
TLS_GOODBYE_S: Final = 2.0  # for an instance to answer close_notify on a connection that idled too long
LINGER_TIMEOUT_S: Final = 2.0  # after an early answer: time for the caller to read it
DRAIN_IDLE_S: Final = 0.5  # without a request, before a connection counts as idle when we leave
SWEEP_INTERVAL_S: Final = 1.0  # one timer for all connections; times above are kept to this grain

# Below the keep-alive of Node (5 s), uvicorn (5 s) and most other app servers, so that we drop an idle
# connection before the server does: a request sent into a closing connection is lost.
UPSTREAM_IDLE_TIMEOUT_S: Final = 4.0
# Of one that had no request yet: servers give the first head more time, Tomcat 20 s, nginx and Node a minute.
UNUSED_IDLE_TIMEOUT_S: Final = 15.0
# A request that must not be replayed takes only a connection used this recently, else a new one.
UPSTREAM_FRESH_IDLE_S: Final = 1.0
MAX_HOPS: Final = 20  # `Via: prana` entries before a request counts as looping
