"""The file of a `file` fallback, which is read once, at the start."""

import mimetypes
from pathlib import Path
from typing import Final

_MAX_BYTES: Final = 1024 * 1024  # it stays in memory
_UNKNOWN: Final = "application/octet-stream"
_TYPES: Final = mimetypes.MimeTypes()  # those that come with Python: not the system's, which differ


def content_of(path: str) -> bytes:
    """All of the file, up to 1 MiB. Raises ValueError that says what is wrong with it and what is allowed."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror or error}); name an existing file") from None
    if len(content) > _MAX_BYTES:
        raise ValueError(f"{path} is larger than 1MiB, which is allowed for an answer that stays in memory")
    return content


def media_type_of(path: str) -> str:
    """By the suffix of the name; that of any bytes when it says nothing."""
    found, encoding = _TYPES.guess_type(Path(path).name)
    return found if found is not None and encoding is None else _UNKNOWN
