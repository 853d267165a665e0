"""Models as ModelPack artifacts: an OCI manifest, its config, and what we keep beside them.

The manifest lists the blocks in execution order (`weight.v1.raw`), then the small files
(`weight.config.v1.raw`): `model.safetensors.index.json`, by which stock readers find each tensor's
file, what came with the weights (`config.json`, a tokenizer), and `trunkline.json`, which holds
the architecture, the input, the source's metadata and the tied names. A block's id is the
annotation `io.trunkline.block`. Nothing depends on the time, the model's name or the machine, so
equal content has an equal manifest.

Source: CNCF ModelPack model-spec, `config.md` and its JSON schema; OCI image-spec, `manifest.md`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from trunkline.errors import StoreError
from trunkline.store.architecture import Architecture, InputSpec
from trunkline.store.digests import check_digest, digest_of
from trunkline.store.dtypes import ITEM_BYTES, precision
from trunkline.store.model import StoredBlock
from trunkline.units import shorten

MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT_TYPE: Final = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE: Final = "application/vnd.cncf.model.config.v1+json"
WEIGHT_TYPE: Final = "application/vnd.cncf.model.weight.v1.raw"
FILE_TYPE: Final = "application/vnd.cncf.model.weight.config.v1.raw"

REF_NAME: Final = "org.opencontainers.image.ref.name"
TITLE: Final = "org.opencontainers.image.title"
FILEPATH: Final = "org.cncf.model.filepath"
FILE_METADATA: Final = "org.cncf.model.file.metadata+json"
BLOCK_ID: Final = "io.trunkline.block"

INDEX_FILE: Final = "model.safetensors.index.json"
OWN_FILE: Final = "trunkline.json"
OWN_FORMAT: Final = "trunkline/model/1"
MAX_MANIFEST_BYTES: Final = 4 * 2**20
MAX_LAYERS: Final = 12_000
MAX_BLOB_BYTES: Final = 2**50


@dataclass(frozen=True, slots=True)
class Layer:
    """A blob that a manifest names: `block` is the block's id, None for a small file."""

    digest: str
    size: int
    path: str
    block: str | None = None


@dataclass(frozen=True, slots=True)
class Details:
    """What `trunkline.json` says."""

    architecture: Architecture | None
    input: InputSpec | None
    metadata: Mapping[str, str]
    tied: Mapping[str, str]


@dataclass(frozen=True)
class Manifest:
    """A manifest read or to be written: blocks in execution order, files, the config's digest."""

    blocks: tuple[Layer, ...]
    files: tuple[Layer, ...]
    config: Layer

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every blob the manifest names, its config among them."""
        return (*self.blocks, *self.files, self.config)

    def file(self, path: str) -> Layer | None:
        """The small file of that name, None if there is none."""
        return next((one for one in self.files if one.path == path), None)


def block_path(digest: str) -> str:
    """The file name of a block, as a client that pulls the model will write it."""
    return f"block-{digest.removeprefix('sha256:')[:16]}.safetensors"


def index_file(blocks: Iterable[StoredBlock]) -> bytes:
    """`model.safetensors.index.json`: which file holds which tensor."""
    weight_map, total = {}, 0
    for block in blocks:
        path = block_path(block.digest)
        total += block.bytes
        weight_map.update({tensor.name: path for tensor in block.tensors})
    return encode({"metadata": {"total_size": total}, "weight_map": weight_map})


def config_file(
    blocks: Sequence[StoredBlock], layers: Iterable[Layer], architecture: Architecture | None
) -> bytes:
    """The ModelPack config of a model."""
    by_dtype: dict[str, int] = {}
    for block in blocks:
        for tensor in block.tensors:
            by_dtype[tensor.dtype] = by_dtype.get(tensor.dtype, 0) + tensor.bytes
    elements = sum(count // ITEM_BYTES[dtype] for dtype, count in by_dtype.items())
    config: dict[str, Any] = {
        "format": "safetensors",
        "precision": precision(by_dtype),
        "paramSize": _scaled(elements),
    }
    if architecture is not None:
        config["architecture"] = architecture.class_name or architecture.factory or "unknown"
    diff_ids = [layer.digest for layer in layers]
    return encode(
        {
            "descriptor": {},
            "config": config,
            "modelfs": {"type": "layers", "diffIds": diff_ids},
        }
    )


def manifest_file(manifest: Manifest) -> bytes:
    """The OCI manifest."""
    layers = [_descriptor(layer) for layer in (*manifest.blocks, *manifest.files)]
    return encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": ARTIFACT_TYPE,
            "config": {
                "mediaType": CONFIG_TYPE,
                "digest": manifest.config.digest,
                "size": manifest.config.size,
            },
            "layers": layers,
        }
    )


def own_file(details: Details, has_config_json: bool) -> bytes:
    """`trunkline.json`. A Hugging Face config stands in `config.json` already, so not here."""
    document: dict[str, Any] = {"format": OWN_FORMAT}
    if details.architecture is not None:
        document["architecture"] = details.architecture.to_dict()
        if has_config_json and details.architecture.kind != "factory":
            del document["architecture"]["config"]
    if details.input is not None:
        document["input"] = details.input.to_dict()
    if details.metadata:
        document["metadata"] = dict(sorted(details.metadata.items()))
    if details.tied:
        document["tied"] = dict(sorted(details.tied.items()))
    return encode(document)


def read_own_file(document: dict[str, Any], config: dict[str, Any] | None, where: str) -> Details:
    """Read `trunkline.json`; `config` is the content of `config.json` if there is one.

    Raises:
        StoreError: it is not what `own_file` writes.
    """
    if document.get("format") != OWN_FORMAT:
        raise StoreError(f"{where}: format {document.get('format')!r:.60} is not {OWN_FORMAT!r}")
    architecture = document.get("architecture")
    if isinstance(architecture, dict) and architecture.get("kind") in ("huggingface", "peft"):
        architecture = {"config": config, **architecture}
    given = document.get("input")
    return Details(
        None if architecture is None else Architecture.from_dict(architecture, where),
        None if given is None else InputSpec.from_dict(given, where),
        _texts(document.get("metadata", {}), f"{where}: metadata"),
        _texts(document.get("tied", {}), f"{where}: tied"),
    )


def read_manifest(document: dict[str, Any], where: str) -> Manifest:
    """Read a model's manifest, ours or another ModelPack tool's with raw safetensors layers.

    Raises:
        StoreError: not a ModelPack manifest, or digests, sizes, paths or counts that are refused.
    """
    if document.get("artifactType") != ARTIFACT_TYPE:
        raise StoreError(f"{where}: this is no ModelPack manifest ({ARTIFACT_TYPE})")
    entries = document.get("layers")
    if not isinstance(entries, list) or len(entries) > MAX_LAYERS:
        raise StoreError(f"{where}: 'layers' is no list of at most {MAX_LAYERS} layers")
    blocks, files = [], []
    for i, entry in enumerate(entries):
        place = f"{where}: layers[{i}]"
        media_type, layer = read_layer(entry, place)
        if media_type == WEIGHT_TYPE:
            blocks.append(layer)
        elif media_type.endswith(".raw"):
            files.append(layer)
        else:
            raise StoreError(f"{place}: media type {media_type!r:.80}: only raw files are read")
    ids = {layer.block for layer in blocks}
    if len(ids) != len(blocks):
        raise StoreError(f"{where}: two blocks have the same id")
    _, config = read_layer(document.get("config"), f"{where}: config")
    return Manifest(tuple(blocks), tuple(files), config)


def read_layer(entry: Any, where: str) -> tuple[str, Layer]:
    """The media type and the layer of a descriptor (StoreError where it breaks a rule)."""
    match entry:
        case {"mediaType": str(media_type), "digest": digest, "size": int(size)}:
            pass
        case _:
            raise StoreError(f"{where}: no descriptor with mediaType, digest and size")
    if isinstance(size, bool) or not 0 <= size <= MAX_BLOB_BYTES:
        raise StoreError(f"{where}: size {size} is not within 0..{MAX_BLOB_BYTES}")
    notes = _texts(entry.get("annotations") or {}, f"{where}: annotations")
    path = notes.get(FILEPATH) or notes.get(TITLE) or ""
    if path.startswith("/") or ".." in path.split("/") or "\\" in path or "\0" in path:
        raise StoreError(f"{where}: file path {shorten(path)!r} is absolute or leaves its folder")
    block = notes.get(BLOCK_ID) or path or None
    if media_type == WEIGHT_TYPE and block is None:
        raise StoreError(f"{where}: neither a block id nor a file path")
    return media_type, Layer(
        check_digest(digest, where), size, path, block if media_type == WEIGHT_TYPE else None
    )


def file_layer(path: str, content: bytes) -> Layer:
    """The layer of a small file."""
    return Layer(digest_of(content), len(content), path)


def encode(document: Any) -> bytes:
    """JSON in as few bytes as it takes, and always the same ones."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def _descriptor(layer: Layer) -> dict[str, Any]:
    about = {
        "name": layer.path,
        "mode": 0o644,
        "uid": 0,
        "gid": 0,
        "size": layer.size,
        "mtime": "1970-01-01T00:00:00Z",
        "typeflag": ord("0"),
    }
    annotations = {
        FILEPATH: layer.path,
        FILE_METADATA: encode(about).decode(),
        TITLE: layer.path,
    }
    if layer.block is not None:
        annotations[BLOCK_ID] = layer.block
    return {
        "mediaType": FILE_TYPE if layer.block is None else WEIGHT_TYPE,
        "digest": layer.digest,
        "size": layer.size,
        "annotations": annotations,
    }


def _scaled(count: int) -> str:
    """ModelPack's `paramSize`: a count with one digit after the point, and a letter."""
    for exponent, letter in ((15, "q"), (12, "t"), (9, "b"), (6, "m")):
        if count >= 10**exponent:
            return f"{count / 10**exponent:.1f}{letter}"
    return f"{count / 1e3:.1f}k"


def _texts(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise StoreError(f"{where}: not an object of texts")
    return value
