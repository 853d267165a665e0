"""Names of tensors in files, as a module of Transformers has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.pipelines import library, save_images
from tests.store.lora_folders import save_gpt
from trunkline.store import Store, open_path
from trunkline.store.building import build_skeleton
from trunkline.store.renaming import renaming

transformers = library()


def test_names_that_the_library_changes(tmp_path: Path) -> None:
    """Every tensor of a saved model finds its place, whatever the library calls it."""
    source = open_path(save_images(tmp_path / "vit"))
    assert source.notes == ()
    assert source.architecture is not None
    module = build_skeleton(source.architecture)
    places = set(module.state_dict())
    names = [tensor.name for tensor in source.tensors]
    rename = renaming(module, places)
    assert {rename(name) for name in names} == places
    assert rename("of.no.place") == "of.no.place"
    if int(transformers.__version__.split(".")[0]) >= 5:
        assert set(names) != places  # else this test shows nothing
        assert names.index("vit.embeddings.cls_token") < names.index("classifier.weight")


def test_other_modules_keep_their_names() -> None:
    """A module that is none of Transformers' has no renamings."""
    torch = pytest.importorskip("torch")
    assert (
        renaming(torch.nn.Linear(2, 2), ["weight"])("vit.encoder.layer.0") == "vit.encoder.layer.0"
    )


def test_ties_are_named_as_stored(store: Store, tmp_path: Path) -> None:
    """A tied head stands for the tensor that the file holds."""
    pytest.importorskip("peft")
    store.add("gpt", save_gpt(tmp_path / "gpt"))
    (kept,) = set(store.model("gpt").tied.values())
    assert kept in {spec.name for block in store.model("gpt").blocks for spec in block.tensors}
