"""The rooms' import rules, the public names, and what an import may cost."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import trunkline

SOURCE = Path(trunkline.__file__).parent

ROOMS = {
    "errors": set(),
    "units": {"errors"},
    "files": {"errors"},
    "links": {"errors"},
    "radio": {"errors"},
    "library": {"errors"},
    "documents": {"errors"},
    "methods": {"errors"},
    "timing": {"errors"},
    "highs": {"errors"},
    "loading": {
        "errors", "documents", "library", "links", "radio", "methods", "timing", "highs",
    },
    "pulling": {
        "errors", "documents", "library", "links", "radio", "methods", "timing", "highs",
    },
    "streaming": {"errors", "documents", "methods"},
    "planners": {"errors", "documents", "methods", "loading", "pulling", "streaming"},
    "pictures": {"errors", "units", "files", "library", "links", "loading", "pulling", "streaming"},
    "store": {"errors", "documents", "library", "units"},
    "runtime": {
        "errors", "documents", "files", "library", "links", "radio", "units", "loading",
        "pulling", "streaming", "planners", "pictures", "store",
    },
    "device": {"errors", "documents", "units", "store", "runtime"},
    "experiments": {
        "errors", "documents", "files", "library", "links", "radio", "units", "loading",
        "pulling", "streaming", "planners", "pictures", "store", "runtime", "methods", "timing",
        "highs",
    },
    "sites": {"errors", "documents", "units", "pulling", "store"},
    "server": {
        "errors", "documents", "files", "library", "links", "units", "loading", "streaming",
        "store", "runtime",
    },
}  # fmt: skip
"""What each room may import of the package, beside itself; `cli` may import everything."""

HEAVY = {"torch", "numba", "matplotlib", "transformers", "scipy", "sklearn", "highspy", "joblib"}


def imported(path: Path) -> set[str]:
    """The rooms of the package that a file imports, anywhere in it."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "trunkline":
                names = [f"trunkline.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("trunkline.")}
    return rooms


def files() -> list[tuple[str, Path]]:
    """Every source file below a room, with the room's name."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if room not in ("__init__", "__main__"):
            found.append((room, path))
    return found


@pytest.mark.parametrize(
    ("room", "path"), files(), ids=lambda v: v.name if isinstance(v, Path) else v
)
def test_rooms_import_only_what_they_may(room, path):
    """No file imports from a room above its own, and nothing imports the command line."""
    if room != "cli":
        assert imported(path) <= ROOMS[room] | {room}


def modules_after(code):
    """What a new interpreter has imported after some code."""
    run = [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"]
    return subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()


ALL_COMMANDS = "from trunkline.cli import app_for; app_for([])"


@pytest.mark.parametrize("code", ["import trunkline", "import trunkline.planners", ALL_COMMANDS])
def test_imports_stay_light(code):
    """Neither the package, nor the planners, nor the command line pulls in a heavy library."""
    assert not HEAVY & {name.split(".")[0] for name in modules_after(code)}


def test_a_store_does_without_numpy():
    """What moves models needs no numpy, whose import takes as long as a small pull."""
    assert "numpy" not in modules_after(f"{ALL_COMMANDS}; import trunkline.store.registry.pulling")


def test_a_command_does_without_the_others():
    """Words that name a command import its module, and only those of others that it uses."""
    found = modules_after("from trunkline.cli import app_for; app_for(['simulate', 'pulling'])")
    assert "trunkline.cli.simulate_pulling" in found
    assert not {"trunkline.cli.simulate", "trunkline.cli.serve"} & set(found)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: p.name)
def test_one_concept_per_file(path):
    """No file passes 500 lines."""
    assert len(path.read_text().splitlines()) <= 500


def test_public_names():
    """What `trunkline` exports, on purpose."""
    assert sorted(trunkline.__all__) == [
        "DocumentError", "Link", "Model", "ModelLibrary", "Stage", "TrunklineError",
        "__version__", "check", "load", "load_plan", "plan",
    ]  # fmt: skip
    assert all(getattr(trunkline, name) is not None for name in trunkline.__all__)
