"""Outputs are copied where they share the weights' memory, and only there."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch

from trunkline.runtime.outputs import copied

Pair = namedtuple("Pair", "left right")  # what a model may return


@dataclass(frozen=True)
class Both:
    """So may it return this."""

    left: Any
    right: Any


def test_only_shared_tensors_are_copied_and_containers_keep_their_types() -> None:
    """However deep: the shared tensor is a copy, its neighbours and the original are as before."""
    shared, own = torch.ones(2), torch.zeros(2)
    for value in (
        OrderedDict(a=shared, b=own),
        MappingProxyType({"a": shared, "b": own}),
        Pair([shared], own),
        Both([shared], own),
        ({"x": (shared, own)}, 3, None),
    ):
        result = copied(value, lambda one: one.data_ptr() == shared.data_ptr())
        assert type(result) is (dict if isinstance(value, MappingProxyType) else type(value))
        assert _pointers(result).isdisjoint({shared.data_ptr()})
        assert own.data_ptr() in _pointers(result)
        assert shared.data_ptr() in _pointers(value)


def test_what_shares_nothing_is_handed_on_as_it_is() -> None:
    """No container is made anew without a reason."""
    value = {"a": [torch.ones(1), "text"], "b": Pair(1, 2), "c": Both(torch.ones(1), Both)}
    assert copied(value, lambda _: False) is value


def _pointers(value: Any) -> set[int]:
    if isinstance(value, torch.Tensor):
        return {value.data_ptr()}
    if isinstance(value, Both):
        value = list(vars(value).values())
    elif hasattr(value, "values"):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return set()
    return {pointer for one in value for pointer in _pointers(one)}
