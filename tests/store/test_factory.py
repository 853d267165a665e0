"""Weights and factory must fit, tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trunkline.errors import ArchitectureError
from trunkline.store import InputSpec, Store, open_factory

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")

NETS = """
import torch
from torch import nn

class Tied(nn.Module):
    def __init__(self, n=5):
        super().__init__()
        self.head = nn.Linear(4, n, bias=False)
        self.emb = nn.Embedding(n, 4)
        self.norm = nn.BatchNorm1d(4)
        self.head.weight = self.emb.weight
    def forward(self, x):
        return self.head(self.norm(self.emb(x)[:, 0]))
"""


@pytest.fixture
def tied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The factory of a network whose head is its embedding."""
    name = f"tied_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    return f"{name}:Tied"


def weights(**changes: Any) -> dict[str, Any]:
    """The state of the tied network, each tensor once; None leaves one out."""
    state: dict[str, Any] = {
        "emb.weight": torch.arange(20.0).reshape(5, 4),
        "norm.weight": torch.ones(4),
        "norm.bias": torch.zeros(4),
        "norm.running_mean": torch.zeros(4),
        "norm.running_var": torch.ones(4),
        "norm.num_batches_tracked": torch.tensor(3),
    }
    state |= {key.replace("__", "."): value for key, value in changes.items()}
    return {key: value for key, value in state.items() if value is not None}


def save(path: Path, **changes: Any) -> Path:
    """Write these weights."""
    safetensors_torch.save_file(weights(**changes), path)
    return path


@pytest.mark.parametrize("copies", ["emb", "head", "both"])
def test_a_tied_tensor_comes_once_under_either_name_or_twice(
    tied: str, copies: str, tmp_path: Path, store: Store
) -> None:
    """Whichever names the weights hold, the tensor is stored once and the tie is kept."""
    value = weights()["emb.weight"]
    change: dict[str, Any] = {} if copies == "emb" else {"head__weight": value.clone()}
    if copies == "head":
        change["emb__weight"] = None
    store.add("m", open_factory(tied, save(tmp_path / "w.safetensors", **change)))
    model = store.model("m")
    # In the order of definition the head's name comes first.
    kept = {"emb": "emb.weight"}.get(copies, "head.weight")
    names = {tensor.name for block in model.blocks for tensor in block.tensors}
    assert names & {"emb.weight", "head.weight"} == {kept}
    assert model.tied == {({"emb.weight", "head.weight"} - {kept}).pop(): kept}


def test_save_model_files_are_taken(tied: str, tmp_path: Path, store: Store) -> None:
    """safetensors' own way of dropping tied names fits, too."""
    from trunkline.store.building import load_callable

    module = load_callable(tied)()
    safetensors_torch.save_model(module, str(tmp_path / "w.safetensors"))
    store.add("m", open_factory(tied, tmp_path / "w.safetensors"))
    assert set(store.model("m").tied) == {"emb.weight"} or set(store.model("m").tied) == {
        "head.weight"
    }


def test_the_input_gives_the_order_and_is_kept(tied: str, tmp_path: Path, store: Store) -> None:
    """With an input, blocks come as the forward pass needs them: embedding, norm, (tied) head."""
    source = open_factory(
        tied, save(tmp_path / "w.safetensors"), {"n": 5}, InputSpec((2,), "int64", 5)
    )
    store.add("m", source)
    model = store.model("m")
    assert [block.id for block in model.blocks] == ["emb", "norm"]
    assert model.input == InputSpec((2,), "int64", 5)
    assert model.architecture is not None
    assert model.architecture.label == f"{tied}(n=5)"


def test_an_input_that_does_not_run_is_a_note(tied: str, tmp_path: Path, store: Store) -> None:
    """An input that the model refuses costs the order, not the import."""
    source = open_factory(tied, save(tmp_path / "w.safetensors"), None, InputSpec((2,)))
    report = store.add("m", source)
    assert "order of definition" in report.notes[0]
    assert [block.id for block in store.model("m").blocks] == ["emb", "norm"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"norm__bias": None}, "needs the tensor 'norm.bias'"),
        ({"emb__weight": None}, "needs the tensor 'head.weight'"),
        ({"more__w": torch.ones(1)}, "has no tensor 'more.w'"),
        ({"norm__bias": torch.ones(5)}, r"'norm.bias' has the shape \[5\], .* needs \[4\]"),
        ({"norm__bias": torch.ones(4, dtype=torch.int32)}, "'norm.bias' is I32, .* needs F32"),
        ({"norm__num_batches_tracked": torch.tensor(1.0)}, "tracked' is F32, .* needs I64"),
        ({"head__weight": torch.zeros(5, 4)}, "ties .* different ones"),
    ],
)
def test_weights_that_do_not_fit(
    tied: str, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    """Missing, unexpected, of another shape or kind, or two copies that differ: named."""
    with pytest.raises(ArchitectureError, match=says):
        open_factory(tied, save(tmp_path / "w.safetensors", **changes))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_the_weights_keep_their_precision(
    tied: str, tmp_path: Path, store: Store, dtype: str, contents: Callable[..., dict[str, Any]]
) -> None:
    """Floats of another width are kept as they are, byte for byte."""
    value = torch.linspace(-1, 1, 20).reshape(5, 4).to(getattr(torch, dtype))
    store.add("m", open_factory(tied, save(tmp_path / "w.safetensors", emb__weight=value)))
    raw = contents(store, store.model("m"))["emb.weight"][2]
    assert raw == value.view(torch.uint8).numpy().tobytes()


def test_int8_weights_of_an_int8_buffer(
    store: Store, write_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole numbers of other widths are one kind."""
    name = f"int8_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(
        "import torch\n"
        "class M(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.register_buffer('q', torch.zeros(3, dtype=torch.int8))\n"
    )
    monkeypatch.chdir(tmp_path)
    path = write_file({"q": np.array([1, -2, 3], "i1")})
    store.add("m", open_factory(f"{name}:M", path))
    assert store.model("m").blocks[0].tensors[0].dtype == "I8"
