"""The files of a store: made, opened, locked, written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trunkline.errors import CorruptBlobError, NotInStoreError, StoreBusyError, StoreError
from trunkline.store import Store, Tensors
from trunkline.store.digests import digest_of
from trunkline.store.layout import Layout


def test_a_store_is_an_oci_image_layout(store: Store) -> None:
    """The marker and the index read as the OCI image layout demands."""
    assert json.loads((store.path / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((store.path / "index.json").read_text())
    assert index["schemaVersion"] == 2
    assert index["manifests"] == []
    assert (store.path / "blobs" / "sha256").is_dir()


def test_a_store_is_made_only_when_asked(tmp_path: Path) -> None:
    """Opening what is not there is an error that says how to make it."""
    with pytest.raises(NotInStoreError, match="trunkline import"):
        Store.open(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    """No store is made among files that are not a store's."""
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(StoreError, match=r"thesis\.tex"):
        Store.open(tmp_path, create=True)
    with pytest.raises(StoreError, match="cannot open"):
        Store.open(tmp_path / "thesis.tex", create=True)


def test_a_half_made_store_is_finished(tmp_path: Path) -> None:
    """A kill between the first folder and the marker does no harm."""
    (tmp_path / "s" / "blobs").mkdir(parents=True)
    assert Store.open(tmp_path / "s", create=True).names() == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"manifests": 1}', b'{"manifests": [1]}'])
def test_a_corrupt_index_is_named(store: Store, content: bytes) -> None:
    """Whatever is wrong with index.json, the message names the file."""
    (store.path / "index.json").write_bytes(content)
    with pytest.raises(StoreError, match=r"index\.json"):
        store.names()


def test_other_versions_of_the_layout_are_refused(store: Store) -> None:
    """A marker of another version is no store of ours."""
    (store.path / "oci-layout").write_text('{"imageLayoutVersion": "2.0.0"}')
    with pytest.raises(StoreError, match=r"1\.0\.0"):
        Store.open(store.path)


def test_a_blob_is_opened_with_its_length(store: Store) -> None:
    """A blob that is missing or of another length is an error when it is opened."""
    layout = Layout.open(store.path)
    digest = digest_of(b"abc")
    with pytest.raises(NotInStoreError, match=digest):
        layout.open_blob(digest)
    layout.write_blob(digest, [b"ab", memoryview(b"c")])
    assert layout.has(digest, 3)
    assert not layout.has(digest, 4)
    layout.open_blob(digest, 3).close()
    with pytest.raises(CorruptBlobError, match="has 3 bytes"):
        layout.open_blob(digest, 4)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Limits the size of files: writes beyond fail as on a full disk (EFBIG). Nothing else may be
    written meanwhile, nor pytest's own output if that goes to a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_fails_leaves_everything_as_it_was(
    store: Store, layered: Callable[..., Tensors]
) -> None:
    """When no more can be written: a clear error, no temporaries, the index as before."""
    store.add("small", layered(1))
    before = (store.path / "index.json").read_bytes()
    with (
        pytest.raises(StoreError, match="cannot write to the store"),
        files_of_at_most(8192),
    ):
        store.add("large", layered(1, 2, size=100))  # 40,000 bytes a layer
    assert (store.path / "index.json").read_bytes() == before
    assert list((store.path / ".trunkline" / "tmp").iterdir()) == []
    assert store.names() == ["small"]
    assert store.verify().ok


def test_a_removal_on_a_full_disk_keeps_the_model(
    store: Store, layered: Callable[..., Tensors], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`remove` cannot write: the model stays, the message says how to make room, and gc does."""
    store.add("kept", layered(1))
    store.add("gone", layered(2))
    store.remove("gone")

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError, match=r"No space left.*models are as they were; `trunkline gc`"):
        store.remove("kept")
    assert store.names() == ["kept"]
    assert store.gc().blobs > 0


def test_a_read_only_store_is_read_and_says_that_it_is(
    store: Store, layered: Callable[..., Tensors], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing may be written, models are listed, shown and verified; who would write is told
    why not."""
    store.add("a", layered(1, 2))
    real_open = os.open

    def refuse(*_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    def read_only(path: str, flags: int, *rest: int) -> int:
        return refuse() if flags & (os.O_WRONLY | os.O_RDWR) else real_open(path, flags, *rest)

    monkeypatch.setattr(os, "open", read_only)
    monkeypatch.setattr(os, "mkdir", refuse)
    for lock in (True, False):
        if not lock:
            (store.path / ".trunkline").rename(store.path / "elsewhere")
        again = Store.open(store.path, create=True)
        assert again.names() == ["a"]
        assert again.library().distinct_bytes == again.model("a").bytes
        assert again.verify().ok
        uses = (again.add, ("b", layered(3))), (again.remove, ("a",)), (again.gc, ())
        for write, arguments in uses:
            with pytest.raises(StoreError, match="is read-only here: Read-only file system"):
                write(*arguments)


def test_every_folder_of_a_new_store_is_durable_before_it_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the marker gets its name, the folder above each folder that was made has been synced
    since: a power cut leaves a whole store or none."""
    done: list[tuple[str, str]] = []
    fsync, mkdir, replace = os.fsync, os.mkdir, os.replace

    def synced(fd: int) -> None:
        fsync(fd)
        done.append(("sync", os.path.realpath(f"/dev/fd/{fd}")))

    def made(path: str, *rest: int) -> None:
        mkdir(path, *rest)
        done.append(("make", str(path)))

    def named(source: str, target: str) -> None:
        done.append(("name", str(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "mkdir", made)
    monkeypatch.setattr(os, "replace", named)
    path = tmp_path / "some" / "where" / "store"
    Store.open(path, create=True)
    marked = done.index(("name", str(path / "oci-layout")))
    made_at = {Path(one): i for i, (what, one) in enumerate(done) if what == "make"}
    assert {path.parent.parent, path.parent, path, path / "blobs", path / "blobs" / "sha256"} <= (
        made_at.keys()
    )
    for folder, at in made_at.items():
        assert ("sync", str(folder.parent)) in done[at:marked], folder


def test_a_folder_among_the_temporaries_is_left_alone(
    store: Store, layered: Callable[..., Tensors]
) -> None:
    """Temporaries are files; a folder someone put there stays and is no error."""
    (store.path / ".trunkline" / "tmp" / "mine").mkdir()
    store.add("a", layered(1))
    assert store.gc().temporaries == 0
    assert (store.path / ".trunkline" / "tmp" / "mine").is_dir()


def test_a_store_that_lost_a_file_of_its_own_says_how_to_mend_it(
    store: Store, layered: Callable[..., Tensors]
) -> None:
    """Without `oci-layout` an import mends it; without `index.json` nothing is done that would
    hand the blobs to gc, and the message says what to write."""
    store.add("a", layered(1))
    (store.path / "oci-layout").unlink()
    with pytest.raises(NotInStoreError, match=r"lacks its file oci-layout; importing"):
        Store.open(store.path)
    assert Store.open(store.path, create=True).names() == ["a"]
    index = store.path / "index.json"
    index.unlink()
    for use in (store.names, store.gc, lambda: store.add("b", layered(2))):
        with pytest.raises(StoreError, match=r"lacks index\.json"):
            use()
    (store.path / "oci-layout").unlink()
    with pytest.raises(StoreError, match=r"lacks index\.json") as told:
        Store.open(store.path, create=True)
    index.write_text(str(told.value).split("'")[1])
    assert Store.open(store.path, create=True).add("a", layered(1)).blocks_new == 0


def test_a_full_disk_is_named(
    store: Store, layered: Callable[..., Tensors], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC becomes a message that says so; the import works once there is room."""
    real, left = os.write, [20_000]

    def write(fd: int, data: bytes) -> int:
        left[0] -= len(data)
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(StoreError, match="No space left on device"):
        store.add("m", layered(1, 2, 3, size=50))
    assert list((store.path / ".trunkline" / "tmp").iterdir()) == []
    assert store.names() == []
    monkeypatch.undo()
    store.add("m", layered(1, 2, 3, size=50))
    assert store.verify().ok


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_store_without_permission_is_named(store: Store, layered: Callable[..., Tensors]) -> None:
    """A store that may not be written to is a clear error."""
    (store.path / ".trunkline").chmod(0o500)
    try:
        with pytest.raises(StoreError, match="Permission denied"):
            store.add("m", layered(1))
    finally:
        (store.path / ".trunkline").chmod(0o700)


def test_an_import_keeps_gc_away(store: Store) -> None:
    """While an import runs, gc refuses; an import that is alone clears what was left behind."""
    layout = Layout.open(store.path)
    stale = store.path / ".trunkline" / "tmp" / "1-left"
    stale.write_bytes(b"x")
    with layout.importing():
        assert not stale.exists()
        with layout.importing():  # a second one beside it
            stale.write_bytes(b"in use")
            with pytest.raises(StoreBusyError, match="is running"):
                store.gc(wait_s=0.1)
        assert stale.exists()
    assert store.gc().temporaries == 1
