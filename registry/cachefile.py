"""The last good registry on disk, for a start while every Eureka server is down.

A file of ours begins with a line that says so, then one of JSON with a checksum, then the registry in Eureka's own
format. It is replaced as a whole, so that a crash at any moment leaves a complete one.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import msgspec

from registry.codec import GarbledRegistry, decode_applications, encode_applications
from registry.instance import Instance
from registry.snapshot import Snapshot

_FIRST_LINE = b"prana registry cache, format 1\n"
_MAX_BYTES = 64 * 1024 * 1024


class CacheUnusable(Exception):
    """The file cannot be read, or written; the text says why."""


class _Header(msgspec.Struct):
    sha256: str
    read_epoch_s: float  # when a server last confirmed what is in the file
    servers: list[str]  # whose registry it is, without credentials


@dataclass(frozen=True, slots=True)
class Cached:
    instances: tuple[Instance, ...]
    read_epoch_s: float


class CacheFile:
    """`servers` are those of the configuration: the registry of entirely different ones is of no use. Blocks."""

    def __init__(self, path: Path, servers: Collection[str]) -> None:
        self.path = path
        self._servers = sorted(servers)

    def read(self) -> Cached | None:
        """None when there is no file. Raises CacheUnusable for one that is damaged or of another registry."""
        try:
            with self.path.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CacheUnusable(error.strerror or str(error)) from None
        if not content.startswith(_FIRST_LINE):
            raise CacheUnusable("it is no registry cache" if content else "it is empty")
        line, _, body = content.removeprefix(_FIRST_LINE).partition(b"\n")
        try:
            header = msgspec.json.decode(line, type=_Header)
            if hashlib.sha256(body).hexdigest() != header.sha256:
                raise CacheUnusable("its checksum is wrong")
            listing = decode_applications(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, GarbledRegistry):
            raise CacheUnusable("it is damaged") from None
        if self._servers and not set(self._servers) & set(header.servers):
            raise CacheUnusable("it is the registry of other servers")
        return Cached(tuple(entry.instance for entry in listing.entries), header.read_epoch_s)

    def write(self, snapshot: Snapshot, read_epoch_s: float, pause: Callable[[], None] = lambda: None) -> None:
        """Raises CacheUnusable. A file that is not ours is never overwritten: it was named by mistake."""
        pieces = []
        for piece in encode_applications(snapshot.instances.values()):
            pieces.append(piece)
            pause()
        body = b"".join(pieces)
        header = _Header(hashlib.sha256(body).hexdigest(), read_epoch_s, self._servers)
        temporary = self.path.with_name(self.path.name + ".tmp")
        try:
            if self._is_foreign():
                raise CacheUnusable("a file that is no registry cache has this name; it is left alone")
            self._write_through(temporary, [_FIRST_LINE, msgspec.json.encode(header), b"\n", body])
            temporary.replace(self.path)
            _sync_directory(self.path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):  # on a full disk its remains would fill it further
                temporary.unlink()
            raise CacheUnusable(error.strerror or str(error)) from None

    def _is_foreign(self) -> bool:
        try:
            with self.path.open("rb") as file:
                start = file.read(len(_FIRST_LINE))
        except FileNotFoundError:
            return False
        return bool(start) and not _FIRST_LINE.startswith(start)

    def _write_through(self, path: Path, pieces: list[bytes]) -> None:
        # Readable by nobody else: a registry tells where everything is. Not through a link somebody laid there.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    """Makes the new name last over a power failure, too."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
