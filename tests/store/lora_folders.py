"""Tiny bases and LoRA adapters with random weights, saved as their libraries save them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

TARGETS = ["query", "value"]


def libraries() -> tuple[Any, Any]:
    """Transformers and PEFT, told to be quiet, or a skip."""
    torch = pytest.importorskip("torch")
    # PyTorch notes what `torch.device` redirects when that is first used. If Transformers is the
    # first, in `from_pretrained`, its stand-in for `linspace` is noted, for the whole process.
    with torch.device("meta"):
        torch.empty(0)
    transformers = pytest.importorskip("transformers", reason="transformers (extra `hf`) missing")
    peft = pytest.importorskip("peft", reason="peft (extra `hf`) is missing")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers, peft


def save_bert(folder: Path, seed: int = 0, dtype: str = "float32", **changes: Any) -> Path:
    """A classifier of three labels, far from its initialisation."""
    import torch

    transformers, _ = libraries()
    sizes = {
        "vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 16, "num_labels": 3,
    } | changes  # fmt: skip
    torch.manual_seed(seed)
    model = transformers.BertForSequenceClassification(transformers.BertConfig(**sizes))
    _shake(model)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    return folder


def save_gpt(folder: Path, seed: int = 0) -> Path:
    """A language model whose head is its embedding."""
    import torch

    transformers, _ = libraries()
    torch.manual_seed(seed)
    config = transformers.GPT2Config(
        vocab_size=50, n_embd=8, n_layer=2, n_head=2, n_positions=8, bos_token_id=1, eos_token_id=1
    )
    model = transformers.GPT2LMHeadModel(config)
    _shake(model)
    model.save_pretrained(folder)
    return folder


def save_adapter(folder: Path, base: Path, seed: int = 1, dtype: str = "", **settings: Any) -> Path:
    """An adapter of a saved base, as if it had been trained."""
    import torch

    _, peft = libraries()
    torch.manual_seed(seed)
    chosen = {"r": 4, "target_modules": TARGETS} | settings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.get_peft_model(load_base(base), peft.LoraConfig(**chosen))
        _shake(model)
        if dtype:
            model.to(getattr(torch, dtype))
        model.save_pretrained(folder)
    return folder


def load_base(folder: Path) -> Any:
    """What Transformers loads from a saved base."""
    transformers, _ = libraries()
    name = json.loads((folder / "config.json").read_text())["architectures"][0]
    return getattr(transformers, name).from_pretrained(folder)


def load_adapted(base: Path, folder: Path) -> Any:
    """What PEFT loads from both, unmerged and in eval mode: the reference."""
    _, peft = libraries()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return peft.PeftModel.from_pretrained(load_base(base), folder).eval()


def _shake(model: Any) -> None:
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape)
