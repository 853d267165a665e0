"""Models without weights: what they hold, and in which order they run."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.errors import ArchitectureError, InputError
from trunkline.store import InputSpec
from trunkline.store.skeleton import build, check_kwargs, examine, forward_order, load_callable

pytest.importorskip("torch")

NETS = '''
import torch
from torch import nn

class Net(nn.Module):
    """Defined head first; runs body first; one module is never run."""
    def __init__(self, width=4, tie=False):
        super().__init__()
        self.head = nn.Linear(width, 2)
        self.body = nn.Linear(width, width)
        self.norm = nn.BatchNorm1d(width)
        self.spare = nn.Linear(width, width)
        if tie:
            self.spare.weight = self.body.weight
        self.scale = nn.Parameter(torch.ones(1))
    def forward(self, x):
        return self.head(self.norm(self.body(x))) * self.scale

class Holder:
    inner = Net

def fails(): raise RuntimeError("no luck")
def looks(): return float(torch.ones(1).sum())
class Looking(Net):
    """A constructor that reads its own tensors, as stochastic depth does."""
    def __init__(self):
        super().__init__(tie=True)
        self.rates = [rate.item() for rate in torch.linspace(0, 1, 3)]
def number(): return 3
class Strict(Net):
    def forward(self, x): raise ValueError("not today")
class Extra(nn.Linear):
    def get_extra_state(self): return {"a": 1}
    def set_extra_state(self, state): pass
value = 7
'''


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with networks in the current directory; its name."""
    name = f"nets_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    return name


def test_a_module_in_the_current_directory_is_found(nets: str) -> None:
    """As under `python -m`; nested names work; the search path is left as it was."""
    import sys

    before = list(sys.path)
    assert load_callable(f"{nets}:Net").__name__ == "Net"
    assert load_callable(f"{nets}:Holder.inner").__name__ == "Net"
    assert sys.path == before


@pytest.mark.parametrize(
    ("factory", "says"),
    [("{}:none", "no attribute"), ("{}:value", "no callable"), ("no_such_{}:x", "No module")],
)
def test_factories_that_cannot_be_imported(nets: str, factory: str, says: str) -> None:
    """The message says why a factory is none."""
    with pytest.raises(ArchitectureError, match=says):
        load_callable(factory.format(nets))
    with pytest.raises(InputError):
        load_callable("nothing")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("fails", "no luck"),
        ("looks", "returned no torch module"),
        ("number", "no torch module"),
        ("Net", "got"),
    ],
)
def test_factories_that_cannot_be_built(nets: str, name: str, says: str) -> None:
    """What a factory raises, or returns instead of a module, is told."""
    with pytest.raises(ArchitectureError, match=says):
        build(f"{nets}:{name}", {"n": 1} if name == "Net" else {})


def test_a_skeleton_names_types_shapes_and_ties(nets: str) -> None:
    """Parameters and buffers in the order of definition, tied names together, nothing computed."""
    module = build(f"{nets}:Net", {"width": 3, "tie": True})
    assert all(parameter.is_meta for parameter in module.parameters())
    skeleton = examine(module, "net")
    assert list(skeleton.tensors)[:3] == ["scale", "head.weight", "head.bias"]
    assert skeleton.tensors["head.weight"] == ("F32", (2, 3))
    assert skeleton.tensors["norm.num_batches_tracked"] == ("I64", ())
    assert skeleton.groups == (("body.weight", "spare.weight"),)


def test_a_constructor_that_needs_data_is_called_for_real(nets: str) -> None:
    """What cannot be built without data is built with it, ties and order of use included, and the
    random numbers of the user's process stay as they were."""
    import torch

    state = torch.get_rng_state()
    module = build(f"{nets}:Looking", {})
    assert torch.equal(torch.get_rng_state(), state)
    assert module.rates == [0.0, 0.5, 1.0]
    assert examine(module, "net").groups == (("body.weight", "spare.weight"),)
    assert forward_order(module, InputSpec((4,)))[1].startswith("body")


def test_state_that_is_no_tensor_is_refused(nets: str) -> None:
    """Extra state that is no tensor cannot be stored, and is named."""
    module = build(f"{nets}:Extra", {"in_features": 1, "out_features": 1})
    with pytest.raises(ArchitectureError, match="_extra_state"):
        examine(module, "net")


def test_the_order_of_a_forward_pass(nets: str) -> None:
    """Modules come in the order in which they run; what is not reached comes last."""
    order = forward_order(build(f"{nets}:Net", {}), InputSpec((4,)))
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in order))
    assert modules == ["", "body", "norm", "head", "spare"]


def test_a_forward_pass_that_fails_is_told(nets: str) -> None:
    """Whatever the pass raises becomes an ArchitectureError."""
    with pytest.raises(ArchitectureError, match="not today"):
        forward_order(build(f"{nets}:Strict", {}), InputSpec((4,)))


def test_arguments_are_json() -> None:
    """Arguments that JSON cannot hold are refused; tuples become lists."""
    assert check_kwargs({"a": (1, 2)}, "f") == {"a": [1, 2]}
    for bad in ({"a": object()}, {"a": float("nan")}, {1: 2}):
        with pytest.raises(ArchitectureError, match="arguments of"):
            check_kwargs(bad, "f")  # type: ignore[arg-type]  # on purpose
