"""The same scenario in a world that moves whole files: models share nothing."""

from __future__ import annotations

from dataclasses import replace

from trunkline.pulling.scenario import Scenario


def apart_name(model: str, block: str) -> str:
    """The id of a model's own copy of a block."""
    return f"{model}:{block}"


def whole_models(scenario: Scenario) -> Scenario:
    """The scenario in which every model has its own copy of each of its blocks, as one file.

    What is resident at a site is so for the first of the models that have it (the untuned backbone,
    in `scenes`): a file of a whole model is of no use to another model.
    """
    first: dict[str, str] = {}
    for model in scenario.models:
        for block in model.blocks:
            first.setdefault(block, model.id)
    return replace(
        scenario,
        blocks={
            apart_name(model.id, block): scenario.blocks[block]
            for model in scenario.models
            for block in model.blocks
        },
        models=tuple(
            replace(model, blocks=tuple(apart_name(model.id, block) for block in model.blocks))
            for model in scenario.models
        ),
        cloudlets=tuple(
            replace(
                site,
                resident=frozenset(
                    apart_name(first[block], block) for block in site.resident if block in first
                ),
            )
            for site in scenario.cloudlets
        ),
    )
