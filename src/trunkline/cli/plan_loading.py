"""What `trunkline plan` says and draws of loading plans."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trunkline.cli.memory import tell_what_does_not_fit
from trunkline.cli.output import console, plain_table, say, seconds, shown
from trunkline.units import count

if TYPE_CHECKING:
    from trunkline.loading import LoadingPlan, LoadingProblem


def before(problem: LoadingProblem) -> None:
    """What is to be said before planning."""
    tell_what_does_not_fit(problem)


class View:
    """A loading plan, beside that of whole-model loading under the same options."""

    def __init__(self, problem: LoadingProblem, plan: LoadingPlan, options: dict[str, Any]) -> None:
        self._problem, self._plan = problem, plan
        self._shared = {name: options[name] for name in ("upload", "margin") if name in options}

    @cached_property
    def _whole(self) -> LoadingPlan | None:
        """The plan that loads whole models; None where that is the plan itself."""
        import trunkline

        if self._plan.method == "independent":
            return None
        return trunkline.plan(self._problem, "independent", **self._shared)

    def draw(self, path: Path) -> None:
        """The timelines as a picture."""
        from trunkline.pictures import draw_timelines

        plan, whole = self._plan, self._whole
        plans = [plan] if whole is None else [whole, plan]
        titles = {"independent": "whole models (independent)"}
        panels = [
            (
                f"{titles.get(p.method, f'partial loading ({p.method})')}: "
                f"{p.served} of {p.tasks} tasks, {p.load_bytes / 1e6:,.1f} MB loaded",
                p.batches,
            )
            for p in plans
        ]
        draw_timelines(path, panels, self._problem.deadline_s)

    def print(self) -> None:
        """The batches as a table, and what they come to."""
        problem, plan, whole = self._problem, self._plan, self._whole
        table = plain_table(
            count(len(plan.batches), "batch"),
            *("#", "model", "tasks", "load MB", "upload", "load", "compute", "ends"),
            left=("model",),
        )
        for n, b in enumerate(plan.batches, start=1):
            steps = (b.upload_s, b.load_s, b.compute_s, b.finish_s)
            megabytes = f"{b.load_bytes / 1e6:,.2f}"
            table.add_row(
                str(n), shown(b.model), str(len(b.tasks)), megabytes, *map(seconds, steps)
            )
        out = console()
        if plan.batches:
            out.print(table)
        proof = "proven optimal" if plan.proven else f"no plan serves more than {plan.bound}"
        say(
            out,
            f"{plan.method}: serves {plan.served} of {count(plan.tasks, 'task')} by "
            f"{problem.deadline_s:g} s ({proof}); ends at {seconds(plan.finish_s)}, loads "
            f"{plan.load_bytes / 1e6:,.1f} MB; planned in {seconds(plan.solve_s)}",
        )
        if whole is not None:
            how = "planned as well as can be" if problem.plain else "planned greedily"
            say(
                out,
                f"whole-model loading, {how}: serves {whole.served}, loads "
                f"{whole.load_bytes / 1e6:,.1f} MB",
            )
