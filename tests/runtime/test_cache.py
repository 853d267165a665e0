"""The system's cache of file pages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trunkline.runtime.cache import drop_cached, warm_files
from trunkline.runtime.pages import cached_bytes

BYTES = 3_000_000


def read_at_once(path: Path) -> bool:
    """Whether the system gives a byte in the middle without waiting for the disk (an oracle that
    shares nothing with `mincore`)."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.preadv(fd, [bytearray(1)], BYTES // 2, os.RWF_NOWAIT) == 1
    except BlockingIOError:
        return False
    finally:
        os.close(fd)


def cached(path: Path) -> int:
    """Cached bytes of the file at a path."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return cached_bytes(fd)
    finally:
        os.close(fd)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of 3 MB that was just written, on a file system that lets go of its pages."""
    if not hasattr(os, "posix_fadvise") or not hasattr(os, "RWF_NOWAIT"):
        pytest.skip("this system cannot be asked")
    lines = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    below = [(len(where), kind) for _, where, kind, *_ in lines if tmp_path.is_relative_to(where)]
    if max(below)[1] not in ("ext2", "ext3", "ext4", "xfs", "btrfs"):
        pytest.skip("temporary files lie on a file system that may keep its pages")
    path = tmp_path / "f"
    path.write_bytes(os.urandom(BYTES))
    return path


def test_pages_that_were_just_written_are_dropped_too(path: Path) -> None:
    """A file that has not reached the disk yet: dropped, nothing of it left in memory, unharmed."""
    content = path.read_bytes()
    assert drop_cached([path])
    assert cached(path) == 0
    assert not read_at_once(path)
    assert path.read_bytes() == content


def test_warm_files_are_cached_to_the_last_page(path: Path) -> None:
    """Dropped, then warmed: every page is there, and the bytes read are the file's."""
    assert drop_cached([path])
    assert warm_files([path, path]) == 2 * BYTES
    assert cached(path) >= BYTES
    assert read_at_once(path)


def test_asking_brings_nothing_in(path: Path) -> None:
    """What was dropped stays dropped when one looks."""
    assert drop_cached([path])
    assert [cached(path) for _ in range(3)] == [0, 0, 0]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no file system in memory")
def test_a_file_system_in_memory_keeps_its_pages() -> None:
    """There is nowhere to read them from again, and the answer says so."""
    path = Path(f"/dev/shm/trunkline-test-{os.getpid()}")
    path.write_bytes(bytes(1_000_000))
    try:
        assert not drop_cached([path])
    finally:
        path.unlink()


def test_small_files_and_none(tmp_path: Path) -> None:
    """Empty files count nothing, no files are dropped at once, and missing ones are an error."""
    (tmp_path / "empty").touch()
    assert warm_files([tmp_path / "empty"]) == 0
    assert cached(tmp_path / "empty") == 0
    if hasattr(os, "posix_fadvise"):
        assert drop_cached([])
        assert drop_cached([tmp_path / "empty"])
    for function in (drop_cached, warm_files):
        with pytest.raises(OSError, match="gone"):
            function([tmp_path / "gone"])
