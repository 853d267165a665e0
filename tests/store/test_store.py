"""The store as its users see it: names, sharing, replacing, removing, collecting, verifying."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trunkline.errors import CorruptBlobError, InputError, NotInStoreError, StoreError
from trunkline.store import Store, Tensors, importing

LAYER = 8 * 8 * 4 + 8 * 4
"""Payload of a layer of `layered`: 8 x 8 weights and 8 biases of 4 bytes."""


def blobs(store: Store) -> set[str]:
    """The names of all blobs there are."""
    return {path.name for path in (store.path / "blobs" / "sha256").iterdir()}


def test_shared_layers_are_stored_once(store: Store, layered: Callable[..., Tensors]) -> None:
    """The report counts what came in, what was new, and who shares it; files agree."""
    first = store.add("a", layered(1, 2, 3))
    assert (first.bytes_in, first.bytes_new, first.blocks_new) == (3 * LAYER, 3 * LAYER, 3)
    assert first.shared == {}
    second = store.add("b", layered(1, 2, 9, 9))
    # Layers 2 and 3 of `b` have equal values under different names: two blocks.
    assert (second.bytes_in, second.bytes_new) == (4 * LAYER, 2 * LAYER)
    assert (second.blocks, second.blocks_new) == (4, 2)
    assert second.shared == {"a": 2 * LAYER}
    assert store.add("c", layered(5)).shared == {}


def test_the_library_names_blocks_by_digest(store: Store, layered: Callable[..., Tensors]) -> None:
    """What the planners see: payload bytes, shared blocks once."""
    store.add("a", layered(1, 2, 3))
    store.add("b", layered(1, 2, 9))
    library = store.library()
    assert [model.id for model in library] == ["a", "b"]
    assert library.sharing_matrix.tolist() == [[3 * LAYER, 2 * LAYER], [2 * LAYER, 3 * LAYER]]
    assert library.distinct_bytes == 4 * LAYER
    assert library["a"].blocks == tuple(block.digest for block in store.model("a").blocks)


def test_blocks_come_in_execution_order(store: Store) -> None:
    """Tensors in memory give the order; the largest name may come first."""
    store.add("m", Tensors([("z.w", "U8", (1,), b"1"), ("a.w", "U8", (1,), b"2")]))
    assert [block.id for block in store.model("m").blocks] == ["z", "a"]


def test_the_same_again_is_nothing(store: Store, layered: Callable[..., Tensors]) -> None:
    """Importing a model once more changes no file and says so."""
    store.add("a", layered(1, 2))
    before = blobs(store), (store.path / "index.json").stat().st_mtime_ns
    report = store.add("a", layered(1, 2))
    assert report.unchanged
    assert report.bytes_new == 0
    assert (blobs(store), (store.path / "index.json").stat().st_mtime_ns) == before


def test_a_name_that_is_taken(store: Store, layered: Callable[..., Tensors]) -> None:
    """Other content under a name is refused and leaves nothing, unless it may replace."""
    store.add("a", layered(1, 2))
    before = blobs(store)
    with pytest.raises(StoreError, match="--replace"):
        store.add("a", layered(1, 3))
    assert blobs(store) == before
    assert store.add("a", layered(1, 3), replace=True).replaced
    assert store.names() == ["a"]
    assert store.model("a").blocks[0].digest.removeprefix("sha256:") in before


def test_a_lost_blob_is_healed_by_importing_again(
    store: Store, layered: Callable[..., Tensors]
) -> None:
    """A blob that is missing or cut short comes back with the next import of the model."""
    store.add("a", layered(1, 2))
    lost, cut = store.model("a").blocks
    store.blob_path(lost.digest).unlink()
    store.blob_path(cut.digest).write_bytes(b"short")
    again = Store.open(store.path)
    with pytest.raises(NotInStoreError, match=lost.digest):
        again.model("a")
    report = again.add("a", layered(1, 2))
    assert not report.unchanged
    assert report.blocks_new == 2
    assert again.verify().ok


def test_names_of_models_are_safe(store: Store, layered: Callable[..., Tensors]) -> None:
    """A name that is not safe in paths and URLs is refused with one that is."""
    for name, better in {
        "": "model", "a/b": "a-b", "../x": "x", ".hidden": "hidden", "é": "model",
        "a b": "a-b", "a\n": "a", "x" * 129: "x" * 128,
    }.items():  # fmt: skip
        with pytest.raises(InputError) as refused:
            store.add(name, layered(1))
        assert str(refused.value).endswith(f"try {better!r}")
        store.add(better, layered(1), replace=True)


def test_a_model_that_is_not_there(store: Store, layered: Callable[..., Tensors]) -> None:
    """A missing model is an error that names some that are there."""
    store.add("resnet", layered(1))
    for use in (store.model, store.remove, lambda name: store.verify([name])):
        with pytest.raises(NotInStoreError, match="no model 'bert'"):
            use("bert")
    with pytest.raises(NotInStoreError, match="resnet"):
        store.model("bert")


def test_remove_and_gc_leave_what_others_need(
    store: Store, layered: Callable[..., Tensors]
) -> None:
    """gc frees exactly the blobs that no model reaches any more."""
    store.add("a", layered(1, 2, 3))
    kept = blobs(store)
    store.add("b", layered(1, 2, 9))
    assert store.gc().blobs == 0
    own = blobs(store) - kept
    store.remove("b")
    assert store.names() == ["a"]
    report = store.gc()
    assert blobs(store) == kept
    assert report.blobs == len(own)
    assert report.bytes >= LAYER
    assert store.verify().ok


def test_gc_refuses_where_it_cannot_tell(store: Store, layered: Callable[..., Tensors]) -> None:
    """With a manifest gone nobody knows what it named, so nothing is removed."""
    store.add("a", layered(1))
    store.blob_path(store.model("a").digest).unlink()
    before = blobs(store)
    with pytest.raises(StoreError, match="none was removed"):
        Store.open(store.path).gc()
    assert blobs(store) == before


def test_gc_keeps_other_tools_artifacts(store: Store, layered: Callable[..., Tensors]) -> None:
    """An image that another tool put into the layout keeps its blobs and stays out of the list."""
    import json

    from trunkline.store.digests import digest_of

    layer, config = b"layer", b"{}"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "config": {"mediaType": "x/y", "digest": digest_of(config), "size": 2},
            "layers": [{"mediaType": "x/y", "digest": digest_of(layer), "size": 5}],
        }
    ).encode()
    for content in (layer, config, manifest):
        store.blob_path(digest_of(content)).write_bytes(content)
    entry = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/x",
        "digest": digest_of(manifest),
        "size": len(manifest),
        "annotations": {"org.opencontainers.image.ref.name": "theirs"},
    }
    (store.path / "index.json").write_text(json.dumps({"manifests": [entry]}))
    store.add("ours", layered(1))
    assert store.names() == ["ours"]
    assert store.gc().blobs == 0
    assert store.verify().ok


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_verify_says_which_models_a_bad_blob_breaks(
    store: Store, layered: Callable[..., Tensors], damage: str
) -> None:
    """A changed byte, a short file or none: reported with digest and models; others are well."""
    store.add("a", layered(1, 2))
    store.add("b", layered(1, 3))
    store.add("c", layered(4))
    block = store.model("a").blocks[0]
    path = store.blob_path(block.digest)
    content = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content[:-1] + (b"" if damage == "cut" else bytes([content[-1] ^ 1])))
    report = Store.open(store.path).verify()
    (problem,) = report.problems
    assert (problem.place, problem.models) == (block.digest, ("a", "b"))
    assert not report.ok
    assert store.verify(["c"]).ok
    assert not store.verify(["c", "b"]).ok
    if damage == "cut":
        with pytest.raises(CorruptBlobError):
            Store.open(store.path).model("a")


def test_verify_reads_manifests_and_unnamed_blobs(
    store: Store, layered: Callable[..., Tensors]
) -> None:
    """A damaged manifest and a damaged blob that nothing names are found, too."""
    store.add("a", layered(1))
    store.add("b", layered(2))
    store.remove("b")
    unnamed = blobs(store) - {
        one.removeprefix("sha256:") for one in Store.open(store.path)._catalog.reachable()
    }
    victim = store.path / "blobs" / "sha256" / sorted(unnamed)[0]
    victim.write_bytes(victim.read_bytes() + b"x")
    digest = store.model("a").digest
    store.blob_path(digest).write_bytes(b"{}")
    found = {one.place: one.models for one in Store.open(store.path).verify().problems}
    assert found == {f"sha256:{victim.name}": (), digest: ("a",)}


def test_progress_ends_at_the_whole(store: Store, layered: Callable[..., Tensors]) -> None:
    """Progress only grows, its whole stays the same, and it ends with all bytes done."""
    seen: list[tuple[int, int]] = []
    store.add("a", layered(1, 2), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (2 * LAYER, 2 * LAYER)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    seen.clear()
    store.verify(progress=lambda done, total: seen.append((done, total)))
    files = sum(path.stat().st_size for path in (store.path / "blobs" / "sha256").iterdir())
    assert seen[-1] == (files, files)
    assert {total for _, total in seen} == {files}
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_large_blocks_go_by_in_pieces(
    store: Store,
    layered: Callable[..., Tensors],
    monkeypatch: pytest.MonkeyPatch,
    contents: Callable[..., dict[str, Any]],
) -> None:
    """A block over the buffer's size is stored as a small one is, digest included."""
    store.add("a", layered(1, 2))
    monkeypatch.setattr(importing, "BUFFER_BYTES", 100)
    monkeypatch.setattr(importing, "PIECE_BYTES", 64)
    assert store.add("b", layered(1, 2)).blocks_new == 0
    store.add("c", layered(1, 3))
    assert store.verify().ok
    assert contents(store, store.model("b")) == contents(store, store.model("a"))


def test_a_source_that_changes_while_it_is_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large block whose second reading differs from the first is refused, not misnamed."""
    monkeypatch.setattr(importing, "BUFFER_BYTES", 100)
    data = bytearray(1000)
    source = Tensors([("w", "U8", (1000,), data)])

    def progress(done: int, total: int) -> None:
        if done == total:  # the first reading is over
            data[5] = 1

    with pytest.raises(StoreError, match="changed while it was read"):
        store.add("a", source, progress=progress)
    assert blobs(store) == set()


def test_a_store_is_light() -> None:
    """Importing the store loads neither torch nor safetensors nor transformers."""
    code = (
        "import sys, trunkline.store\n"
        "assert not {'torch', 'safetensors', 'transformers', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_path_may_begin_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Store.open("~/s", create=True).path == tmp_path / "s"
