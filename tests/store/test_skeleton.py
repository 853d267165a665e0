"""Models without weights: what they hold, and in which order they run."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.errors import ArchitectureError
from trunkline.store import Architecture, InputSpec
from trunkline.store.building import build_skeleton
from trunkline.store.skeleton import examine, forward_order, places

torch = pytest.importorskip("torch")


def build(nets: str, name: str, **kwargs: Any) -> Any:
    """A network of the tests' module on the meta device."""
    return build_skeleton(Architecture("factory", factory=f"{nets}:{name}", kwargs=kwargs))


def test_a_skeleton_names_types_shapes_and_ties(nets: str) -> None:
    """Parameters and buffers in the order of definition, tied names together."""
    skeleton = examine(build(nets, "Net", width=3, tie=True), "net")
    assert list(skeleton.tensors)[:3] == ["scale", "head.weight", "head.bias"]
    assert skeleton.tensors["head.weight"] == ("F32", (2, 3))
    assert skeleton.tensors["norm.num_batches_tracked"] == ("I64", ())
    assert skeleton.groups == (("body.weight", "spare.weight"),)


@pytest.mark.parametrize("name", ["Net", "Looking"])
def test_the_places_of_a_module_are_those_of_its_state_dict(nets: str, name: str) -> None:
    """Same names, same order, same tensors; a module that is used twice has its places twice."""
    module = torch.nn.ModuleDict({"a": build(nets, name), "b": torch.nn.LSTM(2, 3)})
    module["again"] = module["a"]
    module["bare"] = torch.nn.Linear(2, 2, bias=False)
    module.register_buffer("fleeting", torch.ones(1), persistent=False)
    found = {place.name: place.tensor for place in places(module)}
    state = module.state_dict(keep_vars=True)
    assert list(found) == list(state)
    assert all(found[name] is state[name] for name in state)
    for place in places(module):
        assert getattr(place.owner, place.key) is place.tensor
        assert place.is_parameter == isinstance(place.tensor, torch.nn.Parameter)


@pytest.mark.parametrize(
    ("name", "kwargs", "says"),
    [
        ("Extra", {"in_features": 1, "out_features": 1}, "'_extra_state'"),
        ("Renamed", {"in_features": 1, "out_features": 1}, "'bias' of its state|'old.bias'"),
        ("lazy", {}, "'weight' has no shape until"),
    ],
)
def test_state_that_cannot_be_stored_is_refused(
    nets: str, name: str, kwargs: dict[str, Any], says: str
) -> None:
    """Extra state, names that lead to no parameter, parameters without a shape: named."""
    with pytest.raises(ArchitectureError, match=says):
        examine(build(nets, name, **kwargs), "net")


def test_the_order_of_a_forward_pass(nets: str) -> None:
    """Modules come in the order in which they run, tied tensors with all their names; what is not
    used comes last. (`Looking` ties the weight of `spare`, which does not run, to that of `body`.)
    """
    for name, tied in (("Net", []), ("Looking", ["spare.weight"])):
        order = forward_order(build(nets, name), InputSpec((4,)))
        assert order[:4] == ["scale", "body.weight", *tied, "body.bias", "norm.weight"][:4]
        used = [one for one in order if one not in tied]
        modules = list(dict.fromkeys(name.rpartition(".")[0] for name in used))
        assert modules == ["", "body", "norm", "head", "spare"]


def test_tensors_used_without_their_module_being_called(nets: str) -> None:
    """A weight that a parent hands to a function counts where that is; asking for its shape or type
    does not."""
    order = forward_order(build(nets, "Borrowing"), InputSpec((4,)))
    assert [name for name in order if name.endswith("weight")] == [
        "first.weight",
        "lent.weight",
        "last.weight",
    ]


@pytest.mark.parametrize(("name", "says"), [("Strict", "not today"), ("Leaving", "SystemExit: 3")])
def test_a_forward_pass_that_fails_is_told(nets: str, name: str, says: str) -> None:
    """Whatever the pass raises becomes an ArchitectureError; no hook is left behind."""
    module = build(nets, name)
    with pytest.raises(ArchitectureError, match=says):
        forward_order(module, InputSpec((4,)))
    assert not any(part._forward_pre_hooks for part in module.modules())
