"""Scenarios of real models: blocks are named by the digests of their blobs.

A template is a scenario document (`trunkline/pulling-scenario/1`) without `blocks`, whose models
lack theirs. Which blocks a model has, and how large they are, its manifest says; which blocks are
at a site, the manifests of the models there. So the plan of such a scenario can be carried out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from trunkline.documents import Raw
from trunkline.errors import DocumentError, RegistryError, StoreError
from trunkline.sites.document import Address, SitesMap
from trunkline.store import Store
from trunkline.store.registry import Repository, open_repository
from trunkline.store.registry.pulling import read

MAX_LIST_BYTES: Final = 16 * 2**20
_KINDS: Final[Mapping[type, str]] = {dict: "an object", list: "a list", str: "a text"}

Blocks = Mapping[str, int]
"""Blocks by digest, with the bytes of their blobs."""


def fill(
    template: Raw, blocks_of: Callable[[str], Blocks], held: Mapping[str, Collection[str]]
) -> dict[str, Any]:
    """The scenario of a template.

    Args:
        blocks_of: a model's blocks by its id; asked for models that the template gives none.
        held: the blocks at sites, by site id; of them those that some model has become resident,
            beside those that the template has there.

    Raises:
        DocumentError: the template is not such that it could be filled; whether it then is a
            scenario, `scenario_from_document` says.
        TrunklineError: as `blocks_of` raises.
    """
    document: dict[str, Any] = {**template}
    blocks = dict(_of_type(document.get("blocks", {}), dict, "$.blocks", template))
    models = []
    for n, given in enumerate(_of_type(document.get("models"), list, "$.models", template)):
        model = dict(_of_type(given, dict, f"$.models[{n}]", template))
        if "blocks" not in model:
            name = _of_type(model.get("id"), str, f"$.models[{n}].id", template)
            found = blocks_of(name)
            model["blocks"] = list(found)
            blocks |= found
        models.append(model)
    sites = []
    for n, given in enumerate(_of_type(document.get("sites"), list, "$.sites", template)):
        site = dict(_of_type(given, dict, f"$.sites[{n}]", template))
        here = _of_type(site.get("resident", []), list, f"$.sites[{n}].resident", template)
        more = set(held.get(str(site.get("id")), ())) & blocks.keys() - set(map(str, here))
        site["resident"] = [*here, *sorted(more)]
        sites.append(site)
    return {**document, "blocks": blocks, "models": models, "sites": sites}


def in_store(store: Store) -> Callable[[str], Blocks]:
    """The blocks of a store's models (errors as in `Store.model`)."""
    return lambda name: {block.digest: block.size for block in store.model(name).blocks}


def in_registry(sites: SitesMap) -> Callable[[str], Blocks]:
    """The blocks of models at the data centre.

    Raises (when called):
        InputError, RegistryError, StoreError: as for a pull of the model.
    """

    def blocks_of(model: str) -> Blocks:
        reference = sites.reference_of(model)
        repository = open_repository(reference, insecure=sites.data_centre.insecure)
        return _blocks(repository, reference.target)

    return blocks_of


def held_at(address: Address) -> set[str]:
    """The blocks of all models that a site serves.

    Raises:
        RegistryError: it does not answer, or not with what a registry answers.
    """
    repository = open_repository(address.reference, insecure=address.insecure)
    path = f"/v2/{repository.name}/tags/list"
    raw, _ = repository.transport.document(path, MAX_LIST_BYTES, {})
    try:
        tags = json.loads(raw)["tags"] or []
        if not all(isinstance(tag, str) for tag in tags):
            raise TypeError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise RegistryError(f"{repository}: the answer to {path} is no list of tags") from None
    found: set[str] = set()
    for tag in tags:
        try:
            found |= _blocks(repository, tag).keys()
        except StoreError:
            continue  # another tool's artifact
    return found


def _blocks(repository: Repository, target: str) -> Blocks:
    _, raw = repository.manifest(target)
    return {one.digest: one.size for one in read(raw, f"{repository}:{target}").blocks}


def _of_type(value: Any, kind: type, path: str, raw: Raw) -> Any:
    if not isinstance(value, kind):
        raise DocumentError(path, f"expected {_KINDS[kind]}, got {value!r:.60}", raw.source)
    return value
