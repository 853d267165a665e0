"""Documents of sites: addresses, models, and what is refused with its place."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.documents import read
from trunkline.errors import DocumentError, InputError
from trunkline.sites import SitesMap, sites_from_document

D = "sha256:" + "0" * 64


def document(**changes: Any) -> dict[str, Any]:
    """A document of two sites."""
    return {
        "format": "trunkline/sites/1",
        "data_centre": "oci://registry.example/team/models",
        "sites": {
            "c1": "oci://10.0.0.1:5000/models",
            "c2": {"repository": "oci://10.0.0.2:5000/models", "insecure": True},
        },
        **changes,
    }


def sites(**changes: Any) -> SitesMap:
    """The map of a document."""
    return sites_from_document(read(document(**changes)))


def test_addresses() -> None:
    """An address is a repository, over TLS unless it or the caller says otherwise."""
    found = sites()
    assert str(found.data_centre.reference) == "oci://registry.example/team/models"
    assert [found.sites[one].insecure for one in ("c1", "c2")] == [False, True]
    every = sites_from_document(read(document()), insecure=True)
    assert every.data_centre.insecure
    assert every.sites["c1"].insecure


def test_models() -> None:
    """A model is the tag of its name, or what `models` says; a name that is no tag needs that."""
    found = sites(models={"a/b": f"oci://registry.example/pets@{D}"})
    assert str(found.reference_of("cats")) == "oci://registry.example/team/models:cats"
    assert str(found.reference_of("a/b")) == f"oci://registry.example/pets@{D}"
    with pytest.raises(InputError, match="'c/d' is no tag: name its reference under `models`"):
        found.reference_of("c/d")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"format": "trunkline/sites/2"}, r"\$\.format"),
        ({"data_centre": "http://x/y"}, r"\$\.data_centre: .* is no reference"),
        ({"data_centre": "oci://x/y:tag"}, r"\$\.data_centre: a repository has no tag"),
        ({"sites": {"c1": "oci://user:pw@x/y"}}, r"\$\.sites\.c1: a reference holds no user"),
        ({"sites": {"c1": {"repository": 1}}}, r"\$\.sites"),
        ({"sites": {"c1": {"repository": "oci://x/y", "port": 1}}}, r"\$\.sites.*port"),
        ({"models": {"a": "oci://elsewhere/y:a"}}, r"\$\.models\.a: models are at the data centre"),
        ({"nearest": {"c1": ["c9"]}}, r"\$\.nearest\.c1\[0\]: no site 'c9'"),
        ({"nearest": {"c9": []}}, r"\$\.nearest\.c9: no site 'c9'"),
        ({"site": {}}, "site"),
    ],
)
def test_refusals(changes: dict[str, Any], expected: str) -> None:
    """Each is refused with its place."""
    with pytest.raises(DocumentError, match=expected):
        sites(**changes)
