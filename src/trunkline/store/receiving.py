"""A model that comes block by block from a server which streams it, into a store.

The model gets its name when every block is there; a block that came is found by the next model that
shares it, whatever became of this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from trunkline.errors import StoreError
from trunkline.store.adding import publish, taken
from trunkline.store.catalog import Catalog
from trunkline.store.digests import digest_of
from trunkline.store.header import Header
from trunkline.store.importing import BlockWriter
from trunkline.store.layout import Layout
from trunkline.store.manifest import Details, Layer, Manifest
from trunkline.store.model import StoredModel
from trunkline.store.registry.pulling import distinct, read
from trunkline.units import shorten


class Reception:
    """A model on its way into a store; the caller holds `layout.importing()`.

    Args:
        name: what the model is to be called here, checked.
        digest: of its manifest.
        documents: the small blobs that came, by digest: the manifest, and what it names beside the
            blocks; what the store has need not be among them.
        replace: whether another model of that name may give way.
        where: the place that the documents came from, for messages.

    Raises:
        StoreError: a document is missing, is not what its digest says, or is no manifest of a
            model; or the name is taken by other content.
    """

    def __init__(
        self,
        layout: Layout,
        catalog: Catalog,
        name: str,
        digest: str,
        documents: Mapping[str, bytes],
        replace: bool,
        where: str,
    ) -> None:
        self.name = name
        self.digest = digest
        self._layout = layout
        self._catalog = catalog
        self._replace = replace
        self._where = where
        there = catalog.index().models.get(name)
        if there is not None and there.digest != digest and not replace:
            raise taken(name, layout)
        raw = self._document(digest, documents)
        self.manifest: Manifest = read(raw, where)
        distinct(self.manifest, where)
        small = (*self.manifest.files, self.manifest.config)
        self._small = {one.digest: self._document(one.digest, documents) for one in small}
        for one in small:
            if len(self._small[one.digest]) != one.size:
                raise StoreError(f"{where}: {one.digest} is not of the {one.size} bytes promised")
        self._small[digest] = raw
        BlockWriter(layout, True).write_small(self._small)
        self._entry = Layer(digest, len(raw), "")

    @cached_property
    def details(self) -> Details:
        """How the model is built and what it takes (StoreError: that cannot be read)."""
        return self._catalog.details(self.manifest)

    def holds(self, layer: Layer) -> bool:
        """Whether the store has a block."""
        return self._layout.has(layer.digest, layer.size)

    def model(self, coming: Mapping[str, Header]) -> StoredModel:
        """The model, as it will be when all is there.

        Args:
            coming: the headers of the blocks that the store does not have yet.

        Raises:
            StoreError: two blocks hold one tensor, or a header cannot be read.
        """
        return self._catalog.read(self.name, self._entry, coming)

    def keep(self, digest: str, pieces: Iterable[bytes | memoryview]) -> None:
        """Write a block whose content was compared with its digest (StoreError: it cannot be)."""
        self._layout.write_blob(digest, pieces)

    def publish(self) -> None:
        """Give the model its name; all its blocks are there.

        Raises:
            StoreError: a block is not; or writing failed, or the name was taken meanwhile.
        """
        for layer in self.manifest.blocks:
            if not self.holds(layer):
                raise StoreError(
                    f"the block {layer.digest} of model {shorten(self.name)!r} is not in the store "
                    f"at {self._layout.path}"
                )
        publish(self._layout, self.name, self.digest, self._small, self._replace)

    def _document(self, digest: str, documents: Mapping[str, bytes]) -> bytes:
        raw = documents.get(digest)
        if raw is None:
            return self._layout.read_blob(digest)
        if digest_of(raw) != digest:
            raise StoreError(f"{self._where} sent {digest_of(raw)} as the document {digest}")
        return raw
