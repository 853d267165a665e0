"""Reading what a store holds: index, manifests, the headers of blocks. Each is read once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from trunkline.errors import NotInStoreError, StoreError
from trunkline.store import manifest as packing
from trunkline.store.header import Header
from trunkline.store.layout import Layout
from trunkline.store.manifest import Details, Layer, Manifest
from trunkline.store.model import StoredBlock, StoredModel
from trunkline.store.reading import read_header

_REFERENCES: Final = ("config", "subject", "layers", "manifests", "blobs")
_DOCUMENT: Final = re.compile(r"\b(manifest|index|list)\.v[0-9]+\+json$")


class Catalog:
    """The models of a layout. The index is read anew each time; what a digest names, once."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._manifests: dict[str, Manifest] = {}
        self._headers: dict[str, Header] = {}

    def entries(self) -> dict[str, Layer]:
        """Name -> manifest of every model in the index (StoreError if the index is corrupt)."""
        entries = {}
        for i, entry in enumerate(self._layout.read_index()):
            name = ref_name(entry)
            kind = entry.get("artifactType", packing.ARTIFACT_TYPE)
            if name is None or kind != packing.ARTIFACT_TYPE:
                continue  # another tool's artifact: not ours to judge
            where = f"{self._layout.index_path}: manifests[{i}]"
            entries[name] = packing.read_layer(entry, where)[1]
        return entries

    def entry(self, name: str) -> Layer:
        """The manifest of one model (NotInStoreError, naming some that are there)."""
        entries = self.entries()
        if name not in entries:
            known = ", ".join(sorted(entries)[:8]) or "none yet"
            raise NotInStoreError(
                f"no model {name!r} in the store at {self._layout.path} (there: {known})"
            )
        return entries[name]

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
        """A model with all it says about itself (errors as in `manifest`)."""
        entry = self.entry(name)
        manifest = self.manifest(entry)
        details = self.details(manifest)
        blocks = tuple(self._block(layer) for layer in manifest.blocks)
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
        """A JSON blob, its length checked."""
        self._layout.open_blob(layer.digest, layer.size).close()
        return self._layout.read_json(self._layout.blob_path(layer.digest))

    def is_whole(self, entry: Layer) -> bool:
        """Whether a manifest and every blob it names are there with their lengths."""
        try:
            layers = self.manifest(entry).layers
        except StoreError:
            return False
        return all(self._layout.has(layer.digest, layer.size) for layer in layers)

    def reachable(self) -> set[str]:
        """The digests of all blobs that the index reaches, other tools' artifacts included.

        Raises:
            StoreError: a document on the way is missing or corrupt, so that nobody can tell.
        """
        found: set[str] = set()
        for i, entry in enumerate(self._layout.read_index()):
            self._reach(entry, f"{self._layout.index_path}: manifests[{i}]", found)
        return found

    def _reach(self, entry: Mapping[str, Any], where: str, found: set[str]) -> None:
        media_type, layer = packing.read_layer(entry, where)
        if layer.digest in found:
            return
        found.add(layer.digest)
        if not _DOCUMENT.search(media_type):
            return
        document = self.document(layer)
        path = str(self._layout.blob_path(layer.digest))
        for part in _descriptors(document):
            self._reach(part, path, found)

    def _block(self, layer: Layer) -> StoredBlock:
        header = self._headers.get(layer.digest)
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


def _descriptors(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key in _REFERENCES:
        value = document.get(key)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield one
