"""What a request tells about its service."""

from enum import Enum


class Verdict(Enum):
    """The last two tell nothing: the caller left, or it was not the service's affair, such as a malformed request."""

    SUCCESS = "success"
    FAILURE = "failure"
    CANCELLED = "cancelled"
    IGNORED = "ignored"
