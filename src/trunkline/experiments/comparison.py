"""The comparison of `trunkline demo`: one burst, two plans under one deadline, both carried out."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor

from trunkline.experiments.burst import SECTION_VII, Cell, draw_burst
from trunkline.experiments.demo import Inputs, Settings, Stock, Tell, upload_bits
from trunkline.loading import LoadingPlan, LoadingProblem, solve
from trunkline.runtime.execute import execute
from trunkline.runtime.measurable import Tell as Measured
from trunkline.runtime.measure import Settings as Measuring
from trunkline.runtime.measure import measure
from trunkline.runtime.problem import LONG_S, build_problem, with_deadline_share
from trunkline.runtime.profile import Cache, Profile
from trunkline.runtime.report import RunReport
from trunkline.store import Store


@dataclass(frozen=True, slots=True)
class Comparison:
    """The burst, and how both ways of loading are to serve it.

    Attributes:
        problem: with the deadline that was set.
        everybody_s: when whole-model loading would have served everybody, by plan.
        everybody_partial_s: when partial loading would.
        deadline_share: the deadline as a share of `everybody_s`.
        margin: the plans end this share of the deadline before it.
        whole, partial: the best plan that loads whole models, and the best of all.
        cache: whether loads come from the page cache or from the disk itself.
    """

    problem: LoadingProblem
    everybody_s: float
    everybody_partial_s: float
    deadline_share: float
    margin: float
    whole: LoadingPlan
    partial: LoadingPlan
    cache: Cache = "warm"


def compute_threads() -> int:
    """Half of the processors, for the forwards: the rest is for reading and for other programs.

    Forwards on all processors wait for the slowest of them at every layer; one busy neighbour makes
    them ten times slower (measured on two processors), and no prediction holds.
    """
    return max(1, (os.cpu_count() or 1) // 2)


def profile(store: Store, stock: Stock, tell: Measured) -> Profile:
    """Measure this machine for the stocked models (ProfileError if that fails). Blocks are copied,
    as they are for an accelerator: used where the system caches them, they would hardly take time.

    From here on PyTorch computes on `compute_threads()` threads.
    """
    torch.set_num_threads(compute_threads())
    return measure(store, stock.names, settings=Measuring(copy=True), tell=tell)


def compare(
    store: Store,
    stock: Stock,
    profile: Profile,
    settings: Settings,
    cell: Cell = SECTION_VII,
    cache: Cache = "warm",
) -> Comparison:
    """Draw the burst, set its deadline, plan it twice.

    Raises:
        ProfileError: `cache` is "cold", and loads from the disk could not be measured.
    """
    unhurried = build_problem(
        [store.model(name) for name in stock.names],
        profile,
        draw_burst(upload_bits(stock), settings.tasks, cell=cell, seed=settings.seed),
        deadline_s=LONG_S,
        bandwidth_hz=cell.bandwidth_hz,
        cache=cache,
    )
    problem, everybody_s = with_deadline_share(unhurried, settings.deadline_share)
    return Comparison(
        problem=problem,
        everybody_s=everybody_s,
        everybody_partial_s=solve(unhurried, "optimal").finish_s,
        deadline_share=settings.deadline_share,
        margin=settings.margin,
        whole=solve(problem, "independent", margin=settings.margin),
        partial=solve(problem, "optimal", margin=settings.margin),
        cache=cache,
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """A plan and what came of it.

    Attributes:
        plan: what was planned.
        report: the run, the median one by its finish where there were several.
        finishes_s: of all runs, in the order in which they were made.
        answered: digits tasks that were answered.
        right: those of them that were answered rightly.
    """

    plan: LoadingPlan
    report: RunReport
    finishes_s: tuple[float, ...]
    answered: int
    right: int


def run(
    comparison: Comparison, store: Store, inputs: Inputs, repeats: int, tell: Tell
) -> tuple[Outcome, Outcome]:
    """Carry both plans out, taking turns; the outcomes of the whole and the partial one."""
    plans = (comparison.whole, comparison.partial)
    runs: tuple[list[tuple[RunReport, dict[str, Tensor]]], ...] = ([], [])
    for turn in range(repeats):
        for plan, kept in zip(plans, runs, strict=True):
            tell(f"{plan.method}, run {turn + 1} of {repeats}")
            outputs: dict[str, Tensor] = {}
            report = execute(
                comparison.problem,
                plan,
                store,
                inputs=inputs.tensors,
                outputs=outputs,
                cold=comparison.cache == "cold",
                copy=True,
            )
            kept.append((report, outputs))
    whole, partial = (_outcome(plan, kept, inputs) for plan, kept in zip(plans, runs, strict=True))
    return whole, partial


def _outcome(
    plan: LoadingPlan, runs: list[tuple[RunReport, dict[str, Tensor]]], inputs: Inputs
) -> Outcome:
    by_finish = sorted(runs, key=lambda pair: pair[0].finish_s)
    report, outputs = by_finish[(len(runs) - 1) // 2]
    answers = {task: int(outputs[task].argmax()) for task in inputs.expected if task in outputs}
    right = sum(answers[task] == inputs.expected[task] for task in answers)
    return Outcome(plan, report, tuple(r.finish_s for r, _ in runs), len(answers), right)
