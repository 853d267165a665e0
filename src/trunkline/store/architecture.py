"""How a model is built, and what it takes: recorded beside its weights."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from trunkline.errors import InputError, StoreError
from trunkline.store.dtypes import ITEM_BYTES, from_torch_name
from trunkline.units import shorten

_FACTORY: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")

MAX_LABEL: Final = 200
MAX_DEPTH: Final = 100
"""Arguments and configs from a store are nested no deeper."""

_NOT_BUILT_FROM: Final = frozenset({"_name_or_path", "transformers_version", "_commit_hash"})
"""Fields of a `config.json` that say where it came from and not what is built."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """What builds a model without its weights.

    Attributes:
        kind: `factory`, a Python callable; `huggingface`, a class and a `config.json`; or `peft`,
            such a class with an unmerged LoRA adapter.
        factory: `package.module:callable` (kind `factory`).
        kwargs: keyword arguments of the callable, JSON values (kind `factory`).
        config: the content of `config.json` (kinds `huggingface` and `peft`).
        class_name: `architectures[0]` of the config, None if it names none (the same kinds).
        adapter: what `trunkline.store.lora` keeps of `adapter_config.json` (kind `peft`).
    """

    kind: Literal["factory", "huggingface", "peft"]
    factory: str | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    config: Mapping[str, Any] | None = field(default=None, hash=False)
    class_name: str | None = None
    adapter: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def base(self) -> Architecture:
        """What an adapter is put on; any other architecture is its own base."""
        if self.kind != "peft":
            return self
        return Architecture("huggingface", config=self.config, class_name=self.class_name)

    @property
    def key(self) -> str:
        """Equal for models that are built the same way: sha256 of the canonical JSON, in hex.

        Fields of a config that only say where it came from don't count.
        """
        document = self.to_dict()
        if self.config is not None:
            document["config"] = {
                name: value for name, value in self.config.items() if name not in _NOT_BUILT_FROM
            }
        canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def label(self) -> str:
        """A short text for people: the factory and its arguments, or the class."""
        if self.kind == "factory":
            arguments = ", ".join(f"{key}={value!r}" for key, value in self.kwargs.items())
            text = f"{self.factory}({arguments})"
        else:
            text = self.class_name or str((self.config or {}).get("model_type", "huggingface"))
            if self.adapter is not None:
                text += f" with a LoRA adapter of rank {self.adapter.get('r')}"
        text = shorten(text, MAX_LABEL)
        return text if text.isprintable() else repr(text)[1:-1]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        if self.kind == "factory":
            return {"kind": self.kind, "factory": self.factory, "kwargs": dict(self.kwargs)}
        document = {"kind": self.kind, "class": self.class_name, "config": dict(self.config or {})}
        return document if self.adapter is None else {**document, "adapter": dict(self.adapter)}

    @classmethod
    def from_dict(cls, document: Any, where: str) -> Architecture:
        """Read the JSON form; `where` names it in messages (StoreError if it is wrong)."""
        match document:
            case {"kind": "factory", "factory": str(factory), "kwargs": dict(kwargs)}:
                try:
                    check_factory_name(factory)
                except InputError as error:
                    raise StoreError(f"{where}: {error}") from None
                _refuse_depth(kwargs, where)
                return cls("factory", factory=factory, kwargs=kwargs)
            case {"kind": "huggingface", "class": str() | None as name, "config": dict(config)}:
                _refuse_depth(config, where)
                return cls("huggingface", config=config, class_name=name)
            case {
                "kind": "peft",
                "class": str() | None as name,
                "config": dict(config),
                "adapter": dict(adapter),
            }:
                _refuse_depth(config, where)
                _refuse_depth(adapter, where)
                return cls("peft", config=config, class_name=name, adapter=adapter)
        raise StoreError(
            f"{where}: the architecture is neither a factory nor a huggingface or peft one"
        )


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What a model takes: one tensor.

    Attributes:
        shape: without the batch dimension.
        dtype: PyTorch's name of the type, `float32`, `int64`, ...
        high: for whole numbers, the exclusive upper bound of valid values (a vocabulary's size).
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    high: int | None = None

    def __post_init__(self) -> None:
        if any(size < 0 for size in self.shape):
            raise InputError(f"input shape {list(self.shape)}: a dimension is negative")
        if from_torch_name(self.dtype) is None:
            raise InputError(f"input type {shorten(self.dtype)!r} is none that PyTorch has")
        if self.high is not None and self.high < 1:
            raise InputError(f"input bound {self.high}: must be at least 1")

    @classmethod
    def parse(cls, text: str) -> InputSpec:
        """Read `3,32,32:float32`, or `128:int64:30522` with an exclusive upper bound.

        Raises:
            InputError: any other text.
        """
        sizes, _, rest = text.partition(":")
        dtype, _, high = rest.partition(":")
        try:
            shape = tuple(int(size) for size in sizes.split(",") if size.strip())
            bound = int(high) if high else None
        except ValueError:
            raise InputError(
                f"input {shorten(text)!r}: expected sizes and a type, as in 3,32,32:float32 or "
                "128:int64:30522 (with the exclusive upper bound of the values)"
            ) from None
        return cls(shape, dtype or "float32", bound)

    def __str__(self) -> str:
        """The text that `parse` reads."""
        sizes = ",".join(map(str, self.shape))
        return f"{sizes}:{self.dtype}" + ("" if self.high is None else f":{self.high}")

    @property
    def bytes(self) -> int:
        """Bytes of one input."""
        dtype = from_torch_name(self.dtype)
        assert dtype is not None  # checked above
        return math.prod(self.shape) * ITEM_BYTES[dtype]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        document: dict[str, Any] = {"shape": list(self.shape), "dtype": self.dtype}
        if self.high is not None:
            document["high"] = self.high
        return document

    @classmethod
    def from_dict(cls, document: Any, where: str) -> InputSpec:
        """Read the JSON form; `where` names it in messages (StoreError if it is wrong)."""
        match document:
            case {"shape": list(shape), "dtype": str(dtype)} if all(
                type(size) is int for size in shape
            ):
                high = document.get("high")
                if high is None or type(high) is int:
                    try:
                        return cls(tuple(shape), dtype, high)
                    except InputError as error:
                        raise StoreError(f"{where}: {error}") from None
        raise StoreError(f"{where}: the input has no shape and type")


def check_factory_name(factory: str) -> None:
    """Refuse what is not `package.module:callable` (InputError)."""
    if not _FACTORY.fullmatch(factory):
        raise InputError(
            f"factory {shorten(factory)!r} must read package.module:callable, "
            "as in torchvision.models:resnet18"
        )


def _refuse_depth(document: Any, where: str) -> None:
    """StoreError where JSON is nested so deep that Python could not write it again."""
    level, depth = [document], 0
    while level:
        if depth > MAX_DEPTH:
            raise StoreError(f"{where}: the architecture is nested more than {MAX_DEPTH} deep")
        level = [
            part
            for one in level
            if isinstance(one, (dict, list))
            for part in (one.values() if isinstance(one, dict) else one)
        ]
        depth += 1
