"""What a store has to offer: tags, manifests by tag or digest, blobs."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from trunkline.errors import NotInStoreError, StoreError
from trunkline.server.distribution.names import tag_of
from trunkline.store.catalog import ref_name
from trunkline.store.layout import Layout
from trunkline.store.manifest import MAX_MANIFEST_BYTES, Layer, read_layer
from trunkline.store.reading import FileReader

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPES: Final = frozenset(
    {
        OCI_MANIFEST,
        OCI_INDEX,
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest: its content, as it stands in the store, and what kind it is."""

    content: bytes
    media_type: str
    digest: str


class Holdings:
    """A store's layout as a registry sees it; safe to call from any thread.

    The index is read again whenever its file was replaced, so what is imported or removed while it
    is served is seen at once.
    """

    def __init__(self, path: Path) -> None:
        self._layout = Layout.open(path)
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._tags: Mapping[str, tuple[str, Layer]] = {}

    @property
    def path(self) -> Path:
        """The store's directory."""
        return self._layout.path

    def tags(self) -> Mapping[str, tuple[str, Layer]]:
        """Media type and descriptor of every named manifest, by tag; entries of the index that
        break a rule are left out (StoreError: the index cannot be read)."""
        with self._lock:
            seen = self._index_state()
            if seen is None or seen != self._seen:
                self._tags, self._seen = self._index(), seen
            return self._tags

    def by_tag(self, tag: str) -> Document:
        """The manifest of a tag.

        Raises:
            NotInStoreError: no such tag, or its blob is missing.
            StoreError: the manifest is damaged.
        """
        entry = self.tags().get(tag)
        if entry is None:
            raise NotInStoreError(f"no tag {tag!r} in the store")
        media_type, layer = entry
        return self._document(layer.digest, layer.size, media_type)

    def by_digest(self, digest: str) -> Document:
        """The manifest of a digest, named in the index or not (errors as in `by_tag`)."""
        for media_type, layer in self.tags().values():
            if layer.digest == digest:
                return self._document(digest, layer.size, media_type)
        with self._layout.open_blob(digest) as file:
            size = file.size
        found = self._document(digest, size, None)
        if found.media_type not in MANIFEST_TYPES:
            raise NotInStoreError(f"the blob {digest} is no manifest")
        return found

    def blob(self, digest: str) -> FileReader:
        """A blob, open for reading.

        Raises:
            NotInStoreError: it is not there.
            StoreError: it cannot be read.
        """
        return self._layout.open_blob(digest)

    def _index_state(self) -> tuple[int, int, int] | None:
        """What changes when the index is replaced; None where it cannot be read."""
        try:
            found = os.stat(self._layout.index_path)
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _index(self) -> dict[str, tuple[str, Layer]]:
        found = {}
        for i, entry in enumerate(self._layout.read_index()):
            name = ref_name(entry)
            try:
                media_type, layer = read_layer(entry, f"{self._layout.index_path}: manifests[{i}]")
            except StoreError:
                continue  # `trunkline verify` tells
            if name and media_type in MANIFEST_TYPES:
                found[tag_of(name)] = (media_type, layer)
        return dict(sorted(found.items()))

    def _document(self, digest: str, size: int, media_type: str | None) -> Document:
        if size > MAX_MANIFEST_BYTES:
            raise NotInStoreError(
                f"the blob {digest} is no manifest: {size} bytes, limit {MAX_MANIFEST_BYTES}"
            )
        content = self._layout.read_blob(digest, size)
        return Document(content, media_type or _kind(content), digest)


def _kind(content: bytes) -> str:
    """The media type that a manifest gives itself, or has by its fields; empty for none."""
    try:
        document: Any = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(document, dict) or document.get("schemaVersion") != 2:
        return ""
    said = document.get("mediaType")
    if isinstance(said, str):
        return said
    return OCI_INDEX if isinstance(document.get("manifests"), list) else OCI_MANIFEST
