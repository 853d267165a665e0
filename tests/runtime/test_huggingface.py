"""Hugging Face architectures, built from their config without weights."""

from __future__ import annotations

import pytest
import torch

from trunkline.runtime import Runtime, state_dict_source
from trunkline.store import Architecture, Store

transformers = pytest.importorskip("transformers")


def test_a_bert_answers_as_if_loaded_by_transformers(store: Store) -> None:
    """Tied decoder, non-persistent position ids: logits are bit-equal to the original's."""
    config = transformers.BertConfig(
        vocab_size=99,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=32,
    )
    torch.manual_seed(0)
    original = transformers.BertForMaskedLM(config).eval()
    architecture = Architecture(
        "huggingface", config=config.to_dict(), class_name="BertForMaskedLM"
    )
    store.add("bert", state_dict_source(original.state_dict(), architecture=architecture))
    tokens = torch.randint(0, 99, (2, 8))
    mask = torch.ones_like(tokens)
    mask[1, 5:] = 0
    with torch.inference_mode():
        wanted = original(input_ids=tokens, attention_mask=mask).logits
    with Runtime(store) as runtime:
        runtime.switch("bert")
        out = runtime.infer("bert", {"input_ids": tokens, "attention_mask": mask})
        assert torch.equal(out.logits, wanted)
        module = runtime.module("bert")
        assert module.cls.predictions.decoder.weight is (  # type: ignore[union-attr]
            module.bert.embeddings.word_embeddings.weight  # type: ignore[union-attr]
        )
