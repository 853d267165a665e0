"""Hugging Face folders: tiny random models, whole and in shards, there and back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trunkline.errors import ArchitectureError
from trunkline.store import InputSpec, Store, manifest, open_path
from trunkline.store.catalog import Catalog
from trunkline.store.layout import Layout


@pytest.fixture(scope="module")
def transformers() -> Any:
    """The library, or a skip."""
    pytest.importorskip("torch")
    found = pytest.importorskip("transformers", reason="transformers (extra `hf`) is missing")
    found.utils.logging.set_verbosity_error()
    found.utils.logging.disable_progress_bar()
    return found


def bert(transformers: Any) -> Any:
    """A tiny classifier with random weights."""
    config = transformers.BertConfig(
        vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=16, num_labels=3,
    )  # fmt: skip
    return transformers.BertForSequenceClassification(config)


def pull(store: Store, name: str, folder: Path) -> Path:
    """Write a model's files as a stock ModelPack client does: each layer under its file path."""
    folder.mkdir()
    catalog = Catalog(Layout.open(store.path))
    found = catalog.manifest(catalog.entry(name))
    for layer in (*found.blocks, *found.files):
        shutil.copyfile(store.blob_path(layer.digest), folder / layer.path)
    return folder


@pytest.mark.parametrize("shard_size", ["1GB", "8KB"])
def test_a_model_comes_back_through_a_stock_reader(
    transformers: Any, store: Store, tmp_path: Path, shard_size: str
) -> None:
    """`from_pretrained` reads what was stored, bit for bit; shards make no difference."""
    import torch

    model = bert(transformers)
    model.save_pretrained(tmp_path / "bert", max_shard_size=shard_size)
    assert (tmp_path / "bert" / manifest.INDEX_FILE).exists() == (shard_size == "8KB")
    report = store.add("bert", tmp_path / "bert")
    assert report.notes == ()
    again = type(model).from_pretrained(pull(store, "bert", tmp_path / "pulled"))
    expected, found = model.state_dict(), again.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_an_input_gives_the_order_of_use(transformers: Any, store: Store, tmp_path: Path) -> None:
    """A ViT defines each layer's first norm after its attention and uses it before; an input that
    it does not take is a note."""
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
        image_size=32, patch_size=8,
    )  # fmt: skip
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    defined = store.add("defined", tmp_path / "vit")
    store.add("used", open_path(tmp_path / "vit", InputSpec((3, 32, 32))))
    refused = store.add("refused", open_path(tmp_path / "vit", InputSpec((3, 5))))

    def place(name: str, part: str) -> int:
        return next(i for i, b in enumerate(store.model(name).blocks) if part in b.id)

    assert place("defined", "layernorm_before") > place("defined", "attention")
    assert place("used", "layernorm_before") < place("used", "attention")
    assert defined.notes == ()
    assert "order of definition" in refused.notes[0]


def test_blocks_take_the_order_of_definition(
    transformers: Any, store: Store, tmp_path: Path
) -> None:
    """Embeddings first, classifier last, whatever the alphabet says; the class is recorded."""
    bert(transformers).save_pretrained(tmp_path / "bert")
    store.add("bert", tmp_path / "bert")
    model = store.model("bert")
    assert model.blocks[0].id == "bert.embeddings.word_embeddings"
    assert [block.id for block in model.blocks[-2:]] == ["bert.pooler.dense", "classifier"]
    assert model.architecture is not None
    assert model.architecture.class_name == "BertForSequenceClassification"
    assert model.architecture.config is not None
    assert model.architecture.config["hidden_size"] == 16


def test_a_tie_of_the_config_is_recorded(transformers: Any, store: Store, tmp_path: Path) -> None:
    """A language model whose head is its embedding holds it once, and says so."""
    config = transformers.GPT2Config(
        vocab_size=50, n_embd=8, n_layer=1, n_head=2, n_positions=8, bos_token_id=1, eos_token_id=1
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt")
    store.add("gpt", tmp_path / "gpt")
    assert store.model("gpt").tied == {"lm_head.weight": "transformer.wte.weight"}


def test_a_shape_that_does_not_fit_the_config_is_named(
    transformers: Any, store: Store, tmp_path: Path
) -> None:
    """A config that promises another size is refused with the tensor's name."""
    bert(transformers).save_pretrained(tmp_path / "bert")
    path = tmp_path / "bert" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"intermediate_size": 64}))
    with pytest.raises(ArchitectureError, match=r"intermediate\.dense.*needs \[64"):
        store.add("bert", tmp_path / "bert")
    assert store.names() == []


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "names no class"),
        ({"architectures": ["BertModel"], "quantization_config": {}}, "quantised"),
        ({"architectures": ["NoSuchModelAnywhere"]}, "no model class 'NoSuch|pip install"),
        ({"architectures": ["os"]}, "no model class 'os'|pip install"),
        ({"architectures": ["BertConfig"]}, "no model class 'BertConfig'|pip install"),
    ],
)
def test_what_cannot_be_compared_is_a_note(
    store: Store,
    write_file: Callable[..., Path],
    tmp_path: Path,
    config: dict[str, Any],
    says: str,
) -> None:
    """Without a class to build, the weights go in as they are and the report says so."""
    import re

    write_file({"l10.w": np.ones(1, "<f4"), "l9.w": np.ones(1, "<f4")}, "m/model.safetensors")
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    (tmp_path / "m" / "tokenizer.json").write_text('{"a": 1}')
    (tmp_path / "m" / "training_args.bin").write_bytes(b"a pickle that nobody needs")
    report = store.add("m", tmp_path / "m")
    assert re.search(says, report.notes[0])
    model = store.model("m")
    assert [block.id for block in model.blocks] == ["l9", "l10"]
    assert store.blob_path(model.files["tokenizer.json"]).read_text() == '{"a": 1}'
    assert "training_args.bin" not in model.files
