"""The pulling problem as data."""

from __future__ import annotations

import math

import pytest

from trunkline.pulling.problem import Option, PullingProblem, Request, Site


def problem(**changes) -> PullingProblem:
    """One site that holds `a`, and one request that `m`, of the blocks `a` and `b`, can serve."""
    option = Option("c1", "m", ("a", "b"), cost=1.0, compute=1.0)
    stated = {
        "blocks": {"a": 10.0, "b": 20.0},
        "sites": (Site("c1", 50.0, 2.0, frozenset({"a"}), {"b": 0.5}),),
        "requests": (Request("r1", 9.0, (option,)),),
    }
    return PullingProblem(**(stated | changes))


def test_missing_leaves_out_what_is_resident_at_the_site():
    """The blocks that an option lacks are those of its model that its site does not hold."""
    one = problem()
    assert one.missing(one.requests[0].options[0]) == {"b"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sites": (Site("c1", 1.0, 1.0), Site("c1", 1.0, 1.0))}, "two sites have one id"),
        ({"requests": (Request("r", 1.0), Request("r", 1.0))}, "two requests have one id"),
        ({"requests": (Request("r", 1.0, (Option("c1", "m", (), 1.0),) * 2),)}, "option twice"),
        ({"requests": (Request("r", 1.0, (Option("c9", "m", (), 1.0),)),)}, "no site 'c9'"),
        ({"requests": (Request("r", 1.0, (Option("c1", "m", ("z",), 1.0),)),)}, "no block 'z'"),
        ({"sites": (Site("c1", 1.0, 1.0, frozenset({"z"})),)}, "no block 'z'"),
        ({"sites": (Site("c1", 1.0, 1.0, frozenset(), {"z": 1.0}),)}, "no block 'z'"),
        ({"sites": (Site("c1", -1.0, 1.0),)}, "at least 0 and finite, got -1.0"),
        ({"blocks": {"a": math.nan, "b": 1.0}}, "at least 0 and finite, got nan"),
        ({"requests": (Request("r", math.inf),)}, "at least 0 and finite, got inf"),
    ],
)
def test_what_names_nothing_or_is_no_quantity_is_refused(changes, said):
    """A dangling id, an id or option given twice, and numbers below 0 or not finite are errors."""
    with pytest.raises(ValueError, match=said):
        problem(**changes)
