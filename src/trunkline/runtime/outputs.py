"""What a forward returned, free of the memory that the weights lie in."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

from trunkline.runtime.device import Memory
from trunkline.runtime.waiting import StandIn


def applied(module: Callable[..., Any], batch: Tensor | Mapping[str, Any], memory: Memory) -> Any:
    """What a module makes of one tensor or of keyword arguments, which go to the memory's device
    first; nothing in it lies in that memory."""
    if isinstance(batch, Mapping):
        given = {key: _there(value, memory) for key, value in batch.items()}
        return copied(module(**given), memory.shares)
    return copied(module(_there(batch, memory)), memory.shares)


def _there(value: Any, memory: Memory) -> Any:
    if isinstance(value, Tensor) and value.device != memory.device:
        return value.to(memory.device, non_blocking=True)
    return value


def copied(value: Any, shares: Callable[[Tensor], bool]) -> Any:
    """`value` with every tensor that `shares` memory replaced by a copy of its own.

    Looks into lists, tuples, mappings and dataclasses, however deep; returns `value` itself if
    nothing in it had to be copied.
    """
    if isinstance(value, StandIn):  # taken before its module ran
        value = value._fetch()
    if isinstance(value, Tensor):
        return value.clone() if shares(value) else value
    if isinstance(value, Mapping):
        parts = {key: copied(one, shares) for key, one in value.items()}
        if all(parts[key] is value[key] for key in parts):
            return value
        if isinstance(value, MutableMapping):
            fresh = copy.copy(value)
            for key, one in parts.items():
                fresh[key] = one
            return fresh
        return parts
    if isinstance(value, (list, tuple)):
        items = [copied(one, shares) for one in value]
        if all(one is other for one, other in zip(items, value, strict=True)):
            return value
        make: Callable[[list[Any]], Any] = getattr(type(value), "_make", type(value))
        return make(items)
    if is_dataclass(value) and not isinstance(value, type):
        known = {one.name: getattr(value, one.name) for one in fields(value)}
        parts = {name: copied(one, shares) for name, one in known.items()}
        if all(parts[name] is known[name] for name in parts):
            return value
        changed: Any = copy.copy(value)
        for name, one in parts.items():
            object.__setattr__(changed, name, one)  # it may be frozen
        return changed
    return value
