"""Where a plan's sites, its data centre and its models are: `trunkline/sites/1`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from trunkline.documents import Identifier, Raw, Strict, decode, member
from trunkline.errors import DocumentError, InputError
from trunkline.store.registry import Reference

SITES_FORMAT = "trunkline/sites/1"


class _Address(Strict):
    repository: str
    insecure: bool = False


class _Sites(Strict):
    format: Literal["trunkline/sites/1"]
    data_centre: str | _Address
    sites: dict[Identifier, str | _Address]
    models: dict[Identifier, str] = msgspec.field(default_factory=dict)
    nearest: dict[Identifier, list[str]] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Address:
    """A repository that can be pulled from.

    Attributes:
        reference: its host and repository.
        insecure: whether it is reached over plain HTTP.
    """

    reference: Reference
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class SitesMap:
    """Names of a plan -> addresses.

    Attributes:
        data_centre: the repository that has every block; a model is its tag of that name unless
            `models` says otherwise.
        sites: by site id, the repository that the site's `trunkline serve-store` offers.
        models: by model id, its reference at the data centre's registry.
        nearest: by site id, other sites, the nearest first.
    """

    data_centre: Address
    sites: Mapping[str, Address]
    models: Mapping[str, Reference]
    nearest: Mapping[str, tuple[str, ...]]

    def reference_of(self, model: str) -> Reference:
        """Where the data centre has a model.

        Raises:
            InputError: its name is no tag, and `models` does not say.
        """
        found = self.models.get(model)
        if found is not None:
            return found
        try:
            return Reference.parse(f"{self.data_centre.reference}:{model}")
        except InputError:
            raise InputError(
                f"model {model!r:.80} is no tag: name its reference under `models` in the document "
                "of the sites"
            ) from None


def sites_from_document(raw: Raw, *, insecure: bool = False) -> SitesMap:
    """The map that a document states.

    Args:
        insecure: take plain HTTP for every address.

    Raises:
        DocumentError: it states none; the message names the place.
    """
    document = decode(raw, _Sites)
    centre = _address(document.data_centre, "$.data_centre", raw, insecure)
    sites = {
        site: _address(given, member("$.sites", site), raw, insecure)
        for site, given in document.sites.items()
    }
    models = {
        model: _model(text, member("$.models", model), raw, centre)
        for model, text in document.models.items()
    }
    for site, others in document.nearest.items():
        path = member("$.nearest", site)
        for place, name in ((path, site), *((f"{path}[{n}]", one) for n, one in enumerate(others))):
            if name not in sites:
                raise DocumentError(place, f"no site {name!r:.80}", raw.source)
    nearest = {site: tuple(others) for site, others in document.nearest.items()}
    return SitesMap(centre, sites, models, nearest)


def _address(given: str | _Address, path: str, raw: Raw, insecure: bool) -> Address:
    text = given if isinstance(given, str) else given.repository
    reference = _reference(text, path, raw)
    if reference.tag or reference.digest:
        raise DocumentError(
            path, f"a repository has no tag and no digest, got {text!r:.80}", raw.source
        )
    plain = insecure or (not isinstance(given, str) and given.insecure)
    return Address(reference, plain)


def _model(text: str, path: str, raw: Raw, centre: Address) -> Reference:
    reference = _reference(text, path, raw)
    if reference.host != centre.reference.host:
        raise DocumentError(
            path,
            f"models are at the data centre, {centre.reference.host}, got {text!r:.80}",
            raw.source,
        )
    return reference


def _reference(text: str, path: str, raw: Raw) -> Reference:
    try:
        return Reference.parse(text)
    except InputError as error:
        raise DocumentError(path, str(error), raw.source) from None
