"""LoRA folders: their base's blocks shared, their own added, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.store.lora_folders import libraries, save_adapter, save_bert, save_gpt
from trunkline.errors import ArchitectureError, NotInStoreError, StoreError, WeightsFormatError
from trunkline.store import Store, Tensors, open_adapter

libraries()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `base` and an adapter of it, `lora`."""
    folder = tmp_path_factory.mktemp("saved")
    save_bert(folder / "base")
    save_adapter(folder / "lora", folder / "base", task_type="SEQ_CLS")
    return folder


@pytest.fixture
def lora(saved: Path, store: Store, tmp_path: Path) -> Path:
    """A copy of the adapter, to be spoiled; its base is in the store."""
    store.add("base", saved / "base")
    shutil.copytree(saved / "lora", tmp_path / "lora")
    return tmp_path / "lora"


def edit(folder: Path, **changes: Any) -> Path:
    """Change settings of an adapter."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def test_only_the_adapter_is_new(store: Store, lora: Path) -> None:
    """The base's blocks are the base's, digest for digest, in its order; what is new is LoRA's
    matrices (2 layers x 2 targets x 2 matrices of 4 x 16 F32) and the head (16 x 3 and 3)."""
    report = store.add("lora", open_adapter(store, "base", lora))
    assert report.bytes_new == 2 * 2 * 2 * 4 * 16 * 4 + (16 * 3 + 3) * 4
    assert report.shared["base"] == store.model("base").bytes
    blocks = [block.digest for block in store.model("lora").blocks]
    assert blocks[1:-1] == [block.digest for block in store.model("base").blocks]
    assert [store.model("lora").blocks[i].id for i in (0, -1)] == [
        "base_model.lora",
        "base_model.model.classifier",
    ]
    assert store.verify().ok
    assert store.add("lora", open_adapter(store, "base", lora)).unchanged


def test_an_adapter_says_how_it_is_built(store: Store, lora: Path) -> None:
    """Layers are named in full, the adapter's files stand beside the base's, and adapters of the
    same settings have one architecture."""
    (lora / "vocab.txt").write_text("own")
    store.add("lora", open_adapter(store, "base", lora))
    model = store.model("lora")
    assert model.architecture is not None
    assert model.architecture.adapter == {
        "r": 4, "lora_alpha": 8, "task_type": "SEQ_CLS", "modules_to_save": ["classifier", "score"],
        "target_modules": [
            f"bert.encoder.layer.{i}.attention.self.{name}" for i in (0, 1)
            for name in ("query", "value")
        ],
    }  # fmt: skip
    assert store.read_file(model, "vocab.txt") == b"own"
    assert {"config.json", "adapter_config.json"} <= model.files.keys()
    with pytest.raises(NotInStoreError, match="no file 'merges"):
        store.read_file(model, "merges.txt")
    same = edit(lora, target_modules=r".*\.(query|value)", lora_dropout=0.5, revision="x")
    other = edit(Path(shutil.copytree(lora, lora.parent / "other")), lora_alpha=16)
    for name, folder in (("same", same), ("other", other)):
        store.add(name, open_adapter(store, "base", folder))
    keys = [store.model(name).architecture for name in ("lora", "same", "other")]
    assert keys[0].key == keys[1].key != keys[2].key  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"peft_type": "IA3"}, "'IA3' is not LORA"),
        ({"use_dora": True}, "use_dora = True is not supported"),
        ({"bias": "all"}, "bias = 'all' is not supported"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights = 'pissa'"),
        ({"some_new_method": {"a": 1}}, "some_new_method"),
        ({"r": 8}, r"the adapter's tensor .*lora_A.*\[4, 16\].*needs \[8, 16\]"),
        ({"r": 0}, "rank 0"),
        ({"r": 10**12}, "rank 1000000000000"),
        ({"r": True}, "rank True"),
        ({"rank_pattern": {"query": "4"}}, "rank '4' of 'query'"),
        ({"lora_alpha": float("inf")}, "inf of 'alpha'"),
        ({"task_type": "DANCE"}, "'DANCE' is none of"),
        ({"target_modules": ["q_proj"]}, r"cannot be built: .*target"),
        ({"target_modules": ["query"]}, r"value\.lora_A.*for which .* has no place"),
        ({"target_modules": ["query", "value", "key"]}, r"lacks the tensor .*key\.lora_A"),
        ({"target_modules": 7}, "cannot be built"),
        ({"modules_to_save": "classifier"}, "modules_to_save is no list"),
    ],
)
def test_settings_that_are_refused(
    store: Store, lora: Path, changes: dict[str, Any], says: str
) -> None:
    """Other methods, settings that would change the base or the answers, lying ranks and layers
    that the base does not have: each is named, and nothing is added."""
    with pytest.raises(ArchitectureError, match=says):
        store.add("lora", open_adapter(store, "base", edit(lora, **changes)))
    assert store.names() == ["base"]


def test_bases_that_are_refused(store: Store, saved: Path, lora: Path, tmp_path: Path) -> None:
    """No base, bare weights, an adapter, another network, another size."""
    store.add("lora", open_adapter(store, "base", lora))
    store.add("bare", Tensors([("w", "F32", (1,), np.ones(1, "<f4"))]))
    store.add("gpt", save_gpt(tmp_path / "gpt"))
    store.add("wide", save_bert(tmp_path / "wide", hidden_size=32))
    for base, says in (
        ("bare", "'bare' is no Hugging Face model"),
        ("lora", "'lora' has an adapter itself"),
        ("gpt", r"cannot be built: .*target"),
        ("wide", r"has the shape \[4, 16\].*needs \[4, 32\]"),
    ):
        with pytest.raises(ArchitectureError, match=says):
            open_adapter(store, base, lora)
    with pytest.raises(NotInStoreError):
        open_adapter(store, "none", lora)


def test_files_that_are_refused(store: Store, lora: Path) -> None:
    """A pickle, no weights, no settings, settings that are no JSON; an adapter without a base."""
    with pytest.raises(WeightsFormatError, match="name its base, --base"):
        store.add("lora", lora)
    weights = lora / "adapter_model.safetensors"
    weights.rename(lora / "adapter_model.bin")
    with pytest.raises(WeightsFormatError, match="is a pickle"):
        open_adapter(store, "base", lora)
    (lora / "adapter_model.bin").rename(lora / "elsewhere")
    with pytest.raises(WeightsFormatError, match=r"holds no adapter_model\.safetensors"):
        open_adapter(store, "base", lora)
    (lora / "elsewhere").rename(weights)
    (lora / "adapter_config.json").write_text("{")
    with pytest.raises(WeightsFormatError, match="no valid JSON"):
        open_adapter(store, "base", lora)
    (lora / "adapter_config.json").unlink()
    with pytest.raises(WeightsFormatError, match=r"holds no adapter_config\.json"):
        open_adapter(store, "base", lora)


def test_a_base_that_left_the_store(store: Store, lora: Path) -> None:
    """An adapter is not added once its base's blocks are gone."""
    source = open_adapter(store, "base", lora)
    store.remove("base")
    store.gc()
    with pytest.raises(StoreError, match=r"has sha256:.* no more"):
        store.add("lora", source)


def test_an_adapter_keeps_its_base(store: Store, lora: Path) -> None:
    """Removing the base's name leaves the adapter's model whole."""
    store.add("lora", open_adapter(store, "base", lora))
    store.remove("base")
    store.gc()
    assert store.verify(["lora"]).ok
