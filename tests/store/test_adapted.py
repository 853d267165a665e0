"""Names of a wrapped model's places, and wrapped models from what a store says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.store.lora_folders import libraries
from trunkline.errors import ArchitectureError
from trunkline.store import Architecture
from trunkline.store.adapted import naming, stored_name
from trunkline.store.building import build_skeleton

TINY = {
    "model_type": "gpt2", "vocab_size": 50, "n_embd": 8, "n_layer": 1, "n_head": 2,
    "n_positions": 8, "bos_token_id": 1, "eos_token_id": 1,
}  # fmt: skip
SETTINGS = {"r": 2, "lora_alpha": 4, "target_modules": ["transformer.h.0.attn.c_attn"]}


def adapted(**changes: Any) -> Architecture:
    """A tiny adapted language model, as a store might describe it."""
    settings = {**SETTINGS, **changes}
    return Architecture("peft", config=TINY, class_name="GPT2LMHeadModel", adapter=settings)


@pytest.mark.parametrize(
    ("place", "stored"),
    [
        ("base_model.model.a.weight", "a.weight"),
        ("base_model.model.a.base_layer.weight", "a.weight"),
        ("base_model.model.a.lora_A.default.weight", "base_model.model.a.lora_A.weight"),
        ("base_model.model.a.lora_B.default.bias", "base_model.model.a.lora_B.bias"),
        ("base_model.model.a.lora_embedding_A.default", "base_model.model.a.lora_embedding_A"),
        ("base_model.model.c.original_module.d.weight", "c.d.weight"),
        ("base_model.model.c.modules_to_save.default.d.weight", "base_model.model.c.d.weight"),
        ("model.base_layer.weight", "model.base_layer.weight"),
    ],
)
def test_names_of_places(place: str, stored: str) -> None:
    """The base's tensors have the base's names, the adapter's those of its file."""
    assert stored_name(place) == stored
    assert naming(Architecture("factory", factory="a:b"))(place) == place


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"target_modules": "(a+)+$"}, "None is no path"),
        ({"target_modules": ["(a+)+$"]}, "no path of a module"),
        ({"rank_pattern": {"(a+)+$": 3}}, "no path of a module"),
        ({"modules_to_save": [".*"]}, "no path of a module"),
        ({"exclude_modules": ["a"]}, "unknown setting 'exclude_modules'"),
        ({"use_dora": True}, "unknown setting 'use_dora'"),
        ({"r": 2**40}, "rank"),
        ({"task_type": ["SEQ_CLS"]}, "is none of"),
        ({"modules_to_save": None}, "modules_to_save is no list"),
        ({"target_modules": None}, "None is no path"),
        ({"target_modules": ["c_attn"]}, "PEFT adapts 'c_attn'"),
        ({"rank_pattern": {"elsewhere": 3}}, None),
    ],
)
def test_what_a_store_may_say(changes: dict[str, Any], says: str | None) -> None:
    """Patterns, settings that no import writes, and layers that are not the ones named are refused;
    a rank of no adapted layer changes nothing."""
    libraries()
    if says is None:
        assert build_skeleton(adapted(**changes)) is not None
        return
    with pytest.raises(ArchitectureError, match=says):
        build_skeleton(adapted(**changes))


def test_the_description_survives_json() -> None:
    """What is written is read back, and the key tells settings apart."""
    assert Architecture.from_dict(adapted().to_dict(), "x") == adapted()
    assert adapted().key != adapted(lora_alpha=5).key != adapted().base.key
    assert adapted().base == Architecture("huggingface", config=TINY, class_name="GPT2LMHeadModel")
    assert adapted().label == "GPT2LMHeadModel with a LoRA adapter of rank 2"
