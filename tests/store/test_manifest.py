"""Manifests are ModelPack's, lean, and free of anything but content."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from trunkline.errors import StoreError
from trunkline.store import Architecture, InputSpec, Store, Tensors
from trunkline.store.adding import draft, pack
from trunkline.store.digests import digest_of
from trunkline.store.manifest import (
    ARTIFACT_TYPE,
    FILE_TYPE,
    MANIFEST_TYPE,
    WEIGHT_TYPE,
    read_manifest,
)
from trunkline.store.model import StoredBlock
from trunkline.store.sources import open_tensors

DIGEST = "sha256:" + "a" * 64


def blob(store: Store, digest: str) -> Any:
    """A JSON blob."""
    return json.loads(store.blob_path(digest).read_bytes())


def test_the_manifest_is_what_modelpack_says(store: Store, layered: Callable[..., Tensors]) -> None:
    """Media types, config, layer annotations and file names are ModelPack's; order is execution."""
    store.add("m", layered(1, 2))
    model = store.model("m")
    manifest = blob(store, model.digest)
    assert manifest["mediaType"] == MANIFEST_TYPE
    assert (
        manifest["artifactType"] == ARTIFACT_TYPE == "application/vnd.cncf.model.manifest.v1+json"
    )
    layers = manifest["layers"]
    assert [layer["mediaType"] for layer in layers] == [WEIGHT_TYPE] * 2 + [FILE_TYPE] * 2
    notes = layers[0]["annotations"]
    path = f"block-{layers[0]['digest'][7:23]}.safetensors"
    assert notes["org.cncf.model.filepath"] == notes["org.opencontainers.image.title"] == path
    about = json.loads(notes["org.cncf.model.file.metadata+json"])
    assert (about["name"], about["size"]) == (path, layers[0]["size"])
    assert [layer["annotations"].get("io.trunkline.block") for layer in layers] == [
        "layer0", "layer1", None, None,
    ]  # fmt: skip
    config = blob(store, manifest["config"]["digest"])
    # ModelPack's schema allows no other keys here.
    assert set(config) == {"descriptor", "config", "modelfs"}
    assert config["modelfs"] == {"type": "layers", "diffIds": [one["digest"] for one in layers]}
    # 2 layers of 8 * 8 + 8 float32 numbers: 144 parameters.
    assert config["config"] == {"format": "safetensors", "precision": "fp32", "paramSize": "0.1k"}
    index = blob(store, model.files["model.safetensors.index.json"])
    assert index["weight_map"]["layer0.w"] == path
    assert index["metadata"]["total_size"] == model.bytes == 144 * 4


def test_equal_content_has_an_equal_manifest(
    tmp_path: Any, store: Store, layered: Callable[..., Tensors]
) -> None:
    """Neither the name nor the store nor the time of an import is in the manifest."""
    store.add("a", layered(1, 2))
    store.add("b", layered(1, 2))
    other = Store.open(tmp_path / "other", create=True)
    other.add("c", layered(1, 2))
    digests = {store.model("a").digest, store.model("b").digest, other.model("c").digest}
    assert len(digests) == 1


def test_what_we_keep_beside_the_weights_comes_back(store: Store) -> None:
    """Architecture, input, metadata and ties are read as they were given."""
    one = ("emb.w", "BF16", (2,), b"1234")
    given = Tensors(
        [one],
        architecture=Architecture("factory", factory="m:f", kwargs={"n": 2}),
        input=InputSpec((128,), "int64", 30522),
        metadata={"é": "\n"},
        tied={"head.w": "emb.w"},
    )
    store.add("m", given)
    model = Store.open(store.path).model("m")
    assert model.architecture == given.architecture
    assert (model.input, model.metadata, model.tied) == (given.input, given.metadata, given.tied)


def layer(**changes: Any) -> dict[str, Any]:
    """A block's descriptor with something changed."""
    notes = {"org.cncf.model.filepath": "x.safetensors"}
    whole = {"mediaType": WEIGHT_TYPE, "digest": DIGEST, "size": 1, "annotations": notes}
    return whole | changes


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (layer(digest="sha256:../../x"), "is no digest"),
        (layer(digest=7), "is no digest"),
        (layer(size=-1), "size"),
        (layer(size=2**60), "size"),
        (layer(size=True), "size"),
        (layer(size="1"), "no descriptor"),
        (layer(mediaType=WEIGHT_TYPE.replace("raw", "tar")), "only raw"),
        (layer(annotations={"org.cncf.model.filepath": "../x"}), "leaves its folder"),
        (layer(annotations={"org.cncf.model.filepath": "/x"}), "absolute"),
        (layer(annotations={"org.cncf.model.filepath": 1}), "texts"),
        (layer(annotations={}), "neither a block id nor"),
        ("text", "no descriptor"),
    ],
)
def test_manifests_that_are_refused(entry: Any, says: str) -> None:
    """Digests, sizes, paths and types of a manifest are checked, and the place is named."""
    good = {"digest": DIGEST, "size": 1, "mediaType": "x"}
    document = {"artifactType": ARTIFACT_TYPE, "layers": [layer(), entry], "config": good}
    with pytest.raises(StoreError, match=says) as refused:
        read_manifest(document, "here")
    assert "layers[1]" in str(refused.value)


def test_other_documents_are_no_manifests() -> None:
    """Another artifact, too many layers, and two blocks of one id are refused."""
    good = {"digest": DIGEST, "size": 1, "mediaType": "x"}
    for document in (
        {},
        {"artifactType": ARTIFACT_TYPE, "layers": [layer()] * 12_001, "config": good},
        {"artifactType": ARTIFACT_TYPE, "layers": [layer(), layer()], "config": good},
    ):
        with pytest.raises(StoreError, match="here"):
            read_manifest(document, "here")


def test_another_tools_modelpack_artifact_is_read(store: Store) -> None:
    """A model packed elsewhere, one raw layer per file, has its files' names for block ids."""
    store.add("m", Tensors([("a.w", "U8", (1,), b"1")]))
    manifest = blob(store, store.model("m").digest)
    for one in manifest["layers"]:
        one["annotations"].pop("io.trunkline.block", None)
    manifest["layers"] = manifest["layers"][:1]
    raw = json.dumps(manifest).encode()
    store.blob_path(digest_of(raw)).write_bytes(raw)
    index = json.loads((store.path / "index.json").read_text())
    index["manifests"][0] |= {"digest": digest_of(raw), "size": len(raw)}
    (store.path / "index.json").write_text(json.dumps(index))
    (found,) = Store.open(store.path).model("m").blocks
    assert found.id.startswith("block-")
    assert found.tensors[0].name == "a.w"


def test_a_manifest_stays_under_the_registries_limit() -> None:
    """Many modules, with long names too, are joined until their manifest fits in 4 MiB."""
    for count, length, letter in ((6_000, 1, "x"), (1_500, 3_900, "x"), (3_000, 900, '"')):
        tensors = [(f"{i}{letter * length}.w", "U8", (0,), b"") for i in range(count)]
        source = open_tensors(Tensors(tensors))
        drafts = draft(source)
        assert sum(len(one.tensors) for one in drafts) == count
        assert len(drafts) <= 4_000
        blocks = [
            StoredBlock(one.id, f"sha256:{i:064x}", one.bytes, 10**12, 0, one.specs)
            for i, one in enumerate(drafts)
        ]
        digest, blobs = pack(source, blocks)
        assert 2**20 < len(blobs[digest]) <= 4 * 2**20


def test_the_overhead_of_a_variant_is_small(store: Store) -> None:
    """A model of 107 modules and 321 tensors costs less than 170 kB besides its tensors."""
    names = [f"layer{i // 9}.{i % 9}.part.{'abc'[j]}" for i in range(107) for j in range(3)]
    store.add("m", Tensors([(n, "F32", (4,), np.zeros(4, "<f4")) for n in names]))
    files = sum(path.stat().st_size for path in (store.path / "blobs" / "sha256").iterdir())
    # About 560 bytes of manifest, 75 of config, 150 of index and 512 of header per block.
    assert files - store.model("m").bytes < 170_000
