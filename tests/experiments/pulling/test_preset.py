"""The pulling preset."""

from __future__ import annotations

import pytest

from tests.experiments.pulling.tiny import tiny_document
from trunkline.errors import DocumentError
from trunkline.experiments.pulling.preset import load_preset, quick


def test_every_value_says_where_it_is_from():
    """Each line of the default preset with a value is marked as data or chosen, or is one of the
    sweeps or of the parts under a mark."""
    from trunkline.experiments.pulling.preset import PRESET_FILE

    body = PRESET_FILE.read_text().split("backbones:")[1].split("point:")[0]
    for line in body.splitlines()[1:]:
        if ": " in line.split("#")[0] and not line.strip().startswith("#"):
            assert "data" in line or "chosen" in line, line


def test_quick_is_smaller():
    """The quick form has a smaller point and at most two values a sweep."""
    full, small = load_preset(), quick(load_preset())
    assert small.point.requests < full.point.requests
    assert len(small.sweeps.shared) == 2
    assert small.digest != full.digest


BAD = {
    "too many sites": ("point", {"sites": 126}, "$.point.sites: EUA has 125 at most, got 126"),
    "too many requests": (
        "sweeps", {"requests": [10, 817]}, "$.sweeps.requests[1]: EUA has users for 816 at most",
    ),
    "too many models": ("point", {"models": 201}, "$.point.models: there are 200 at most"),
    "ends out of order": ("site", {"queue_load": [0.6, 0.1]}, "$.site.queue_load: the first of"),
    "an empty sweep": ("sweeps", {"shared": []}, "$.sweeps.shared"),
    "an endless queue": ("centre", {"queue_load": 1.0}, "$.centre.queue_load"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD, ids=lambda case: case)
def test_bad_values_are_named_with_their_place(case):
    """The message has the path and the rule."""
    part, changes, said = BAD[case]
    document = tiny_document()
    document[part] |= changes
    with pytest.raises(DocumentError) as error:
        load_preset(document)
    assert said in str(error.value)


def test_an_unknown_backbone_is_refused():
    """A network without known layers is named."""
    with pytest.raises(DocumentError, match="'gpt-9' is none of"):
        load_preset(tiny_document(backbones=[{"network": "gpt-9", "accuracy": 0.5}]))
