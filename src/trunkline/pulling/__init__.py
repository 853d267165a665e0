"""Which model serves each request, and which blocks each site pulls (Common Knowledge)."""

from trunkline.pulling.check import check
from trunkline.pulling.plan import Choice, Pull, PullingPlan
from trunkline.pulling.problem import Option, PullingProblem, Request, Site
from trunkline.pulling.solve import METHODS, default_method, solve

__all__ = [
    "METHODS",
    "Choice",
    "Option",
    "Pull",
    "PullingPlan",
    "PullingProblem",
    "Request",
    "Site",
    "check",
    "default_method",
    "solve",
]
