"""Small models, real stores: what the runtime's tests share."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from trunkline.runtime import state_dict_source
from trunkline.store import Architecture, InputSpec, Store
from trunkline.store.trust import trust

MODELS = Path(__file__).parent / "tiny_models.py"


@pytest.fixture(autouse=True)
def _tiny_models_importable(
    monkeypatch: pytest.MonkeyPatch, _own_configuration: None
) -> Iterator[None]:
    """Factories are written `tiny_models:...`, found beside the tests, and trusted."""
    monkeypatch.syspath_prepend(str(MODELS.parent))
    parts = ast.parse(MODELS.read_text()).body
    trust(f"tiny_models:{one.name}" for one in parts if isinstance(one, ast.FunctionDef))
    yield
    sys.modules.pop("tiny_models", None)


@pytest.fixture(params=["copied", "mapped"])
def each_memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once with the blocks of small models copied, as usual, and once used in their files."""
    if request.param == "mapped":
        monkeypatch.setattr("trunkline.runtime.device.LEAST_BYTES", 1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store.open(tmp_path / "store", create=True)


Adder = Callable[..., dict[str, torch.Tensor]]


@pytest.fixture
def add(store: Store) -> Adder:
    """Add a variant of a factory: seeded weights, optionally the lowest blocks of another's."""

    def one(
        name: str,
        factory: str,
        seed: int = 0,
        base: Mapping[str, torch.Tensor] | None = None,
        shared: Callable[[str], bool] = lambda key: False,
        dtype: torch.dtype | None = None,
        input: InputSpec | None = None,
        **kwargs: Any,
    ) -> dict[str, torch.Tensor]:
        import tiny_models

        state = randomised(getattr(tiny_models, factory)(**kwargs).state_dict(), seed)
        if base is not None:
            state = {key: base[key] if shared(key) else value for key, value in state.items()}
        if dtype is not None:
            state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
        architecture = Architecture("factory", factory=f"tiny_models:{factory}", kwargs=kwargs)
        store.add(name, state_dict_source(state, architecture=architecture, input=input))
        return state

    return one


def randomised(state: Mapping[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    """Random values of the same shapes; ties stay ties, variances stay positive."""
    generator = torch.Generator().manual_seed(seed)
    fresh: dict[int, torch.Tensor] = {}
    result = {}
    for key, value in state.items():
        if value.data_ptr() not in fresh or not value.numel():
            if value.is_floating_point():
                drawn = torch.randn(value.shape, generator=generator, dtype=torch.float32) * 0.1
                drawn = drawn.abs() + 0.5 if key.endswith("running_var") else drawn
                fresh[value.data_ptr()] = drawn.to(value.dtype)
            elif value.dtype == torch.bool:
                fresh[value.data_ptr()] = torch.rand(value.shape, generator=generator) < 0.5
            else:
                drawn = torch.randint(1, 9, value.shape, generator=generator)
                fresh[value.data_ptr()] = drawn.to(value.dtype)
        result[key] = fresh[value.data_ptr()].view(value.shape)
    return result


def normal_output(factory: str, state: dict[str, torch.Tensor], x: torch.Tensor, **kw: Any) -> Any:
    """What a normally built and loaded model answers."""
    import tiny_models

    module = getattr(tiny_models, factory)(**kw)
    module.load_state_dict(state, assign=next(iter(state.values())).dtype == torch.bfloat16)
    module.eval()
    with torch.no_grad():
        return module(x)
