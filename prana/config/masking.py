"""Credentials are never shown: not in logs, messages, or the effective configuration."""

import re

# Up to the last "@" before the path, so that a password with an "@" in it is covered as a whole.
_USERINFO = re.compile(r"://[^/\s]*@")


def mask_credentials(text: str) -> str:
    """The text with the `user:password` of every URL in it replaced by `***`."""
    return _USERINFO.sub("://***@", text)


def is_secret(name: str) -> bool:
    """Whether the value of a property with this name is none to show; names are all that is known of properties."""
    return re.search(r"password|passwd|secret|token|credential|private.?key", name, re.IGNORECASE) is not None
