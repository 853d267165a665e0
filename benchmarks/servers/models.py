"""The models of the serving benchmark, as whole files and in a store.

`resnet`: 20 variants of ResNet-18, -34 and -50; `gpt2`: 10 variants of one network of GPT-2's size
(`benchmarks/serving_peers/gpt2.py`). All weights are RANDOM, from a fixed seed: moving and
computing take the same time whatever the values are. A variant keeps its backbone's bottom layers,
a share uniform in 0.85 +- 0.15 of them, and has the rest of its own.

Each model lies twice in the folder: as one safetensors file, which the peers read, and imported
from that file into a store.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from benchmarks.serving_peers import gpt2
from trunkline.experiments import networks
from trunkline.experiments.variants import backbone_state, draw_variants, variant_state
from trunkline.store import InputSpec, Store
from trunkline.store.factory import open_factory

VERSION = 1
"""Of what lies in the folder; a new way of drawing needs a new one."""

INPUTS = 8
"""Different inputs of a library; requests take turns with them."""

State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Variant:
    """A model: how it is built, what it takes."""

    name: str
    module: str
    factory: str
    input: InputSpec

    @property
    def code(self) -> str:
        """The Python file with its factory."""
        files = {networks.__name__: networks.__file__, gpt2.__name__: gpt2.__file__}
        return str(files[self.module])

    def build(self) -> torch.nn.Module:
        """Its module, not initialised."""
        with torch.device("meta"):
            module = getattr({m.__name__: m for m in (networks, gpt2)}[self.module], self.factory)()
        built: torch.nn.Module = module.to_empty(device="cpu").eval()
        return built


@dataclass(frozen=True)
class Library:
    """Models in a folder.

    Attributes:
        bytes: of each model's tensors, by name.
        distinct_bytes: of all of them, each once.
        inputs: the same for every model, as numbers in row-major order.
        expected: by model, the outputs of a model loaded the usual way, one for each input.
    """

    name: str
    folder: Path
    variants: tuple[Variant, ...]
    bytes: dict[str, int]
    distinct_bytes: int
    inputs: tuple[list[float], ...]
    expected: dict[str, list[list[float]]]

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def memory_bytes(self) -> int:
        """The budget: the two largest models."""
        return sum(sorted(self.bytes.values())[-2:])

    def weights(self, variant: Variant) -> Path:
        """Its whole file."""
        return self.folder / f"{variant.name}.safetensors"


def prepare(name: str, folder: Path, tell: Callable[[str], None]) -> Library:
    """The models of a library, made unless they are in the folder."""
    torch.manual_seed(0)
    folder = folder / name
    known = folder / "library.json"
    draw = {"resnet": _resnets, "gpt2": _gpt2s}[name]
    if not known.exists() or json.loads(known.read_text())["version"] != VERSION:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        tell(f"making the models of {name} in {folder}, once")
        known.with_suffix(".tmp").write_text(json.dumps(_make(folder, draw())))
        known.with_suffix(".tmp").replace(known)
    read = json.loads(known.read_text())
    variants = tuple(
        Variant(**{**one, "input": InputSpec(**one["input"])}) for one in read["variants"]
    )
    keys = ("bytes", "distinct_bytes", "inputs", "expected")
    return Library(name, folder, variants, **{key: read[key] for key in keys})


def _make(folder: Path, drawn: Iterator[tuple[Variant, State]]) -> dict[str, object]:
    store = Store.open(folder / "store", create=True)
    variants: list[Variant] = []
    sizes: dict[str, int] = {}
    expected: dict[str, list[list[float]]] = {}
    inputs: list[list[float]] = []
    for variant, state in drawn:
        path = folder / f"{variant.name}.safetensors"
        save_file(state, path)
        source = open_factory(f"{variant.module}:{variant.factory}", path, {}, variant.input)
        store.add(variant.name, source, replace=True)
        inputs = inputs or _inputs(variant.input)
        module = variant.build()
        module.load_state_dict(load_file(path))
        with torch.inference_mode():
            expected[variant.name] = [
                module(as_tensor(one, variant.input)).flatten().tolist() for one in inputs
            ]
        sizes[variant.name] = sum(one.nbytes for one in state.values())
        variants.append(variant)
    blocks = {b.digest: b.bytes for v in variants for b in store.model(v.name).blocks}
    return {
        "version": VERSION,
        "variants": [asdict(one) for one in variants],
        "bytes": sizes,
        "distinct_bytes": sum(blocks.values()),
        "inputs": inputs,
        "expected": expected,
    }


def as_tensor(values: list[float], spec: InputSpec) -> torch.Tensor:
    """An input as a batch of one."""
    return torch.tensor(values, dtype=getattr(torch, spec.dtype)).reshape(1, *spec.shape)


def _inputs(spec: InputSpec) -> list[list[float]]:
    rng = random.Random(0)
    count = int(np.prod(spec.shape))
    if spec.high:
        return [[rng.randrange(spec.high) for _ in range(count)] for _ in range(INPUTS)]
    return [[round(rng.gauss(0, 1), 3) for _ in range(count)] for _ in range(INPUTS)]


def _resnets() -> Iterator[tuple[Variant, State]]:
    backbone: tuple[str, State] = ("", {})
    for one in sorted(draw_variants(7)[:20], key=lambda v: v.network):
        if backbone[0] != one.network:
            backbone = (one.network, backbone_state(one.network))
        variant = Variant(one.name, networks.__name__, one.network, InputSpec((3, 32, 32)))
        yield variant, variant_state(one, backbone[1])


def _gpt2s() -> Iterator[tuple[Variant, State]]:
    with torch.device("meta"):
        shapes = {name: one.shape for name, one in gpt2.gpt2().state_dict().items()}
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in shapes))
    backbone = _draw(shapes, 0)
    shares = np.random.default_rng(0).uniform(0.7, 1.0, 10)
    spec = InputSpec((32,), "int64", gpt2.TOKENS)
    for index, share in enumerate(shares):
        own = set(layers[min(round(share * len(layers)), len(layers) - 1) :])
        mine = {k: s for k, s in shapes.items() if k.rpartition(".")[0] in own}
        state = {**backbone, **_draw(mine, index + 1)}
        yield Variant(f"gpt2-random-{index:02d}", gpt2.__name__, "gpt2", spec), state


def _draw(shapes: dict[str, torch.Size], seed: int) -> State:
    """GPT-2's initialisation: standard deviation 0.02, normalisations that change nothing."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        if "ln_" in name:
            state[name] = torch.ones(shape) if name.endswith("weight") else torch.zeros(shape)
        else:
            state[name] = 0.02 * torch.randn(shape, generator=generator)
    return state


@dataclass(frozen=True)
class Reference:
    """What the usual way takes here, by model: a full load in place, and a forward of one input.

    The least of several runs: deadlines follow from it, and should not from what else runs.
    """

    load_s: dict[str, float]
    forward_s: dict[str, float]


def reference(library: Library, threads: int, repeats: int = 9) -> Reference:
    """Measure one model of each architecture; the others of it take the same."""
    torch.set_num_threads(threads)
    measured: dict[str, tuple[float, float]] = {}
    for variant in library.variants:
        if variant.factory in measured:
            continue
        module = variant.build()
        inputs = as_tensor(library.inputs[0], variant.input)
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(repeats + 1):
            begun = time.perf_counter()
            module.load_state_dict(load_file(library.weights(variant)))
            loaded = time.perf_counter()
            with torch.inference_mode():
                module(inputs)
            times[0].append(loaded - begun)
            times[1].append(time.perf_counter() - loaded)
        measured[variant.factory] = (min(times[0][1:]), min(times[1][1:]))
    return Reference(
        {one.name: measured[one.factory][0] for one in library.variants},
        {one.name: measured[one.factory][1] for one in library.variants},
    )
