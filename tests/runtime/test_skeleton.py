"""Skeletons: built without memory, and refusing weights that don't fit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from trunkline.errors import ArchitectureError
from trunkline.runtime import Runtime, state_dict_source
from trunkline.runtime.skeleton import Skeleton
from trunkline.store import Architecture, Store
from trunkline.store.building import build_skeleton

CPU = torch.device("cpu")


def factory(name: str, **kwargs: Any) -> Architecture:
    """An architecture of the tests' own models."""
    return Architecture("factory", factory=f"tiny_models:{name}", kwargs=kwargs)


def test_a_skeleton_has_no_memory_and_takes_no_gradients() -> None:
    """All parameters and buffers are on the meta device, in eval mode."""
    skeleton = Skeleton(factory("conv"), CPU)
    assert all(p.is_meta and not p.requires_grad for p in skeleton.module.parameters())
    assert all(b.is_meta for b in skeleton.module.buffers())
    assert not skeleton.module.training


def test_building_leaves_the_random_state_alone() -> None:
    """Whether built on meta or for real, the caller's next random number is the same."""
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    Skeleton(factory("positional"), CPU)
    Skeleton(factory("needs_data"), CPU)
    assert torch.equal(torch.rand(1), wanted)


def test_tensors_that_no_state_dict_has_get_their_values() -> None:
    """Non-persistent buffers and plain attributes, nested ones too, come from a real build."""
    module: Any = Skeleton(factory("positional"), CPU).module
    assert torch.equal(module.table, torch.linspace(-1, 1, 6) ** 2)
    assert torch.equal(module.shift, torch.arange(4.0))
    assert torch.equal(module.more["list"][0], torch.full((4,), 0.5))
    assert module.scale.is_meta  # a persistent one waits for its weights


def test_a_constructor_that_needs_data_keeps_its_ties(store: Store, add: Any) -> None:
    """Built for real where meta fails, tied parameters still get one tensor."""
    add("a", "needs_data")
    with Runtime(store) as runtime:
        runtime.switch("a")
        module: Any = runtime.module("a")
        assert module.twin.weight is module.lin.weight


def test_variants_share_a_skeleton(store: Store, add: Any) -> None:
    """Two variants of one architecture are one module; another argument makes another."""
    for seed, name in enumerate("ab"):
        add(name, "conv", seed)
    add("c", "conv", 2, classes=6)
    with Runtime(store, memory_bytes=10**7) as runtime:
        for name in "abc":
            runtime.switch(name)
        assert runtime.module("a") is runtime.module("b")
        assert runtime.module("a") is not runtime.module("c")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"8.bias": torch.zeros(6)}, r"'8.bias' has the shape \[6\], .* needs \[5\]"),
        ({"8.bias": torch.zeros(5, dtype=torch.int32)}, "'8.bias' is I32, .* needs F32"),
        ({"1.num_batches_tracked": torch.tensor(1.0)}, "is F32, .* needs I64"),
        ({"8.bias": None}, "has no tensor '8.bias', which .*conv.* needs"),
        ({"9.weight": torch.zeros(1)}, "has a tensor '9.weight', for which .* has no place"),
    ],
)
def test_weights_that_do_not_fit(store: Store, change: dict[str, Any], message: str) -> None:
    """Another shape or kind, a tensor too few or too many: named with both sides."""
    import tiny_models

    state = {**tiny_models.conv().state_dict(), **change}
    state = {key: value for key, value in state.items() if value is not None}
    store.add("a", state_dict_source(state, architecture=factory("conv")))
    with Runtime(store) as runtime, pytest.raises(ArchitectureError, match=message):
        runtime.prepare("a")


def test_a_stored_copy_of_a_non_persistent_buffer_is_let_pass(store: Store) -> None:
    """Old checkpoints bring such buffers along; the built one holds, as in Transformers."""
    import tiny_models

    state = {**tiny_models.positional().state_dict(), "table": torch.zeros(6)}
    store.add("a", state_dict_source(state, architecture=factory("positional")))
    with Runtime(store) as runtime:
        runtime.switch("a")
        assert float(runtime.module("a").table[0]) == 1.0  # type: ignore[operator,index]


def test_weights_tied_in_the_file_feed_an_untied_module(store: Store) -> None:
    """Names that a state dict stored once both get that tensor, though the factory ties nothing."""
    import tiny_models

    state = tiny_models.conv(classes=16, width=2).state_dict()
    state["3.weight"] = torch.randn(4, 2, 3, 3)
    state["4.weight"] = state["4.bias"] = torch.randn(4)
    store.add("a", state_dict_source(state, architecture=factory("conv", classes=16, width=2)))
    with Runtime(store) as runtime:
        runtime.switch("a")
        module: Any = runtime.module("a")
        assert torch.equal(module[4].bias, state["4.bias"])
        assert module[4].bias.data_ptr() == module[4].weight.data_ptr()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "hidden",
            r"'lin.weight' \(or a view of it\) also in the plain attribute 'mine' of its root",
        ),
        ("transposed", r"'part.w' .* also in the plain attribute 'wt' of 'part'"),
        ("buffered", r"'w' .* also in the buffer 'first' of its root"),
        ("unregistered", "keeps a module in the plain attribute 'parts' of its root"),
        ("real_and_hidden", r"'w' .* also in the plain attribute 'wt'"),
    ],
)
def test_parameters_hidden_from_switches_are_refused(name: str, message: str) -> None:
    """Aliases and views that a switch could not replace would answer wrongly; they are named."""
    with pytest.raises(ArchitectureError, match=message):
        Skeleton(factory(name), CPU)


def test_only_the_tensors_of_a_mixed_list_are_replaced(store: Store, add: Any) -> None:
    """A list of a registered module and a tensor: the module stays the one that switches feed."""
    state, x = add("a", "mixed"), torch.randn(2, 3)
    with Runtime(store) as runtime:
        runtime.switch("a")
        wanted = torch.nn.functional.linear(x, state["lin.weight"], state["lin.bias"]) + 7
        assert torch.equal(runtime.infer("a", x), wanted)


def test_what_no_switch_can_see_fails_loudly(store: Store, add: Any) -> None:
    """A parameter in a closure, of a constructor that ran for real: an error, no made-up answer."""
    add("a", "closure")
    with Runtime(store) as runtime:
        runtime.switch("a")
        with pytest.raises(RuntimeError):
            runtime.infer("a", torch.randn(2, 3))


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (factory("nothing"), "has no attribute 'nothing'"),
        (factory("no_module"), "returned int and not a torch.nn.Module"),
        (factory("broken"), "cannot be built: RuntimeError: no such luck"),
        (factory("conv", colour=3), "cannot be built: TypeError"),
        (
            Architecture("factory", factory="no.such.place:x"),
            "cannot be imported: ModuleNotFoundError",
        ),
        (Architecture("factory", factory="math:pi"), "is no callable"),
        (Architecture("huggingface", config={}), "names no model_type"),
        (Architecture("huggingface", config={"model_type": "zzz"}), "zzz"),
    ],
)
def test_architectures_that_cannot_be_built(architecture: Architecture, message: str) -> None:
    """Each is an ArchitectureError that says what is wrong with it."""
    with pytest.raises(ArchitectureError, match=message):
        build_skeleton(architecture)


def test_transformers_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without transformers the message says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(ArchitectureError, match=r"pip install 'trunkline\[hf\]'"):
        build_skeleton(Architecture("huggingface", config={"model_type": "bert"}))
