"""Reading what a store holds: index, manifests, the headers of blocks. Each is read once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from trunkline.errors import NotInStoreError, StoreError
from trunkline.store import manifest as packing
from trunkline.store.header import Header
from trunkline.store.layout import Layout
from trunkline.store.manifest import Details, Layer, Manifest
from trunkline.store.model import StoredBlock, StoredModel
from trunkline.store.reading import read_header
from trunkline.units import shorten

_REFERENCES: Final = ("config", "subject", "layers", "manifests", "blobs")
_DOCUMENT: Final = re.compile(r"\b(manifest|index|list)\.v[0-9]+\+json$")
NAMED: Final = 8
"""So many models are named where one that is not there was asked for."""


@dataclass(frozen=True)
class Index:
    """What index.json says of models; other tools' artifacts are left out.

    Attributes:
        models: name -> manifest.
        damaged: names whose entry cannot be used -> why.
        problems: everything that is wrong with the index, each with its place.
    """

    models: Mapping[str, Layer]
    damaged: Mapping[str, StoreError]
    problems: Sequence[str]


class Catalog:
    """The models of a layout. The index is read anew each time; what a digest names, once."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._manifests: dict[str, Manifest] = {}
        self._headers: dict[str, Header] = {}

    def index(self) -> Index:
        """The models in the index (StoreError: it cannot be read at all)."""
        models: dict[str, Layer] = {}
        damaged: dict[str, StoreError] = {}
        problems: list[str] = []
        for i, entry in enumerate(self._layout.read_index()):
            name = ref_name(entry)
            where = f"{self._layout.index_path}: manifests[{i}]"
            try:
                layer = packing.read_layer(entry, where)[1]
            except StoreError as error:
                problems.append(str(error))
                if name is not None:
                    damaged[name] = error
                continue
            if name is None or not self._is_model(entry, layer):
                continue  # another tool's artifact: not ours to judge
            if name in models:
                problems.append(f"{where}: {shorten(name)!r} is there twice; the last one counts")
            models[name] = layer
        return Index(models, damaged, problems)

    def _is_model(self, entry: Mapping[str, Any], layer: Layer) -> bool:
        kind = entry.get("artifactType")
        if kind is None:  # a tool may have left it out; the manifest says it, too
            try:
                kind = self.document(layer).get("artifactType")
            except StoreError:
                return True  # so that the damage is told
        return bool(kind == packing.ARTIFACT_TYPE)

    def entry(self, name: str) -> Layer:
        """The manifest of one model.

        Raises:
            NotInStoreError: no such model; names some that are there.
            StoreError: its entry in the index cannot be used.
        """
        index = self.index()
        if name in index.models:
            return index.models[name]
        if name in index.damaged:
            raise index.damaged[name]
        known = [shorten(repr(one), 40) for one in sorted(index.models)]
        some = ", ".join(known[:NAMED]) + (
            f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
        )
        raise NotInStoreError(
            f"no model {shorten(name)!r} in the store at {self._layout.path} "
            f"(there: {some or 'none yet'})"
        )

    def manifest(self, entry: Layer) -> Manifest:
        """The manifest an entry names.

        Raises:
            NotInStoreError, CorruptBlobError: its blob is missing, or of another length.
            StoreError: it is corrupt or breaks a limit.
        """
        if entry.digest not in self._manifests:
            if entry.size > packing.MAX_MANIFEST_BYTES:
                raise StoreError(f"manifest {entry.digest}: {entry.size} bytes, limit 4 MiB")
            where = str(self._layout.blob_path(entry.digest))
            self._manifests[entry.digest] = packing.read_manifest(self.document(entry), where)
        return self._manifests[entry.digest]

    def model(self, name: str) -> StoredModel:
        """A model with all it says about itself (errors as in `entry` and `manifest`)."""
        entry = self.entry(name)
        try:
            return self.read(name, entry)
        except StoreError as error:
            raise type(error)(
                f"model {shorten(name)!r} is damaged: {error}; `trunkline verify` tells how to "
                "mend it"
            ) from None

    def read(
        self, name: str, entry: Layer, coming: Mapping[str, Header] | None = None
    ) -> StoredModel:
        """The model that a manifest describes, whether the index names it or not (errors as in
        `manifest`; StoreError: a document or a header of it is not what it should be).

        Args:
            coming: the headers of blocks that are not in the store yet, by digest.
        """
        manifest = self.manifest(entry)
        details = self.details(manifest)
        blocks = tuple(self._block(layer, coming or {}) for layer in manifest.blocks)
        _refuse_twins(blocks)
        return StoredModel(
            name,
            blocks,
            details.architecture,
            details.input,
            sum(block.bytes for block in blocks),
            entry.digest,
            details.tied,
            details.metadata,
            {layer.path: layer.digest for layer in manifest.files},
        )

    def know(self, digest: str, manifest: Manifest) -> None:
        """Take over a manifest that was read already; its blob is in the store."""
        self._manifests[digest] = manifest

    def look_at(self, blocks: Iterable[Layer]) -> None:
        """Read the headers of blocks, and all manifests, ahead; what is wrong the next who reads
        them is told."""
        for block in blocks:
            with suppress(StoreError):
                self._block(block, {})
        for entry in self.index().models.values():
            with suppress(StoreError):
                self.manifest(entry)

    def details(self, manifest: Manifest) -> Details:
        """Architecture, input, metadata, ties; all empty for another ModelPack tool's model."""
        own = manifest.file(packing.OWN_FILE)
        if own is None:
            return Details(None, None, {}, {})
        config = manifest.file("config.json")
        return packing.read_own_file(
            self.document(own),
            self.document(config) if config else None,
            str(self._layout.blob_path(own.digest)),
        )

    def document(self, layer: Layer) -> dict[str, Any]:
        """A JSON blob, its length and its content checked."""
        return self._layout.read_json_blob(layer.digest, layer.size)

    def is_whole(self, entry: Layer) -> bool:
        """Whether a manifest and every blob it names are there with their lengths."""
        try:
            layers = (entry, *self.manifest(entry).layers)
        except StoreError:
            return False
        return all(self._layout.has(layer.digest, layer.size) for layer in layers)

    def reachable(self) -> set[str]:
        """The digests of all blobs that the index reaches, other tools' artifacts included.

        Raises:
            StoreError: a document on the way is missing or corrupt, so that nobody can tell.
        """
        found: set[str] = set()
        read: set[str] = set()
        path = str(self._layout.index_path)
        ahead: list[tuple[Mapping[str, Any], str]] = [
            (entry, f"{path}: manifests[{i}]") for i, entry in enumerate(self._layout.read_index())
        ]
        while ahead:  # documents may name documents, however deep
            entry, where = ahead.pop()
            media_type, layer = packing.read_layer(entry, where)
            found.add(layer.digest)
            if _DOCUMENT.search(media_type) and layer.digest not in read:
                read.add(layer.digest)
                path = str(self._layout.blob_path(layer.digest))
                ahead += [(part, path) for part in _descriptors(self.document(layer))]
        return found

    def _block(self, layer: Layer, coming: Mapping[str, Header]) -> StoredBlock:
        header = self._headers.get(layer.digest) or coming.get(layer.digest)
        if header is None:
            with self._layout.open_blob(layer.digest, layer.size) as file:
                header = self._headers[layer.digest] = read_header(file)
        return StoredBlock(
            layer.block or layer.path,
            layer.digest,
            header.data_bytes,
            layer.size,
            header.data_start,
            header.tensors,
        )


def ref_name(entry: Mapping[str, Any]) -> str | None:
    """The name an index entry gives to its artifact, None if it gives none."""
    annotations = entry.get("annotations")
    name = annotations.get(packing.REF_NAME) if isinstance(annotations, dict) else None
    return name if isinstance(name, str) else None


def _refuse_twins(blocks: Sequence[StoredBlock]) -> None:
    """StoreError if a tensor stands in two blocks: nobody could tell which one counts."""
    owners: dict[str, str] = {}
    for block in blocks:
        for tensor in block.tensors:
            if tensor.name in owners:
                raise StoreError(
                    f"the blocks {shorten(owners[tensor.name])!r} and {shorten(block.id)!r} both "
                    f"hold a tensor {shorten(tensor.name)!r}"
                )
            owners[tensor.name] = block.id


def _descriptors(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key in _REFERENCES:
        value = document.get(key)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield one
