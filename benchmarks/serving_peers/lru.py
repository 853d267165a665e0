"""What a user of MLServer, LitServe or Ray Serve writes to serve more models than fit in memory.

Whole models, the least recently used leaves first; weights come by `load_file` and
`load_state_dict`. This file imports nothing of Trunkline: it runs in the peers' environments, and
`$SERVING_CONFIG` names the JSON file that says what to serve (`benchmarks/servers/peers.py`).

How a model comes into memory (`loading` in that file):

- `reuse`: copied into the module of the model that leaves, if that has the same architecture, else
  into a new one that was not initialised first;
- `build`: into a module built anew, as in the peers' own examples;
- `assign`: the file is mapped, not copied; its pages come out of the page cache as they are used.
"""

from __future__ import annotations

import importlib.util
import json
import mmap
import os
import struct
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

TYPES = {"FP32": np.float32, "INT64": np.int64}


def config() -> dict[str, Any]:
    """What to serve and how."""
    return json.loads(Path(os.environ["SERVING_CONFIG"]).read_text())


class Counter:
    """Bytes loaded so far, in a file that the benchmark reads."""

    def __init__(self, path: str) -> None:
        with open(path, "r+b") as file:
            self._bytes = mmap.mmap(file.fileno(), 8)

    def add(self, size: int) -> None:
        (now,) = struct.unpack("<q", self._bytes[:8])
        self._bytes[:8] = struct.pack("<q", now + size)


class Loader:
    """Brings whole models into memory; not for several threads at once."""

    def __init__(self, given: dict[str, Any]) -> None:
        torch.set_num_threads(given["threads"])
        self.models: dict[str, dict[str, Any]] = given["models"]
        self._way: str = given["loading"]
        self._counter = Counter(given["counter"])
        self._left: tuple[str, torch.nn.Module] | None = None

    def load(self, name: str) -> torch.nn.Module:
        """The model, ready to run."""
        one = self.models[name]
        weights = load_file(one["weights"])
        module = self._module(one)
        module.load_state_dict(weights, assign=self._way == "assign")
        self._counter.add(one["bytes"])
        return module.eval().requires_grad_(False)

    def leave(self, name: str, module: torch.nn.Module) -> None:
        """A model leaves; its module may take the next one's weights."""
        if self._way == "reuse":
            self._left = (self._architecture(self.models[name]), module)

    def _module(self, one: dict[str, Any]) -> torch.nn.Module:
        left, self._left = self._left, None
        if left and left[0] == self._architecture(one):
            return left[1]
        del left
        factory = getattr(_code(one["code"]), one["factory"])
        if self._way == "build":
            return factory(**one["kwargs"])
        with torch.device("meta"):
            module = factory(**one["kwargs"])
        return module if self._way == "assign" else module.to_empty(device="cpu")

    @staticmethod
    def _architecture(one: dict[str, Any]) -> str:
        return f"{one['code']}:{one['factory']}"


class Models:
    """The models in memory, no more bytes of them than the budget."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._loader = Loader(given)
        self._budget: int = given["memory_bytes"]
        self._resident: OrderedDict[str, torch.nn.Module] = OrderedDict()
        self._bytes = 0

    def get(self, name: str) -> torch.nn.Module:
        """A model, loaded if it is not there."""
        if name in self._resident:
            self._resident.move_to_end(name)
            return self._resident[name]
        size = self._loader.models[name]["bytes"]
        while self._resident and self._bytes + size > self._budget:
            gone, module = self._resident.popitem(last=False)
            self._bytes -= self._loader.models[gone]["bytes"]
            self._loader.leave(gone, module)
        self._resident[name] = self._loader.load(name)
        self._bytes += size
        return self._resident[name]


def forward(module: torch.nn.Module, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """The outputs of several requests for one model, in one batch."""
    with torch.inference_mode():
        outputs = module(torch.cat(inputs))
    return list(outputs.split([len(one) for one in inputs]))


def decode(request: dict[str, Any]) -> torch.Tensor:
    """The one input of a request."""
    one = request["inputs"][0]
    array = np.array(one["data"], dtype=TYPES[one["datatype"]])
    return torch.from_numpy(array.reshape(one["shape"]))


def encode(name: str, output: torch.Tensor) -> dict[str, Any]:
    """An answer."""
    tensor = {
        "name": "output",
        "datatype": "FP32",
        "shape": list(output.shape),
        "data": output.flatten().tolist(),
    }
    return {"model_name": name, "outputs": [tensor]}


_modules: dict[str, Any] = {}


def _code(path: str) -> Any:
    """The Python file that has the factories."""
    if path not in _modules:
        name = f"serving_{Path(path).stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError(path)
        sys.modules[name] = _modules[path] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(_modules[path])
    return _modules[path]
