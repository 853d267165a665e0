"""Which tasks to batch, in which order of models, with which bandwidth (PartialLoading)."""

from trunkline.loading.check import check
from trunkline.loading.plan import Batch, LoadingPlan
from trunkline.loading.problem import LoadingModel, LoadingProblem, Task
from trunkline.loading.solve import DEFAULT_METHOD, METHODS, solve

__all__ = [
    "DEFAULT_METHOD",
    "METHODS",
    "Batch",
    "LoadingModel",
    "LoadingPlan",
    "LoadingProblem",
    "Task",
    "check",
    "solve",
]
