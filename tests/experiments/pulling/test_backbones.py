"""The backbones' sizes."""

from __future__ import annotations

import pytest

from trunkline.experiments.pulling.backbones import BACKBONES

PUBLISHED = {
    "tinyllama-1.1b": 1_100_048_384,
    "llama-2-7b": 6_738_415_616,
    "mistral-7b": 7_241_732_096,
}
"""Parameters, as published with the models' weights."""


@pytest.mark.parametrize("name", BACKBONES)
def test_layers_add_up_to_the_published_size(name):
    """All layers together have as many parameters as the published model."""
    assert sum(BACKBONES[name].layer_parameters) == BACKBONES[name].parameters == PUBLISHED[name]
