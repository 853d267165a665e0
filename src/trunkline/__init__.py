"""Trunkline: move only the parameter blocks that the far end lacks.

The three steps that all planners share, from a problem document to a checked plan:

    problem = trunkline.load("problem.json")
    plan = trunkline.plan(problem, method="optimal")
    trunkline.check(problem, plan)          # [] if the plan holds
"""

from __future__ import annotations

from trunkline.errors import DocumentError, TrunklineError
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.planners import check, load, load_plan, plan

__version__ = "0.1.0"

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
