"""The order in which holders are asked, by hand."""

from __future__ import annotations

import pytest

from trunkline.errors import InputError
from trunkline.pulling.network import NetworkLink
from trunkline.pulling.scenario import Cloudlet, DataCentre, Scenario
from trunkline.sites import as_listed, by_scenario, sites_from_document
from trunkline.sites.document import Raw, SitesMap
from trunkline.store.manifest import Layer

A, B, C = (f"sha256:{one * 64}" for one in "abc")


def sites(**more: object) -> SitesMap:
    """Four sites without a near one."""
    names = ("c1", "c2", "c3", "c4")
    return sites_from_document(
        Raw(
            format="trunkline/sites/1",
            data_centre="oci://registry.example/models",
            sites={name: f"oci://{name}.example/models" for name in names},
            **more,
        )
    )


def test_as_listed() -> None:
    """What the document lists for a site, else all the others as they stand."""
    layer = Layer(A, 1, "")
    assert as_listed(sites(nearest={"c3": ["c4", "c1"]}), "c3")(layer) == ("c4", "c1")
    assert as_listed(sites(nearest={"c3": ["c4"]}), "c1")(layer) == ("c2", "c3", "c4")


def scenario() -> Scenario:
    """c3 - c1: 1 s + s/1 kB/s. c3 - c2: 2 s + s/10 kB/s. c3 - dc: 20 s + s/10 kB/s. c4 is behind
    dc. c1 holds A and B, c2 holds B, c4 holds B; C is at the data centre alone."""

    def cloudlet(name: str, *resident: str) -> Cloudlet:
        return Cloudlet(name, 1e9, 1.0, 1.0, resident=frozenset(resident))

    return Scenario(
        DataCentre("dc", 1.0),
        (cloudlet("c1", A, B), cloudlet("c2", B), cloudlet("c3"), cloudlet("c4", B)),
        (
            NetworkLink(("c3", "c1"), 1, 1e3),
            NetworkLink(("c3", "c2"), 2, 1e4),
            NetworkLink(("c3", "dc"), 20, 1e4),
            NetworkLink(("dc", "c4"), 1, 1e4),
        ),
        {A: 1.0, B: 1.0, C: 1.0},
        (),
        (),
    )


def test_by_scenario() -> None:
    """By hand. 1 kB: c1 1 + 1 = 2 s, c2 2 + 0.1 = 2.1 s, dc 20.1 s: c1, c2. 10 kB: c1 11 s, c2 3 s:
    c2, c1. 1 MB: c1 1001 s, c2 102 s, dc 120 s: c2 alone. c4 is farther than dc always."""
    nearest = by_scenario(scenario(), sites(), "c3")
    assert nearest(Layer(B, 1_000, "")) == ("c1", "c2")
    assert nearest(Layer(B, 10_000, "")) == ("c2", "c1")
    assert nearest(Layer(B, 1_000_000, "")) == ("c2",)
    assert nearest(Layer(A, 1_000, "")) == ("c1",)
    assert nearest(Layer(C, 1_000, "")) == ()
    assert nearest(Layer("sha256:" + "0" * 64, 1_000, "config.json")) == ("c1", "c2")


def test_a_site_that_is_none() -> None:
    """A site that the scenario does not have is refused by name."""
    with pytest.raises(InputError, match="the scenario has no site 'c9'"):
        by_scenario(scenario(), sites(), "c9")
