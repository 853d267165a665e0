"""Unmerged LoRA adapters: answers bit-equal to PEFT's, and switches that move the adapter only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.server.pipelines import save_images
from tests.store.lora_folders import (
    libraries,
    load_adapted,
    load_base,
    save_adapter,
    save_bert,
    save_gpt,
)
from trunkline.runtime import Runtime
from trunkline.store import Store, open_adapter

libraries()


def logits(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """What the reference answers."""
    with torch.inference_mode():
        return model(input_ids=tokens).logits  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "settings",
    [
        {"task_type": "SEQ_CLS"},
        {"use_rslora": True, "rank_pattern": {"layer.1.attention.self.query": 3}, "lora_alpha": 5},
        {"target_modules": "all-linear", "alpha_pattern": {"value": 2}, "lora_dropout": 0.5},
        {"target_modules": ["word_embeddings", "query"], "lora_bias": False},
        {"lora_bias": True},
        {"layers_to_transform": [1], "modules_to_save": ["pooler", "classifier"]},
    ],
    ids=["task", "pattern", "all", "embedding", "bias", "layers"],
)
def test_answers_are_those_of_peft(store: Store, tmp_path: Path, settings: dict[str, Any]) -> None:
    """Logits of the unmerged adapter are bit-equal, and not the base's."""
    base = save_bert(tmp_path / "base")
    folder = save_adapter(tmp_path / "lora", base, **settings)
    store.add("base", base)
    store.add("lora", open_adapter(store, "base", folder))
    tokens = torch.randint(0, 60, (3, 8))
    wanted = logits(load_adapted(base, folder), tokens)
    assert not torch.equal(wanted, logits(load_base(base).eval(), tokens))
    with Runtime(store) as runtime:
        runtime.switch("lora")
        assert torch.equal(runtime.infer("lora", {"input_ids": tokens}).logits, wanted)


@pytest.mark.parametrize("base_dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_half_precision_is_cast_as_peft_does(
    store: Store, tmp_path: Path, base_dtype: str, dtype: str
) -> None:
    """Whatever the precisions of base and adapter, answers are bit-equal."""
    base = save_bert(tmp_path / "base", dtype=base_dtype)
    folder = save_adapter(tmp_path / "lora", base, dtype=dtype, task_type="SEQ_CLS")
    store.add("base", base)
    store.add("lora", open_adapter(store, "base", folder))
    tokens = torch.randint(0, 60, (3, 8))
    with Runtime(store) as runtime:
        runtime.switch("lora")
        found = runtime.infer("lora", {"input_ids": tokens}).logits
    assert torch.equal(found, logits(load_adapted(base, folder), tokens))


def test_switching_adapters_moves_adapters(store: Store, tmp_path: Path) -> None:
    """With the base resident, an adapter moves its own bytes only, base and adapters answer in
    turns, and a tied head stays the embedding."""
    base = save_gpt(tmp_path / "base")
    store.add("base", base)
    folders = {
        name: save_adapter(
            tmp_path / name, base, seed=i, target_modules=["c_attn"], task_type="CAUSAL_LM"
        )
        for i, name in enumerate(("one", "two"))
    }
    for name, folder in folders.items():
        store.add(name, open_adapter(store, "base", folder))
    tokens = torch.randint(0, 50, (2, 6))
    wanted = {name: logits(load_adapted(base, one), tokens) for name, one in folders.items()}
    wanted["base"] = logits(load_base(base).eval(), tokens)
    own = 2 * (4 * 8 + 24 * 4) * 4  # 2 layers: A is 4 x 8, B is 24 x 4, of F32
    with Runtime(store) as runtime:
        runtime.switch("base")
        for name in ("one", "two", "base", "one", "base", "two"):
            switched = runtime.switch(name)
            assert switched.bytes_moved == (0 if name == "base" else own)
            found = runtime.infer(name, {"input_ids": tokens}).logits
            assert torch.equal(found, wanted[name])
        model = runtime.module("two").base_model.model
        assert model.lm_head.weight is model.transformer.wte.weight  # type: ignore[union-attr]


def test_an_adapter_of_images(store: Store, tmp_path: Path) -> None:
    """A base whose tensors Transformers renames when it loads them answers, and so does its
    adapter, both bit-equal."""
    base = save_images(tmp_path / "base")
    folder = save_adapter(
        tmp_path / "lora", base, target_modules=["q_proj", "v_proj"], modules_to_save=["classifier"]
    )
    assert store.add("base", base).notes == ()
    store.add("lora", open_adapter(store, "base", folder))
    images = torch.rand(2, 3, 8, 8)
    wanted = {"base": load_base(base).eval(), "lora": load_adapted(base, folder)}
    with Runtime(store) as runtime:
        for name, model in wanted.items():
            runtime.switch(name)
            found = runtime.infer(name, {"pixel_values": images}).logits
            with torch.inference_mode():
                assert torch.equal(found, model(pixel_values=images).logits)
