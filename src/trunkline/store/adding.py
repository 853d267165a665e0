"""Adding a model: blocks, small files, manifest, and at last its name in the index."""

from __future__ import annotations

import time
from collections.abc import Iterable

from trunkline.errors import StoreError
from trunkline.store import manifest as packing
from trunkline.store.blocks import MAX_BLOCKS, BlockDraft, group
from trunkline.store.catalog import Catalog, ref_name
from trunkline.store.digests import digest_of, is_digest
from trunkline.store.importing import BlockWriter, Imported, Progress
from trunkline.store.layout import Layout
from trunkline.store.manifest import Details, Layer, Manifest
from trunkline.store.model import StoredBlock
from trunkline.store.reports import ImportReport
from trunkline.store.sources import Source, check_tied
from trunkline.units import shorten

_LAYER_BYTES = 640
"""At most this many bytes of manifest per block, besides its id."""


def add(
    layout: Layout,
    catalog: Catalog,
    name: str,
    source: Source,
    replace: bool,
    progress: Progress | None,
) -> ImportReport:
    """Import a model under a checked name; the caller holds `layout.importing()`.

    Raises:
        StoreError: the name is taken by other content, or reading or writing failed.
    """
    started = time.perf_counter()
    check_tied(source.tied, _tensor_names(source), name)
    drafts = draft(source)
    _check_held(layout, source, name)
    there = catalog.index().models.get(name)
    # A name that is taken is first compared, so that a refusal leaves nothing behind.
    write = there is None or replace
    blocks = _in_place(source, BlockWriter(layout, write, progress).run(drafts))
    digest, blobs = pack(source, [one.block for one in blocks])
    unchanged = there is not None and there.digest == digest and catalog.is_whole(there)
    replaced = False
    if not unchanged:
        if not write:
            if there is None or there.digest != digest:
                raise taken(name, layout)
            BlockWriter(layout, True, progress).run(drafts)  # heals what is missing
        replaced = publish(layout, name, digest, blobs, replace)
    new = [one for one in blocks if one.new]
    return ImportReport(
        name,
        sum(one.block.bytes for one in blocks),
        sum(one.block.bytes for one in new),
        len(blocks),
        len(new),
        shared_with(catalog, name, (one.block for one in blocks)),
        time.perf_counter() - started,
        unchanged,
        replaced,
        source.notes,
    )


def draft(source: Source) -> tuple[BlockDraft, ...]:
    """The blocks of a source that the store does not hold yet, few enough that the manifest stays
    under its limit."""
    limit = MAX_BLOCKS
    while True:
        drafts = group(source.tensors, limit, source.block_of)
        ids = [*(one.id for one in drafts), *(one.id for one in source.held)]
        notes = sum(len(packing.encode(one)) for one in ids)
        if len(ids) * _LAYER_BYTES + notes <= packing.MAX_MANIFEST_BYTES or limit <= 1:
            return drafts
        limit //= 2


def pack(source: Source, blocks: list[StoredBlock]) -> tuple[str, dict[str, bytes]]:
    """The manifest's digest, and the small blobs of a model by digest, the manifest among them."""
    details = Details(source.architecture, source.input, source.metadata, source.tied)
    contents = {
        packing.INDEX_FILE: packing.index_file(blocks),
        **source.files,
        packing.OWN_FILE: packing.own_file(details, "config.json" in source.files),
    }
    files = tuple(packing.file_layer(path, content) for path, content in contents.items())
    layers = tuple(
        Layer(block.digest, block.size, packing.block_path(block.digest), block.id)
        for block in blocks
    )
    config = packing.config_file(blocks, (*layers, *files), source.architecture)
    manifest = packing.manifest_file(Manifest(layers, files, packing.file_layer("", config)))
    blobs = {digest_of(content): content for content in (*contents.values(), config, manifest)}
    return digest_of(manifest), blobs


def _tensor_names(source: Source) -> list[str]:
    held = (tensor.name for block in source.held for tensor in block.tensors)
    return [*(tensor.name for tensor in source.tensors), *held]


def _check_held(layout: Layout, source: Source, name: str) -> None:
    """Refuse a model whose base has left the store since its source was opened."""
    for block in source.held:
        if not layout.has(block.digest, block.size):
            raise StoreError(
                f"model {shorten(name)!r} needs the block {shorten(block.id)!r} of its base, and "
                f"the store at {layout.path} has {block.digest} no more"
            )


def _in_place(source: Source, made: list[Imported]) -> list[Imported]:
    """All blocks of a model in execution order: those just made, and those of its base."""
    held = (Imported(block, False) for block in source.held)
    return [*made[: source.early], *held, *made[source.early :]]


def publish(layout: Layout, name: str, digest: str, blobs: dict[str, bytes], replace: bool) -> bool:
    """Write the small blobs and name the manifest, one of them, in the index; whether another gave
    way.

    Raises:
        StoreError: the name is taken by other content and must not give way, or writing failed.
    """
    BlockWriter(layout, True).write_small(blobs)
    layout.sync_blobs()
    entry = {
        "mediaType": packing.MANIFEST_TYPE,
        "digest": digest,
        "size": len(blobs[digest]),
        "artifactType": packing.ARTIFACT_TYPE,
        "annotations": {packing.REF_NAME: name},
    }
    with layout.index_lock():
        entries = layout.read_index()
        before = [one.get("digest") for one in entries if ref_name(one) == name]
        other = any(is_digest(one) and one != digest for one in before)
        if other and not replace:
            raise taken(name, layout)  # by another import, in the meantime
        layout.write_index([*(one for one in entries if ref_name(one) != name), entry])
    return other


def shared_with(catalog: Catalog, name: str, blocks: Iterable[StoredBlock]) -> dict[str, int]:
    """Other models -> payload bytes they have in common with these blocks, if any."""
    sizes = {block.digest: block.bytes for block in blocks}
    shared = {}
    for other, entry in catalog.index().models.items():
        if other == name:
            continue
        try:
            held = {layer.digest for layer in catalog.manifest(entry).blocks}
        except StoreError:  # damaged: not this import's concern
            continue
        if count := sum(size for digest, size in sizes.items() if digest in held):
            shared[other] = count
    return shared


def taken(name: str, layout: Layout) -> StoreError:
    """The error for a name that another model has."""
    return StoreError(
        f"another model is called {shorten(name)!r} in the store at {layout.path}; remove it, "
        "allow it to be replaced (--replace), or choose another name"
    )
