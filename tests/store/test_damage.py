"""Damaged stores: told, kept apart from what is well, and mended."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from trunkline.errors import InputError, StoreError
from trunkline.store import Store, Tensors, library_of
from trunkline.store.digests import digest_of
from trunkline.store.layout import Layout
from trunkline.store.manifest import ARTIFACT_TYPE, MANIFEST_TYPE, REF_NAME

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"


def flip(store: Store, digest: str, at: int = -1) -> None:
    """Change one bit of a blob, its length stays."""
    path = store.blob_path(digest)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def write_blob(store: Store, content: bytes) -> str:
    """Put a blob into a store by hand."""
    store.blob_path(digest_of(content)).write_bytes(content)
    return digest_of(content)


def entry(store: Store, document: Any, kind: str = MANIFEST_TYPE, **more: Any) -> dict[str, Any]:
    """A descriptor of a document that is put into the store."""
    raw = json.dumps(document).encode()
    return {"mediaType": kind, "digest": write_blob(store, raw), "size": len(raw), **more}


def edit_index(store: Store, change: Callable[[list[Any]], list[Any]]) -> None:
    """Replace the entries of index.json."""
    path = store.path / "index.json"
    document = json.loads(path.read_text())
    document["manifests"] = change(document["manifests"])
    path.write_text(json.dumps(document))


def named(name: str) -> dict[str, str]:
    """The annotations of an entry of this name."""
    return {REF_NAME: name}


@pytest.mark.parametrize("victim", ["block", "manifest", "trunkline.json"])
def test_a_flipped_bit_is_found_and_mended(
    store: Store, layered: Callable[..., Tensors], victim: str, contents: Callable[..., Any]
) -> None:
    """From damage to health: verify tells, quarantine moves the blob away, importing again brings
    the models back bit for bit, and what was moved away is still there to look at."""
    store.add("a", layered(1, 2))
    store.add("b", layered(1, 3))
    before = {name: contents(store, store.model(name)) for name in "ab"}
    model = store.model("a")
    digest = {"block": model.blocks[0].digest, "manifest": model.digest}.get(victim) or (
        model.files[victim]
    )
    broken = ("a",) if victim == "manifest" else ("a", "b")
    flip(store, digest)
    damaged = store.blob_path(digest).read_bytes()

    store = Store.open(store.path)
    store.add("a", layered(1, 2))  # the blob seems to be there: its length is right
    (problem,) = store.verify().problems
    assert (problem.place, problem.models, problem.wrong) == (digest, broken, True)

    report = store.verify(quarantine=True)
    assert report.quarantined == (digest,)
    assert not report.ok
    assert not store.blob_path(digest).exists()
    moved = store.path / ".trunkline" / "quarantine" / digest.removeprefix("sha256:")
    assert moved.read_bytes() == damaged
    assert set(Store.open(store.path).inventory().damaged) == set(broken)

    store.add("a", layered(1, 2))
    assert store.verify().ok
    assert {name: contents(store, store.model(name)) for name in "ab"} == before
    assert store.verify(quarantine=True).quarantined == ()


def test_only_wrong_blobs_go_into_quarantine(store: Store, layered: Callable[..., Tensors]) -> None:
    """A missing blob, and a right one of which a manifest lies, are told and not moved."""
    store.add("a", layered(1, 2))
    missing, right = store.model("a").blocks
    store.blob_path(missing.digest).unlink()
    document = json.loads(store.blob_path(store.model("a").digest).read_text())
    document["layers"][1]["size"] -= 1
    edit_index(store, lambda old: [*old, entry(store, document, annotations=named("liar"))])
    report = Store.open(store.path).verify(quarantine=True)
    assert {one.place: one.models for one in report.problems} == {
        missing.digest: ("a", "liar"),
        right.digest: ("a", "liar"),
    }
    assert report.quarantined == ()
    assert store.blob_path(right.digest).exists()


def test_a_blob_that_came_back_in_the_meantime_stays(
    store: Store, layered: Callable[..., Tensors], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between what verify finds and the moment it is alone, an import may have mended it."""
    store.add("a", layered(1))
    path = store.blob_path(store.model("a").blocks[0].digest)
    content = path.read_bytes()
    path.write_bytes(b"short")
    alone = Layout.alone

    def mended_first(layout: Layout, wait_s: float) -> Any:
        path.write_bytes(content)
        return alone(layout, wait_s)

    monkeypatch.setattr(Layout, "alone", mended_first)
    assert store.verify(quarantine=True).quarantined == ()
    assert store.verify().ok


def test_a_truncated_blob_is_wrong_too(store: Store, layered: Callable[..., Tensors]) -> None:
    """A blob that lost its end goes into quarantine as a changed one does."""
    store.add("a", layered(1))
    path = store.blob_path(store.model("a").blocks[0].digest)
    path.write_bytes(path.read_bytes()[:-1])
    assert len(store.verify(quarantine=True).quarantined) == 1


def test_damage_hides_nothing_that_is_well(store: Store, layered: Callable[..., Tensors]) -> None:
    """Of models with a lost block, a changed manifest, a nonsense entry, each is named with its
    reason; the others are listed with their bytes and their sharing."""
    for name, layers in {"good": (1, 2), "fine": (1, 3), "lost": (4,), "bent": (5,)}.items():
        store.add(name, layered(*layers))
    store.blob_path(store.model("lost").blocks[0].digest).unlink()
    flip(store, store.model("bent").digest)
    edit_index(store, lambda old: [*old, {"annotations": named("odd")}])
    again = Store.open(store.path)
    assert again.names() == ["bent", "fine", "good", "lost", "odd"]
    found = again.inventory()
    assert [model.name for model in found.models] == ["fine", "good"]
    assert found.damaged.keys() == {"lost", "bent", "odd"}
    assert "is missing" in str(found.damaged["lost"])
    assert "its content is" in str(found.damaged["bent"])
    assert "no descriptor" in str(found.damaged["odd"])
    library = library_of(found.models)
    assert [model.id for model in library] == ["fine", "good"]
    assert library.sharing_matrix[0, 1] == found.models[0].blocks[0].bytes
    with pytest.raises(StoreError, match=r"model 'lost' is damaged.*`trunkline verify`"):
        again.model("lost")
    # A new import neither minds the others' damage nor counts it.
    assert again.add("new", layered(1, 9)).shared.keys() == {"good", "fine"}


@pytest.mark.parametrize(
    ("index", "says"),
    [
        ("{}", "'manifests' is no list"),
        ("[]", "no JSON object"),
        ("", "corrupt"),
        ('{"manifests": [{}]}', "no descriptor"),
        ('{"manifests": ["nonsense"]}', "no list of objects"),
        ('{"manifests": [{"mediaType": "x", "digest": "x", "size": 1}]}', "is no digest"),
    ],
)
def test_verify_tells_of_a_nonsense_index(
    store: Store, layered: Callable[..., Tensors], index: str, says: str
) -> None:
    """An index that names nothing, or nonsense, is a problem, never a store of no models; the
    blobs are verified all the same, and gc removes none of them."""
    store.add("a", layered(1))
    count = store.verify().blobs
    (store.path / "index.json").write_text(index)
    again = Store.open(store.path)
    report = again.verify()
    assert [(one.place, one.models) for one in report.problems] == [("index.json", ())]
    assert says in report.problems[0].problem
    assert report.blobs == count
    with pytest.raises(StoreError, match=r"index\.json"):
        again.gc()
    assert again.verify().blobs == count


def test_a_damaged_entry_is_mended_by_importing_or_removing(
    store: Store, layered: Callable[..., Tensors]
) -> None:
    """A named entry that is nonsense gives way to an import of that name, or to `remove`."""
    store.add("a", layered(1))
    for mend in (lambda: store.add("bad", layered(2)), lambda: store.remove("bad")):
        edit_index(store, lambda old: [old[0], {"digest": "x", "annotations": named("bad")}])
        assert not store.verify().ok
        mend()
        assert store.verify().ok


def test_a_name_that_is_there_twice_is_told(store: Store, layered: Callable[..., Tensors]) -> None:
    """Two entries of one name: verify says so."""
    store.add("a", layered(1))
    edit_index(store, lambda old: old * 2)
    (problem,) = store.verify().problems
    assert "'a' is there twice" in problem.problem


def test_a_tensor_in_two_blocks_is_refused(store: Store) -> None:
    """A model of another tool whose files hold one name twice: nobody could tell which counts."""
    store.add("x", Tensors([("a.w", "U8", (1,), b"1")]))
    store.add("y", Tensors([("a.w", "U8", (1,), b"2")]))
    first, second = (
        json.loads(store.blob_path(store.model(name).digest).read_text()) for name in "xy"
    )
    layer = second["layers"][0]
    layer["annotations"]["io.trunkline.block"] = "b"
    first["layers"].insert(1, layer)
    bad = entry(store, first, artifactType=ARTIFACT_TYPE, annotations=named("both"))
    edit_index(store, lambda old: [*old, bad])
    again = Store.open(store.path)
    with pytest.raises(StoreError, match=r"'a' and 'b' both hold a tensor 'a\.w'"):
        again.model("both")
    (problem,) = again.verify().problems
    assert (problem.place, problem.models, problem.wrong) == (bad["digest"], ("both",), False)


def test_an_image_of_another_tool_is_not_damage(
    store: Store, layered: Callable[..., Tensors]
) -> None:
    """An entry whose type only its manifest tells is left out if that is no model's."""
    store.add("a", layered(1))
    other = entry(store, {"artifactType": "application/x"}, annotations=named("image"))
    edit_index(store, lambda old: [*old, other])
    assert store.names() == ["a"]


def test_documents_nested_without_end_are_followed(
    store: Store, layered: Callable[..., Tensors]
) -> None:
    """A chain of five thousand indexes, deeper than Python recurses: gc keeps all of it."""
    store.add("a", layered(1))
    link: dict[str, Any] = {"manifests": []}
    for _ in range(5_000):
        link = {"manifests": [entry(store, link, INDEX_TYPE)]}
    edit_index(store, lambda old: [*old, *link["manifests"]])
    assert store.gc().blobs == 0
    assert store.names() == ["a"]


def test_gc_trusts_no_document_that_was_changed(
    store: Store, layered: Callable[..., Tensors]
) -> None:
    """A bit flipped inside a digest that a manifest names would free a block that is needed:
    documents are compared with their own digests first."""
    store.add("a", layered(1))
    model = store.model("a")
    path = store.blob_path(model.digest)
    at = path.read_bytes().index(model.blocks[0].digest.encode()) + 20
    content = bytearray(path.read_bytes())
    content[at : at + 1] = b"0" if content[at : at + 1] != b"0" else b"1"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"its content is .*none was removed"):
        Store.open(store.path).gc()
    assert store.blob_path(model.blocks[0].digest).exists()


def test_names_with_control_characters_are_written_out(
    store: Store, layered: Callable[..., Tensors]
) -> None:
    """A name from a hostile index cannot steer the terminal that an error is printed on."""
    evil = "\x1b]0;owned\x07\x1b[2J" + "x" * 9_000
    edit_index(store, lambda old: [*old, {"annotations": named(evil)}])
    store.add("a", layered(1))
    for use in (lambda: store.model(evil), lambda: store.model("nobody"), store.gc):
        with pytest.raises(StoreError) as told:
            use()
        assert str(told.value).isprintable()
        assert len(str(told.value)) < 1_000


def test_gc_waits_for_a_number_of_seconds(store: Store) -> None:
    """Negative and no numbers are refused."""
    for wait_s in (-1.0, float("nan")):
        with pytest.raises(InputError, match="cannot wait"):
            store.gc(wait_s=wait_s)
    assert store.gc(wait_s=float("inf")).blobs == 0


def test_library_of_models_counts_shared_blocks_once(
    store: Store, layered: Callable[..., Tensors]
) -> None:
    """Sizes are payload bytes; a block two models hold counts once."""
    store.add("a", layered(1, 2))
    store.add("b", layered(1, 3))
    library = library_of(store.inventory().models)
    assert np.isclose(library.distinct_bytes, 3 * (64 + 8) * 4)
    assert library.distinct_bytes == store.library().distinct_bytes
