"""How an attempt ended, as far as its node is concerned."""

from enum import StrEnum


class Outcome(StrEnum):
    """What an attempt tells about its node; IGNORED tells nothing, as when the caller hung up."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"


class Trouble(StrEnum):
    """What was the matter, as far as judges of nodes differ about it."""

    NONE = "none"  # an answer came, whatever its status but those of LIMITED and THROTTLED, and even if no good HTTP
    LIMITED = "limited"  # 429: it works, but does no more for us now
    THROTTLED = "throttled"  # 502, 503 or 504: an answer that says that there is none
    BROKEN = "broken"  # no answer, or not all of it: a timeout, a reset
    REFUSED = "refused"  # nobody listens there


CONNECTION_TROUBLES = frozenset({Trouble.THROTTLED, Trouble.BROKEN, Trouble.REFUSED})
"""What Ribbon counts as a connection failure of a server."""
