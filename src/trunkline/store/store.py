"""The store: models as parameter blocks, each block once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import InputError, NotInStoreError, StoreError
from trunkline.library import ModelLibrary
from trunkline.store.adding import add
from trunkline.store.catalog import Catalog, ref_name
from trunkline.store.collecting import collect
from trunkline.store.importing import Progress
from trunkline.store.layout import Layout
from trunkline.store.model import StoredModel, library_of
from trunkline.store.orders import Orders
from trunkline.store.paths import open_path
from trunkline.store.reports import (
    GcReport,
    ImportReport,
    Inventory,
    PullReport,
    PushReport,
    VerifyReport,
)
from trunkline.store.sources import Source, Tensors, open_tensors
from trunkline.store.verifying import verify
from trunkline.units import shorten

if TYPE_CHECKING:
    from trunkline.store.receiving import Reception
    from trunkline.store.registry import Holders, Repository

    Receiver = Callable[[str, str, Mapping[str, bytes], bool, str], Reception]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Store:
    """Models on disk as an OCI image layout; `Store.open` makes one of these.

    A `Store` may be used from several threads, and a directory by several processes at once.

    Attributes:
        orders: in which order models use their blocks, as far as that was recorded.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._catalog = Catalog(layout)
        self.orders = Orders(layout)

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

    def names(self) -> list[str]:
        """The names of all models, damaged ones too, sorted (StoreError: no index to read)."""
        index = self._catalog.index()
        return sorted({*index.models, *index.damaged})

    def model(self, name: str) -> StoredModel:
        """A model: its blocks in the order of its manifest, its architecture, its input.

        Raises:
            NotInStoreError: no model of that name, or a blob of it is missing.
            CorruptBlobError: a blob has another length than its manifest says.
            StoreError: a document of it is corrupt.
        """
        return self._catalog.model(name)

    def library(self) -> ModelLibrary:
        """Who shares what: all models, their blocks named by digest and sized by payload.

        Raises:
            StoreError: as `model`; `library_of` takes those that can be read.
        """
        return library_of(self.model(name) for name in self.names())

    def inventory(self) -> Inventory:
        """All models that can be read, and why the others cannot (StoreError: no index to read).

        Documents and headers are read, and lengths compared; only `verify` reads the weights.
        """
        models: list[StoredModel] = []
        damaged: dict[str, StoreError] = {}
        for name in self.names():
            try:
                models.append(self.model(name))
            except StoreError as error:
                damaged[name] = error
        return Inventory(tuple(models), damaged)

    def blob_path(self, digest: str) -> Path:
        """Where the blob of a digest is (StoreError if that is no digest)."""
        return self._layout.blob_path(digest)

    def read_file(self, model: StoredModel, name: str) -> bytes:
        """One of a model's small files (`config.json`, a tokenizer's ...).

        Raises:
            NotInStoreError: the model has no such file, or its blob is missing.
            CorruptBlobError, StoreError: its content is not what its digest says, or cannot be
                read.
        """
        if name not in model.files:
            raise NotInStoreError(f"model {shorten(model.name)!r} has no file {shorten(name)!r}")
        return self._layout.read_blob(model.files[name])

    def add(
        self,
        name: str,
        source: Source | Tensors | str | os.PathLike[str],
        *,
        replace: bool = False,
        progress: Progress | None = None,
    ) -> ImportReport:
        """Import a model. (A factory among what is imported is not run, and not trusted by it.)

        Args:
            name: up to 128 letters, digits, `.`, `_`, `-`, the first a letter or digit.
            source: a path (a safetensors file or a Hugging Face folder), tensors in memory, or
                what `open_path`, `open_factory` and `open_adapter` return (closed here).
            replace: whether another model of that name may give way.
            progress: called with (bytes done, bytes in all).

        Raises:
            WeightsFormatError: weights that are not what their format demands.
            ArchitectureError: weights that don't fit the architecture.
            InputError: a name that is refused.
            StoreError: the name is taken by other content, or reading or writing failed; the
                index is then as it was, and blocks already written serve the next try.
        """
        check_model_name(name)
        with _opened(source) as opened, self._layout.importing():
            return add(self._layout, self._catalog, name, opened, replace, progress)

    def pull(
        self,
        origin: Repository,
        target: str,
        name: str,
        *,
        holders: Holders | None = None,
        replace: bool = False,
        progress: Progress | None = None,
    ) -> PullReport:
        """Pull a model from a registry; only what the store lacks is fetched. (Its factory, if it
        has one, is not trusted by this.)

        Args:
            origin: the repository (`open_repository`).
            target: the manifest's tag or digest there.
            name: what the model is to be called here, as in `add`.
            holders: for a blob, other repositories that may have it, asked before `origin`.
            replace: whether another model of that name may give way.
            progress: called with (bytes done, bytes in all) of what the store lacked.

        Raises:
            RegistryError: the registry refuses, fails, or sends what was not promised.
            InputError: a name that is refused.
            StoreError: what is there is no model that can be used, the name is taken by other
                content, or writing failed; the index is then as it was, and blobs already fetched
                serve the next try.
        """
        from trunkline.store.registry.pulling import pull

        check_model_name(name)
        with self._layout.importing():
            return pull(
                self._layout,
                self._catalog,
                name,
                origin,
                target,
                holders=holders,
                replace=replace,
                progress=progress,
            )

    @contextmanager
    def receiving(self) -> Iterator[Receiver]:
        """While this lasts, models may come block by block (`trunkline.device`) and no blob is
        removed; gives what begins a model: see `Reception` for its arguments and errors."""
        from trunkline.store.receiving import Reception

        def begin(
            name: str, digest: str, documents: Mapping[str, bytes], replace: bool, where: str
        ) -> Reception:
            check_model_name(name)
            layout, catalog = self._layout, self._catalog
            return Reception(layout, catalog, name, digest, documents, replace, where)

        with self._layout.importing():
            yield begin

    def digests(self) -> Iterator[str]:
        """The digests of all blobs there are (StoreError: they cannot be listed)."""
        return self._layout.digests()

    def push(
        self,
        name: str,
        target: Repository,
        tag: str,
        *,
        neighbours: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> PushReport:
        """Push a model to a registry; only what the repository lacks is sent.

        Args:
            target: the repository (`open_repository`).
            tag: what the model is to be called there.
            neighbours: repositories of that registry that may hold its blobs already, so that they
                need not be sent; None for those that this store has pushed to or pulled from.
            progress: called with (bytes done, bytes in all).

        Raises:
            NotInStoreError: no model of that name, or a blob of it is missing.
            CorruptBlobError: a blob is not what its digest says.
            RegistryError: the registry refuses or fails; what was sent serves the next try.
            StoreError: the model cannot be read.
        """
        from trunkline.store.registry.origins import note_origin
        from trunkline.store.registry.pushing import push

        with self._layout.reading():
            report = push(
                self._layout,
                self._catalog,
                name,
                target,
                tag,
                neighbours=neighbours,
                progress=progress,
            )
            note_origin(self._layout, target, report.digest)
        return report

    def remove(self, name: str) -> None:
        """Forget a model; its blocks stay until `gc` (NotInStoreError if it is not there)."""
        with self._layout.adding(), self._layout.index_lock():
            entries = self._layout.read_index()
            kept = [entry for entry in entries if ref_name(entry) != name]
            if len(kept) == len(entries):
                raise NotInStoreError(f"no model {shorten(name)!r} in the store at {self.path}")
            self._layout.write_index(kept)

    def gc(self, progress: Progress | None = None, wait_s: float = 10.0) -> GcReport:
        """Remove the blobs that no model names, and what killed imports left behind.

        Args:
            progress: called with (blobs looked at, blobs in all).
            wait_s: how long to wait for running imports, whose blobs have no name yet.

        Raises:
            InputError: `wait_s` is negative, or no number.
            StoreBusyError: an import is still running.
            StoreError: a manifest is corrupt, so that nobody can tell what it names.
        """
        return collect(self._layout, self._catalog, progress, wait_s)

    def verify(
        self,
        names: Iterable[str] | None = None,
        progress: Progress | None = None,
        *,
        quarantine: bool = False,
    ) -> VerifyReport:
        """Recompute every digest and length, and read every document.

        Blobs are not removed meanwhile (`gc` waits), so what is reported missing is missing; what
        is imported meanwhile may be passed over.

        Args:
            names: the models to look at; None for all blobs there are.
            progress: called with (bytes done, bytes in all).
            quarantine: whether to move wrong blobs to `.trunkline/quarantine`, so that importing
                their models again writes them anew.

        Raises:
            NotInStoreError: no model of that name.
            StoreBusyError: `quarantine`, and an import is still running.
            StoreError: blobs cannot be listed or moved; models are named and the index is corrupt.
        """
        return verify(self._layout, self._catalog, names, progress, quarantine)


def check_model_name(name: str) -> None:
    """Refuse a name that is not safe in a path, a URL or a registry, and suggest one that is.

    Raises:
        InputError: the name is refused.
    """
    if _NAME.fullmatch(name):
        return
    tidy = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:128] or "model"
    raise InputError(
        f"model name {shorten(name)!r}: up to 128 letters, digits, '.', '_' and '-', the first a "
        f"letter or a digit; try {tidy!r}"
    )


@contextmanager
def _opened(source: Source | Tensors | str | os.PathLike[str]) -> Iterator[Source]:
    if isinstance(source, Tensors):
        opened = open_tensors(source)
    elif isinstance(source, Source):
        opened = source
    else:
        opened = open_path(Path(source))
    try:
        yield opened
    finally:
        opened.close()
