"""The store: models as parameter blocks, each block once."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from trunkline.errors import InputError, NotInStoreError, StoreError
from trunkline.library import Model, ModelLibrary
from trunkline.store import manifest as packing
from trunkline.store.blocks import MAX_BLOCKS, group
from trunkline.store.digests import digest_of
from trunkline.store.header import Header
from trunkline.store.importing import BlockWriter, Imported, Progress
from trunkline.store.layout import Layout
from trunkline.store.manifest import Details, Layer, Manifest
from trunkline.store.model import StoredBlock, StoredModel
from trunkline.store.reading import read_header
from trunkline.store.reports import ImportReport
from trunkline.store.sources import Source, Tensors, check_tied, open_tensors

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Store:
    """Models on disk as an OCI image layout; `Store.open` makes one of these.

    A `Store` may be used from several threads, and a directory by several processes at once.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._manifests: dict[str, Manifest] = {}
        self._headers: dict[str, Header] = {}

    @classmethod
    def open(cls, path: str | os.PathLike[str], create: bool = False) -> Store:
        """The store in a directory, made if it is not there and `create` says so.

        Raises:
            NotInStoreError: there is none.
            StoreError: something else is there, or it cannot be read or made.
        """
        return cls(Layout.open(Path(path).expanduser(), create))

    @property
    def path(self) -> Path:
        """The store's directory."""
        return self._layout.path

    # ---- what is there ----

    def names(self) -> list[str]:
        """The names of all models, sorted."""
        return sorted(self._entries())

    def model(self, name: str) -> StoredModel:
        """A model: its blocks in execution order, its architecture, its input.

        Raises:
            NotInStoreError: no model of that name, or a blob of it is missing.
            CorruptBlobError: a blob has another length than its manifest says.
            StoreError: a document of it is corrupt.
        """
        entries = self._entries()
        if name not in entries:
            known = ", ".join(sorted(entries)[:8]) or "none yet"
            raise NotInStoreError(f"no model {name!r} in the store at {self.path} (there: {known})")
        digest, size = entries[name]
        manifest = self._manifest(digest, size)
        details = self._details(manifest)
        blocks = tuple(self._block(layer) for layer in manifest.blocks)
        return StoredModel(
            name,
            blocks,
            details.architecture,
            details.input,
            sum(block.bytes for block in blocks),
            digest,
            details.tied,
            details.metadata,
            {layer.path: layer.digest for layer in manifest.files},
        )

    def library(self) -> ModelLibrary:
        """Who shares what: all models, their blocks named by digest and sized by payload."""
        models, sizes = [], {}
        for name in self.names():
            blocks = self.model(name).blocks
            sizes.update({block.digest: float(block.bytes) for block in blocks})
            models.append(Model(name, tuple(block.digest for block in blocks)))
        return ModelLibrary(sizes, models)

    def blob_path(self, digest: str) -> Path:
        """Where the blob of a digest is (StoreError if that is no digest)."""
        return self._layout.blob_path(digest)

    # ---- changes ----

    def add(
        self,
        name: str,
        source: Source | Tensors | str | os.PathLike[str],
        *,
        replace: bool = False,
        progress: Progress | None = None,
    ) -> ImportReport:
        """Import a model.

        Args:
            name: up to 128 letters, digits, `.`, `_`, `-`, the first a letter or digit.
            source: a path (a safetensors file or a Hugging Face folder), tensors in memory, or
                what `factory_source` and its like return (closed here).
            replace: whether another model of that name may give way.
            progress: called with (bytes done, bytes in all).

        Raises:
            WeightsFormatError: weights that are not what their format demands.
            ArchitectureError: weights that don't fit the architecture.
            InputError: a name that is refused.
            StoreError: the name is taken by other content, or reading or writing failed; the
                index is then as it was, and blocks already written serve the next try.
        """
        started = time.perf_counter()
        check_model_name(name)
        with _opened(source) as opened, self._layout.importing():
            return self._add(name, opened, replace, progress, started)

    def remove(self, name: str) -> None:
        """Forget a model; its blocks stay until `gc` (NotInStoreError if it is not there)."""
        with self._layout.index_lock():
            entries = self._layout.read_index()
            kept = [entry for entry in entries if _ref_name(entry) != name]
            if len(kept) == len(entries):
                raise NotInStoreError(f"no model {name!r} in the store at {self.path}")
            self._layout.write_index(kept)

    # ---- inside ----

    def _add(
        self,
        name: str,
        source: Source,
        replace: bool,
        progress: Progress | None,
        started: float,
    ) -> ImportReport:
        check_tied(source.tied, [tensor.name for tensor in source.tensors], name)
        there = self._entries().get(name)
        blobs: dict[str, bytes] = {}
        # A name that is taken is first compared, so that a refusal leaves nothing behind.
        write = there is None or replace
        blocks, digest = self._pack(source, write, blobs, progress)
        if there is not None and there[0] == digest and self._whole(there):
            return self._report(name, source, blocks, started, unchanged=True)
        if not write:
            if there is None or there[0] != digest:
                raise StoreError(
                    f"another model is called {name!r} in the store at {self.path}; "
                    "remove it, allow it to be replaced (--replace), or choose another name"
                )
            blocks, digest = self._pack(source, True, blobs, progress)
        for blob_digest, content in blobs.items():
            if not self._layout.has(blob_digest, len(content)):
                self._layout.write_blob(blob_digest, [content])
        self._layout.sync_blobs()
        before = self._publish(name, digest, len(blobs[digest]), replace)
        return self._report(name, source, blocks, started, replaced=before not in (None, digest))

    def _pack(
        self, source: Source, write: bool, blobs: dict[str, bytes], progress: Progress | None
    ) -> tuple[list[Imported], str]:
        """Import the blocks; add the small blobs to `blobs`; return the manifest's digest."""
        limit = MAX_BLOCKS
        while True:
            drafts = group(source.tensors, limit)
            # Before any byte is read: would the manifest be small enough with these ids?
            notes = sum(len(packing.encode(draft.id)) for draft in drafts)
            if len(drafts) * 640 + notes <= packing.MAX_MANIFEST_BYTES or limit <= 1:
                break
            limit //= 2
        blocks = BlockWriter(self._layout, write, progress).run(drafts)
        details = Details(source.architecture, source.input, source.metadata, source.tied)
        stored = [one.block for one in blocks]
        contents = {
            packing.INDEX_FILE: packing.index_file(stored),
            **source.files,
            packing.OWN_FILE: packing.own_file(details, "config.json" in source.files),
        }
        files = tuple(packing.file_layer(path, content) for path, content in contents.items())
        layers = tuple(
            Layer(block.digest, block.size, packing.block_path(block.digest), block.id)
            for block in stored
        )
        config = packing.config_file(stored, (*layers, *files), source.architecture)
        manifest = packing.manifest_file(Manifest(layers, files, packing.file_layer("", config)))
        digest = digest_of(manifest)
        blobs.update({digest_of(content): content for content in contents.values()})
        blobs[digest_of(config)] = config
        blobs[digest] = manifest
        return blocks, digest

    def _publish(self, name: str, digest: str, size: int, replace: bool) -> str | None:
        """Name the manifest in the index; return the digest that had the name before."""
        entry = {
            "mediaType": packing.MANIFEST_TYPE,
            "digest": digest,
            "size": size,
            "artifactType": packing.ARTIFACT_TYPE,
            "annotations": {packing.REF_NAME: name},
        }
        with self._layout.index_lock():
            entries = self._layout.read_index()
            before = next((one.get("digest") for one in entries if _ref_name(one) == name), None)
            if before is not None and before != digest and not replace:
                raise StoreError(
                    f"another import put a different model under {name!r} in the meantime"
                )
            kept = [one for one in entries if _ref_name(one) != name]
            self._layout.write_index([*kept, entry])
        return before

    def _report(
        self,
        name: str,
        source: Source,
        blocks: list[Imported],
        started: float,
        unchanged: bool = False,
        replaced: bool = False,
    ) -> ImportReport:
        sizes = {one.block.digest: one.block.bytes for one in blocks}
        shared = {}
        for other, (digest, size) in self._entries().items():
            if other != name:
                held = {layer.digest for layer in self._manifest(digest, size).blocks}
                shared[other] = sum(count for one, count in sizes.items() if one in held)
        new = [one for one in blocks if one.new]
        return ImportReport(
            name,
            sum(sizes.values()),
            sum(one.block.bytes for one in new),
            len(blocks),
            len(new),
            {other: count for other, count in shared.items() if count},
            time.perf_counter() - started,
            unchanged,
            replaced,
            source.notes,
        )

    def _entries(self) -> dict[str, tuple[str, int]]:
        """Name -> (digest, size) of the manifest, of every model in the index."""
        entries = {}
        for i, entry in enumerate(self._layout.read_index()):
            name = _ref_name(entry)
            if name is None or entry.get("artifactType", packing.ARTIFACT_TYPE) != (
                packing.ARTIFACT_TYPE
            ):
                continue  # another tool's artifact: not ours to judge
            _, layer = packing.read_layer(entry, f"{self._layout.index_path}: manifests[{i}]")
            entries[name] = (layer.digest, layer.size)
        return entries

    def _manifest(self, digest: str, size: int) -> Manifest:
        if digest not in self._manifests:
            if size > packing.MAX_MANIFEST_BYTES:
                raise StoreError(f"manifest {digest}: {size} bytes, limit 4 MiB")
            path = self._layout.blob_path(digest)
            self._layout.open_blob(digest, size).close()
            document = self._layout.read_json(path)
            self._manifests[digest] = packing.read_manifest(document, str(path))
        return self._manifests[digest]

    def _details(self, manifest: Manifest) -> Details:
        own = manifest.file(packing.OWN_FILE)
        if own is None:  # another ModelPack tool's
            return Details(None, None, {}, {})
        config = manifest.file("config.json")
        return packing.read_own_file(
            self._document(own), self._document(config) if config else None, own.digest
        )

    def _document(self, layer: Layer) -> dict[str, Any]:
        self._layout.open_blob(layer.digest, layer.size).close()
        return self._layout.read_json(self._layout.blob_path(layer.digest))

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

    def _whole(self, entry: tuple[str, int]) -> bool:
        """Whether every blob of a manifest is there with its length."""
        try:
            layers = self._manifest(*entry).layers
        except StoreError:
            return False
        return all(self._layout.has(layer.digest, layer.size) for layer in layers)


def check_model_name(name: str) -> None:
    """Refuse a name that is not safe in a path, a URL or a registry, and suggest one that is.

    Raises:
        InputError: the name is refused.
    """
    if _NAME.fullmatch(name):
        return
    tidy = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:128] or "model"
    raise InputError(
        f"model name {name!r:.200}: up to 128 letters, digits, '.', '_' and '-', the first a "
        f"letter or a digit; try {tidy!r}"
    )


@contextmanager
def _opened(source: Source | Tensors | str | os.PathLike[str]) -> Iterator[Source]:
    if isinstance(source, Tensors):
        opened = open_tensors(source)
    elif isinstance(source, Source):
        opened = source
    else:
        from trunkline.store.paths import open_path

        opened = open_path(Path(source))
    try:
        yield opened
    finally:
        opened.close()


def _ref_name(entry: Mapping[str, Any]) -> str | None:
    annotations = entry.get("annotations")
    name = annotations.get(packing.REF_NAME) if isinstance(annotations, dict) else None
    return name if isinstance(name, str) else None
