import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.cachefile import CacheFile, CacheUnusable
from registry.instance import Instance, Status
from registry.snapshot import EMPTY, Snapshot

SERVERS = ["http://eureka-1/eureka/", "http://eureka-2/eureka/"]
FULL = Instance(
    app="ORDERS",
    id="orders-1:5000",
    host="orders-1",
    ip="10.0.0.7",
    port=5000,
    status=Status.OUT_OF_SERVICE,
    vips=("orders", "shop"),
    secure_vips=("orders-tls",),
    secure_port=443,
    zone="a",
    metadata={"zone": "a", "ключ": "значение"},
    last_dirty_ms=1,
    last_updated_ms=2,
)
BARE = Instance(app="USERS", id="u", host="u", ip="10.0.0.8", port=0)
REGISTRY = Snapshot.of([FULL, BARE])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.cache"


@pytest.fixture
def file(path: Path) -> CacheFile:
    return CacheFile(path, SERVERS)


def test_what_was_written_is_read_back_as_it_was(file: CacheFile) -> None:
    file.write(REGISTRY, 1_800_000_000.25)
    cached = file.read()
    assert cached is not None
    assert Snapshot.of(cached.instances).instances == REGISTRY.instances
    assert cached.read_epoch_s == 1_800_000_000.25


def test_where_no_file_is_nothing_is_read(file: CacheFile) -> None:
    assert file.read() is None


def test_a_newer_registry_replaces_the_older_and_leaves_nothing_else_behind(file: CacheFile, path: Path) -> None:
    file.write(REGISTRY, 1.0)
    file.write(Snapshot.of([BARE]), 2.0)
    cached = file.read()
    assert cached is not None
    assert cached.instances == (BARE,)
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o600, "a registry tells where everything is"


def test_a_file_cut_off_or_changed_anywhere_is_refused(file: CacheFile, path: Path) -> None:
    file.write(REGISTRY, 1.0)
    good = path.read_bytes()
    for length in range(0, len(good), 7):
        path.write_bytes(good[:length])
        with pytest.raises(CacheUnusable, match=r"empty|no registry cache|damaged|checksum"):
            file.read()
    body_at = good.index(b"\n", good.index(b"\n") + 1)
    for at in range(body_at + 1, len(good), 7):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(CacheUnusable, match="checksum"):
            file.read()


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_other_content_is_refused_and_never_an_internal_error(file: CacheFile, path: Path, junk: bytes) -> None:
    for content in (junk, b"prana registry cache, format 1\n" + junk):
        path.write_bytes(content)
        with pytest.raises(CacheUnusable):
            file.read()


def test_the_registry_of_entirely_other_servers_is_refused(file: CacheFile, path: Path) -> None:
    file.write(REGISTRY, 1.0)
    assert CacheFile(path, [SERVERS[1], "http://new/"]).read() is not None
    with pytest.raises(CacheUnusable, match="other servers"):
        CacheFile(path, ["http://staging/"]).read()


@pytest.mark.parametrize("content", [b"[app]\nname = 'orders'\n", b"x", b"prana registry cache, format 2\n"])
def test_a_file_that_is_not_ours_is_never_overwritten(file: CacheFile, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CacheUnusable, match="left alone"):
        file.write(REGISTRY, 1.0)
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"prana registry", b"prana registry cache, format 1\nbroken"])
def test_a_damaged_file_of_ours_is_replaced(file: CacheFile, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    file.write(REGISTRY, 1.0)
    assert file.read() is not None


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    file = CacheFile(tmp_path / "no" / "file", SERVERS)
    assert file.read() is None
    with pytest.raises(CacheUnusable, match="No such file or directory"):
        file.write(REGISTRY, 1.0)


def test_a_name_that_is_a_directory_is_said(tmp_path: Path) -> None:
    file = CacheFile(tmp_path, SERVERS)
    with pytest.raises(CacheUnusable, match="Is a directory"):
        file.read()
    with pytest.raises(CacheUnusable, match="Is a directory"):
        file.write(REGISTRY, 1.0)


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(file: CacheFile, path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.with_name(path.name + ".tmp").symlink_to(victim)
    with pytest.raises(CacheUnusable):
        file.write(REGISTRY, 1.0)
    assert victim.read_text() == "precious"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_leaves_the_last_good_file(file: CacheFile, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write(REGISTRY, 1.0)

    def full(_: Path, *arguments: int) -> int:
        return really_open("/dev/full", os.O_WRONLY)

    really_open: Callable[..., int] = os.open
    monkeypatch.setattr(os, "open", full)
    with pytest.raises(CacheUnusable, match="No space left on device"):
        file.write(Snapshot.of([BARE]), 2.0)
    monkeypatch.undo()
    cached = file.read()
    assert cached is not None
    assert cached.read_epoch_s == 1.0


def test_a_write_that_fails_half_way_leaves_nothing_behind(
    file: CacheFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CacheUnusable, match="Input/output error"):
        file.write(REGISTRY, 1.0)
    assert list(path.parent.iterdir()) == []


def test_the_writer_gives_way_between_instances(file: CacheFile) -> None:
    pauses: list[None] = []
    file.write(REGISTRY, 1.0, lambda: pauses.append(None))
    assert len(pauses) >= len(REGISTRY.instances)


def test_an_empty_registry_can_be_written_and_read(file: CacheFile) -> None:
    file.write(EMPTY, 1.0)
    cached = file.read()
    assert cached is not None
    assert cached.instances == ()


def test_the_file_is_of_the_documented_form(file: CacheFile, path: Path) -> None:
    file.write(REGISTRY, 1.0)
    first, header, body = path.read_bytes().split(b"\n")
    assert first == b"prana registry cache, format 1"
    assert json.loads(header)["servers"] == SERVERS
    assert re.fullmatch("[0-9a-f]{64}", json.loads(header)["sha256"])
    assert json.loads(body)["applications"]
