"""Trunkline: move only the parameter blocks that the far end lacks.

The three steps that all planners share, from a problem document to a checked plan:

    problem = trunkline.load("problem.json")
    plan = trunkline.plan(problem, method="optimal")
    trunkline.check(problem, plan)          # [] if the plan holds

Public names are imported on first use, so that `import trunkline` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from trunkline.errors import DocumentError, TrunklineError

if TYPE_CHECKING:
    from trunkline.library import Model, ModelLibrary
    from trunkline.links import Link, Stage
    from trunkline.planners import check, load, load_plan, plan

__version__ = "0.1.0"

_HOMES = {
    "Link": "trunkline.links",
    "Model": "trunkline.library",
    "ModelLibrary": "trunkline.library",
    "Stage": "trunkline.links",
    "check": "trunkline.planners",
    "load": "trunkline.planners",
    "load_plan": "trunkline.planners",
    "plan": "trunkline.planners",
}

__all__ = [
    "DocumentError",
    "Link",
    "Model",
    "ModelLibrary",
    "Stage",
    "TrunklineError",
    "__version__",
    "check",
    "load",
    "load_plan",
    "plan",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'trunkline' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
