"""The networks that are streamed: small, with random weights, each with a batch and its output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from trunkline.runtime import Runtime, state_dict_source
from trunkline.store import Architecture, InputSpec, Store

NAMES = ("vit", "gpt2", "resnet")
SERVED = "digits"
"""The only one that says what it takes, and so the only one whose answers the server offers."""


def make(folder: Path) -> Store:
    """A store of all, at FOLDER/server, and FOLDER/NAME.safetensors with batch and output."""
    from trunkline.experiments.networks import digits_net

    torch.manual_seed(0)
    store = Store.open(folder / "server", create=True)
    digits = Architecture("factory", factory="trunkline.experiments.networks:digits_net")
    spec = InputSpec((1, 8, 8))
    source = state_dict_source(digits_net().state_dict(), architecture=digits, input=spec)
    store.add(SERVED, source)
    for name, (kind, config, batch) in _networks().items():
        _add(store, folder, name, kind, config, batch)
        with Runtime(store) as runtime:  # so that the store has the order of use
            runtime.infer_while_loading(name, batch)
    return store


def _networks() -> dict[str, tuple[str, Any, dict[str, torch.Tensor]]]:
    """Class, configuration and batch; about a tenth of a second of computing each."""
    import transformers

    vit = transformers.ViTConfig(
        hidden_size=192, num_hidden_layers=6, num_attention_heads=3, intermediate_size=768
    )
    gpt2 = transformers.GPT2Config(
        vocab_size=2000, n_embd=256, n_layer=3, n_head=4, bos_token_id=None, eos_token_id=None
    )
    resnet = transformers.ResNetConfig(
        embedding_size=32, hidden_sizes=[32, 64, 128, 256], depths=[2, 2, 2, 2], layer_type="basic"
    )
    return {
        "vit": ("ViTForImageClassification", vit, {"pixel_values": torch.randn(8, 3, 224, 224)}),
        "gpt2": ("GPT2LMHeadModel", gpt2, {"input_ids": torch.randint(0, 2000, (6, 256))}),
        "resnet": (
            "ResNetForImageClassification",
            resnet,
            {"pixel_values": torch.randn(8, 3, 224, 224)},
        ),
    }


def _add(
    store: Store, folder: Path, name: str, kind: str, config: Any, batch: dict[str, torch.Tensor]
) -> None:
    import transformers

    net = getattr(transformers, kind)(config).eval()
    architecture = Architecture("huggingface", config=config.to_dict(), class_name=kind)
    store.add(name, state_dict_source(net.state_dict(), architecture=architecture))
    with torch.inference_mode():
        output = net(**batch).logits.contiguous()
    save_file({**batch, "output": output}, folder / f"{name}.safetensors")
