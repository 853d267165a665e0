"""What a store offers as streams: layouts of its models, and the small files beside the blocks."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Collection, Container
from dataclasses import replace
from pathlib import Path
from weakref import WeakValueDictionary

from trunkline.errors import Reason, RefusedError, StoreError, UnknownModelError
from trunkline.server.streams.layout import Layout, lay_out
from trunkline.server.streams.reading import StreamReader, head_of
from trunkline.store import Store, StoredModel
from trunkline.store.layout import Layout as StoreLayout
from trunkline.store.manifest import read_manifest
from trunkline.units import shorten


class Offer:
    """The models of a store, or some of them; safe to call from any thread.

    Args:
        only: names of the models that are offered; None for all.
    """

    def __init__(self, store: Store, only: Collection[str] | None = None) -> None:
        self._store = store
        self._files = StoreLayout.open(store.path)
        self._only = None if only is None else frozenset(only)
        self._lock = threading.Lock()
        self._layouts: WeakValueDictionary[str, Layout] = WeakValueDictionary()

    def model(self, name: str) -> StoredModel:
        """A model.

        Raises:
            UnknownModelError: none of that name is offered.
            RefusedError: it is damaged.
        """
        hidden = self._only is not None and name not in self._only
        try:
            if hidden or name not in self._store.names():
                raise UnknownModelError(f"no model {shorten(name)!r}")
            return self._store.model(name)
        except StoreError as error:
            raise RefusedError(Reason.UNAVAILABLE, str(error)) from None

    def layout(self, model: StoredModel, have: Container[str]) -> Layout:
        """The stream of a model for who holds some blocks, in the order of use as far as the store
        knows it. Equal ones that are in use are one in memory (RefusedError: a block is missing or
        damaged)."""
        ordered = replace(model, blocks=self._store.orders.blocks(model))
        try:
            made = lay_out(ordered, lambda block: head_of(block, self.path_of), have)
        except StoreError as error:
            raise RefusedError(Reason.UNAVAILABLE, str(error)) from None
        with self._lock:
            return self._layouts.setdefault(made.etag, made)

    def documents(self, model: StoredModel, have: Container[str]) -> dict[str, str]:
        """By digest, in base64: the model's manifest and every blob that it names and that is no
        block, but those that are held (RefusedError: one is missing or damaged)."""
        try:
            raw = json.loads(self._files.read_blob(model.digest))
            manifest = read_manifest(raw, str(self.path_of(model.digest)))
            digests = [model.digest, manifest.config.digest]
            digests += [one.digest for one in manifest.files]
            return {
                one: base64.b64encode(self._files.read_blob(one)).decode()
                for one in digests
                if one not in have
            }
        except StoreError as error:
            raise RefusedError(Reason.UNAVAILABLE, str(error)) from None

    def reader(self, layout: Layout) -> StreamReader:
        """What reads the bytes of a stream."""
        return StreamReader(layout, self.path_of)

    def path_of(self, digest: str) -> Path:
        """Where a blob is."""
        return self._store.blob_path(digest)
