"""Comparing blobs with their digests: once each, and again when a file changed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from trunkline.errors import CorruptBlobError, NotInStoreError, StoreError
from trunkline.runtime import Runtime
from trunkline.runtime.checking import PIECE_BYTES, Checked
from trunkline.store import Store, StoredBlock


def blob(path: Path, content: bytes) -> StoredBlock:
    """A blob of that content, in a file."""
    path.write_bytes(content)
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    return StoredBlock("b", digest, len(content), len(content), 0, ())


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1])
def test_a_blob_is_read_once(tmp_path: Path, size: int) -> None:
    """Of any length; and again after its file was replaced, by the same content too."""
    path = tmp_path / "b"
    block = blob(path, os.urandom(size))
    checked = Checked(lambda digest: path)
    assert checked.check([(block.digest, block), (block.digest, block)]) == size
    assert checked.check([(block.digest, block)]) == 0
    fresh = tmp_path / "fresh"
    fresh.write_bytes(path.read_bytes())
    fresh.rename(path)
    assert checked.check([(block.digest, block)]) == size


def test_other_content_is_told_with_both_digests(tmp_path: Path) -> None:
    """At each call, though it is read once; the right content is taken again."""
    path = tmp_path / "b"
    block, checked = blob(path, b"right"), Checked(lambda digest: path)
    checked.check([(block.digest, block)])
    other = blob(path, b"wrong")
    for _ in range(2):
        with pytest.raises(CorruptBlobError) as caught:
            checked.check([(block.digest, block)])
        assert block.digest in str(caught.value)
        assert other.digest in str(caught.value)
    path.write_bytes(b"right")
    assert checked.check([(block.digest, block)]) == 5


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """Another length, no file, a pipe: each is told with the digest, and nobody waits."""
    path = tmp_path / "b"
    block, checked = blob(path, b"right"), Checked(lambda digest: path)
    path.write_bytes(b"longer")
    with pytest.raises(CorruptBlobError, match=f"{block.digest} has 6 bytes, not 5"):
        checked.check([(block.digest, block)])
    path.unlink()
    with pytest.raises(NotInStoreError, match=block.digest):
        checked.check([(block.digest, block)])
    os.mkfifo(path)
    with pytest.raises(StoreError, match=f"{block.digest} is no regular file"):
        checked.check([(block.digest, block)])


@pytest.mark.parametrize("partial", [True, False])
def test_a_runtime_reads_what_is_not_resident_once(store: Store, add: Any, partial: bool) -> None:
    """Blocks that two models share once, and none that is in memory; a damaged one is named."""
    base = add("a", "conv")
    add("b", "conv", 1, base, lambda key: not key.startswith("8."))
    own, shared = (
        sum(one.size for one in store.model("b").blocks if (one in store.model("a").blocks) == both)
        for both in (False, True)
    )
    with Runtime(store, memory_bytes=10**6, partial=partial) as runtime:
        assert runtime.verify("a") == own + shared
        assert runtime.verify("b") == own
        assert runtime.verify("b") == 0
        runtime.switch("b")
        damaged = next(one for one in store.model("b").blocks if one.id == "8")
        path = store.blob_path(damaged.digest)
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        assert runtime.verify("b") == 0
        runtime.clear()
        with pytest.raises(CorruptBlobError, match=damaged.digest):
            runtime.verify("b")
        assert runtime.verify("a") == 0
