"""Modules from architectures: found, built without data or with it, or refused with the reason."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trunkline.errors import ArchitectureError, InputError
from trunkline.store import Architecture
from trunkline.store.building import build_real, build_skeleton, check_kwargs, load_callable

torch = pytest.importorskip("torch")

Build = Callable[[Architecture], Any]


def factory(name: str, **kwargs: Any) -> Architecture:
    """A factory's architecture."""
    return Architecture("factory", factory=name, kwargs=kwargs)


def test_a_module_in_the_current_directory_is_found(nets: str) -> None:
    """As under `python -m`; nested names and class methods work; the search path is left as it
    was."""
    before = list(sys.path)
    assert load_callable(f"{nets}:Net").__name__ == "Net"
    assert load_callable(f"{nets}:Holder.inner").__name__ == "Net"
    assert type(load_callable(f"{nets}:Holder.make")()).__name__ == "Net"
    assert sys.path == before


def test_the_current_directory_comes_first(
    nets: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both while a factory is imported and while it builds, modules of the current directory win
    over others of their name, and afterwards the search path is as before."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "helper_of_nets.py").write_text("width = 1")
    (other / f"{nets}.py").write_text("raise RuntimeError('the wrong one')")
    (tmp_path / "helper_of_nets.py").write_text("width = 9")
    monkeypatch.setattr("sys.path", [str(other), *(one for one in sys.path if one)])
    before = list(sys.path)
    try:
        assert build_skeleton(factory(f"{nets}:helped")).body.in_features == 9
    finally:
        sys.modules.pop("helper_of_nets", None)
    assert sys.path == before


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("{}:none", "no attribute"),
        ("{}:value", "no callable but int"),
        ("{}:Holder", "a class, but none of torch.nn.Module"),
        ("os:system", "standard library"),
        ("builtins:exec", "standard library"),
        ("{}:sys.exit", "standard library"),
        ("subprocess:run", "standard library"),
    ],
)
def test_callables_that_are_no_factories(nets: str, name: str, says: str) -> None:
    """What cannot build a module is refused before it is called, the standard library's functions
    among them, whatever name leads to them."""
    with pytest.raises(ArchitectureError, match=says):
        load_callable(name.format(nets))
    with pytest.raises(InputError):
        load_callable("nothing")


def test_a_partial_of_a_forbidden_function_is_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`functools.partial` hides no function of the standard library, and is fine around others."""
    name = f"partials_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(
        "import functools, os\n"
        "from torch import nn\n"
        "def net(n): return nn.Linear(n, 1)\n"
        "bad = functools.partial(functools.partial(os.system, 'true'))\n"
        "good = functools.partial(net, 3)\n"
    )
    monkeypatch.chdir(tmp_path)
    assert build_skeleton(factory(f"{name}:good")).in_features == 3
    with pytest.raises(ArchitectureError, match="standard library"):
        load_callable(f"{name}:bad")


def test_a_module_that_is_not_found_says_where_it_was_looked_for(
    nets: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The current folder is named, unless it is something else that is missing."""
    with pytest.raises(ArchitectureError, match=f"in the current folder first, {tmp_path},"):
        load_callable("no_such_module.at_all:net")
    (tmp_path / f"needs_{nets}.py").write_text("import no_such_helper")
    with pytest.raises(ArchitectureError, match=r"No module named 'no_such_helper'$"):
        load_callable(f"needs_{nets}:net")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ArchitectureError, match="cannot be imported"):
        load_callable("no_such_module:net")


@pytest.mark.parametrize("build", [build_skeleton, build_real])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("fails", "RuntimeError: no luck"),
        ("leaves", "SystemExit: 3"),
        ("looks", r"and not a torch\.nn\.Module"),
        ("number", r"returned int and not a torch\.nn\.Module"),
        ("Net", "got an unexpected keyword"),
    ],
)
def test_factories_that_cannot_be_built(nets: str, build: Build, name: str, says: str) -> None:
    """What a factory raises (an exit of the process, too), or returns instead of a module."""
    with pytest.raises(ArchitectureError, match=says):
        build(factory(f"{nets}:{name}", **({"n": 1} if name == "Net" else {})))


def test_a_module_that_exits_while_it_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that ends itself ends no import of ours."""
    name = f"exits_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text("raise SystemExit(0)")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArchitectureError, match="SystemExit: 0"):
        load_callable(f"{name}:net")


def test_a_skeleton_has_no_data_and_a_real_module_has(nets: str) -> None:
    """On the meta device nothing is allocated; a real module has its constructor's values."""
    architecture = factory(f"{nets}:Net", width=3)
    assert all(one.is_meta for one in build_skeleton(architecture).state_dict().values())
    real = build_real(architecture)
    assert torch.equal(real.norm.running_var, torch.ones(3))


@pytest.mark.parametrize("build", [build_skeleton, build_real])
@pytest.mark.parametrize("name", ["Net", "Looking"])
def test_building_leaves_the_random_numbers_alone(nets: str, build: Build, name: str) -> None:
    """Built without data, with it, or first without and then with it: the next random number of
    the user's process is the same."""
    state = torch.get_rng_state()
    build(factory(f"{nets}:{name}"))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_constructor_that_needs_data_is_called_for_real(nets: str) -> None:
    """What cannot be built without data is built with it."""
    module = build_skeleton(factory(f"{nets}:Looking"))
    assert module.rates == [0.0, 0.5, 1.0]
    assert not module.body.weight.is_meta


def test_building_does_not_import_the_compiler(tmp_path: Path) -> None:
    """PyTorch draws normal values for tensors without data by code that imports `torch._dynamo`,
    which takes seconds; neither way to ask for them does it in a skeleton."""
    (tmp_path / "normal.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    body = nn.Embedding(3, 2)\n"
        "    nn.init.xavier_normal_(body.weight)\n"
        "    body.weight.data.normal_()\n"
        "    return body\n"
    )
    code = (
        "import sys\n"
        "from trunkline.store import Architecture\n"
        "from trunkline.store.building import build_skeleton\n"
        "net = build_skeleton(Architecture('factory', factory='normal:net', kwargs={}))\n"
        "sys.exit(not net.weight.is_meta or 'torch._dynamo' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_errors_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A factory's error of many lines becomes one, and not a long one."""
    name = f"talks_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(
        "def net(): raise ValueError('first\\n' + 'x' * 9999 + '\\nlast')"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArchitectureError) as told:
        build_real(factory(f"{name}:net"))
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 600
    assert os.getcwd() == str(tmp_path)


def test_arguments_are_json() -> None:
    """Arguments that JSON cannot hold are refused; tuples become lists."""
    assert check_kwargs({"a": (1, 2)}, "f") == {"a": [1, 2]}
    endless: dict[str, Any] = {}
    endless["a"] = endless
    for bad in ({"a": object()}, {"a": float("nan")}, {1: 2}, endless):
        with pytest.raises(ArchitectureError, match="arguments of"):
            check_kwargs(bad, "f")  # type: ignore[arg-type]  # on purpose
