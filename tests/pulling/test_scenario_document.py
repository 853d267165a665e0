"""Scenario documents: read strictly, written back."""

from __future__ import annotations

import pytest

import trunkline
from tests.pulling.scenes import document, scenario
from trunkline.documents import read
from trunkline.errors import DocumentError
from trunkline.pulling.compiling import compile_scenario
from trunkline.pulling.scenario_document import scenario_from_document, scenario_to_document


def first(part: str, **changes):
    """The list of that name with its first entry changed."""
    one, *others = document()[part]
    return {part: [one | changes, *others]}


def test_a_scenario_survives_writing_and_reading():
    """Written as a document and read again, a scenario is the same, and so is the document."""
    queue = {"arrival_per_s": 0.3, "service_per_s": 0.6, "sigma_s": 1.0}
    stated = scenario(
        **first("sites", queue=queue, resident=["b", "a"], position=[1.0, 2.0], compute_w=3.0),
        accounting="paper",
        seconds_per_joule=0.25,
        period_s=60.0,
    )
    written = scenario_to_document(stated)
    assert scenario_from_document(read(written)) == stated
    assert written["sites"][0]["resident"] == ["a", "b"]
    assert "queue" not in written["sites"][1]


BAD = {
    "a site without storage": (
        {"sites": [{"id": "c1", "flop_per_s": 1.0, "capacity_flop_per_s": 1.0}]},
        "$.sites[0]: Object missing required field `storage_bytes`",
    ),
    "a negative size": ({"blocks": {"a": -1.0}}, "$.blocks.a: a size in bytes must be between 0"),
    "a speed of 0": (first("sites", flop_per_s=0.0), "$.sites[0].flop_per_s"),
    "an unknown field": ({"slots": 3}, "unknown field `slots`"),
    "a site twice": (first("sites", id="c2"), "$.sites[1].id: 'c2' is already at $.sites[0].id"),
    "a node twice": (
        {"access_points": [{"id": "c1"}]},
        "$.access_points[0].id: 'c1' is already at $.sites[0].id",
    ),
    "a model twice": (first("models", id="n"), "$.models[1].id: 'n' is already"),
    "a request twice": (first("requests", id="r2"), "$.requests[1].id: 'r2' is already"),
    "a block twice": (first("models", blocks=["a", "a"]), "$.models[0].blocks[1]: 'a' is already"),
    "no such block": (first("models", blocks=["x"]), "$.models[0].blocks[0]: no block 'x'"),
    "no such resident": (first("sites", resident=["x"]), "$.sites[0].resident[0]: no block 'x'"),
    "no such node": (first("links", ends=["dc", "x"]), "$.links[0].ends[1]: no node 'x'"),
    "no such home": (first("requests", home="x"), "$.requests[0].home: no node 'x'"),
    "no such site": (first("requests", sites=["ap"]), "$.requests[0].sites[0]: no site 'ap'"),
    "cut off": ({"links": document()["links"][1:]}, "$.requests[0].home: no path from 'ap'"),
    "a need nobody meets": (
        first("requests", accuracy=0.99),
        "$.requests[0]: no model serves this request with accuracy 0.99",
    ),
    "an accuracy above 1": (first("models", accuracy=1.5), "$.models[0].accuracy"),
    "a data centre without end": (
        {
            "data_centre": document()["data_centre"]
            | {"queue": {"arrival_per_s": 2.0, "service_per_s": 2.0}}
        },
        "$.data_centre.queue: arrival_per_s 2 is not below service_per_s 2",
    ),
    "a place off the map": (first("sites", position=[0.0, 1e300]), "$.sites[0].position[1]"),
    "another accounting": ({"accounting": "twice"}, "$.accounting"),
}


@pytest.mark.parametrize("case", BAD, ids=lambda case: case)
def test_what_cannot_be_used_is_named_with_its_place(case):
    """Every fault is a DocumentError whose message has the path."""
    changes, said = BAD[case]
    with pytest.raises(DocumentError) as error:
        scenario(**changes)
    assert said in str(error.value)


def test_planners_read_a_scenario_as_a_problem():
    """`trunkline.load` compiles a scenario document to the problem of its coefficients."""
    assert trunkline.load(document()) == compile_scenario(scenario())
