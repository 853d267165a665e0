"""Garbage: blobs that nothing names any more, and temporary files of killed imports."""

from __future__ import annotations

import re
from typing import Final

from trunkline.errors import StoreError
from trunkline.store.catalog import Catalog
from trunkline.store.importing import Progress
from trunkline.store.layout import Layout
from trunkline.store.reading import reason
from trunkline.store.reports import GcReport

_HEX: Final = re.compile(r"[a-f0-9]{64}")


def collect(layout: Layout, catalog: Catalog, progress: Progress | None, wait_s: float) -> GcReport:
    """Remove what the index does not reach; imports are kept out meanwhile.

    Raises:
        StoreBusyError: imports run beyond `wait_s`.
        StoreError: a document is missing or corrupt, or a file cannot be removed.
    """
    with layout.collecting(wait_s):
        temporaries = layout.clear_temporaries()
        kept = {digest.removeprefix("sha256:") for digest in catalog.reachable()}
        try:
            paths = [path for path in layout.blobs.iterdir() if _HEX.fullmatch(path.name)]
            blobs = freed = 0
            for i, path in enumerate(paths):
                if path.name not in kept:
                    freed += path.stat().st_size
                    path.unlink()
                    blobs += 1
                if progress is not None:
                    progress(i + 1, len(paths))
        except OSError as error:
            raise StoreError(f"cannot collect garbage in {layout.path}: {reason(error)}") from None
    return GcReport(blobs, freed, temporaries)
