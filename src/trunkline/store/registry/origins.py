"""Which repositories hold which models, as far as this store's pushes and pulls have seen.

`.trunkline/origins.json`: host -> repository -> digests of manifests, newest last. It is a hint, by
which a later push asks a registry to take blobs from a neighbour repository (a mount) in place of
sending them. A hint that is wrong or lost costs bytes and nothing else.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from trunkline.errors import InputError, StoreError
from trunkline.store.digests import is_digest
from trunkline.store.layout import Layout
from trunkline.store.registry.reference import check_repository
from trunkline.store.registry.repository import Repository

MOST_REPOSITORIES: Final = 256
MOST_MANIFESTS: Final = 64

Origins = dict[str, dict[str, list[str]]]


def known_origins(layout: Layout, host: str) -> dict[str, list[str]]:
    """Repositories of a host -> manifests that were seen there."""
    return _read(layout).get(host, {})


def note_origin(layout: Layout, repository: Repository, digest: str) -> None:
    """Remember that a repository holds a manifest with all its blobs; a store that cannot be
    written to remembers nothing. The caller holds `layout.adding()`."""
    with suppress(StoreError), layout.index_lock():
        known = _read(layout)
        repositories = known.setdefault(repository.transport.host, {})
        before = repositories.pop(repository.name, [])
        if before[-1:] == [digest]:
            return
        after = [one for one in before if one != digest][1 - MOST_MANIFESTS :]
        repositories[repository.name] = [*after, digest]
        while len(repositories) > MOST_REPOSITORIES:
            del repositories[next(iter(repositories))]
        layout.replace(_path(layout), json.dumps(known).encode(), durable=False)


def _path(layout: Layout) -> Path:
    return layout.path / ".trunkline" / "origins.json"


def _read(layout: Layout) -> Origins:
    """What the file says, so far as it can be used."""
    path = _path(layout)
    try:
        document = layout.read_json(path) if path.exists() else {}
    except StoreError:
        return {}
    return {host: _repositories(found) for host, found in document.items()}


def _repositories(found: Any) -> dict[str, list[str]]:
    kept = {}
    for name, digests in found.items() if isinstance(found, dict) else ():
        with suppress(InputError):
            if isinstance(digests, list):
                kept[check_repository(name, name)] = [one for one in digests if is_digest(one)]
    return kept
