"""What `trunkline plan` says and draws of streaming plans."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trunkline.cli.output import console, plain_table, say, seconds, shown
from trunkline.units import count

if TYPE_CHECKING:
    from trunkline.streaming import StreamingPlan, StreamingProblem
    from trunkline.streaming.trace import UserTrace

MOST_USERS = 40
"""The table names so many users, the first of the plan; the text below it counts all."""


def before(problem: StreamingProblem) -> None:
    """What is to be said before planning: nothing."""


class View:
    """A streaming plan, beside that of downloading first under the same options."""

    def __init__(
        self, problem: StreamingProblem, plan: StreamingPlan, options: dict[str, Any]
    ) -> None:
        self._problem, self._plan = problem, plan
        self._shared = {name: options[name] for name in ("margin",) if name in options}

    @cached_property
    def _whole(self) -> StreamingPlan | None:
        """The plan that downloads first; None where that is the plan itself, or has no answer."""
        import trunkline
        from trunkline.errors import UnsupportedProblemError

        if self._plan.method == "download-first":
            return None
        try:
            return trunkline.plan(self._problem, "download-first", **self._shared)
        except UnsupportedProblemError:
            return None

    @cached_property
    def _traces(self) -> tuple[UserTrace, ...]:
        from trunkline.streaming.trace import trace

        return trace(self._problem, self._plan)

    def draw(self, path: Path) -> None:
        """Each served user's downloads and computing as a picture."""
        from trunkline.pictures.streaming import draw_streaming

        plan, everybody = self._plan, len(self._problem.users)
        title = f"{plan.method}: {plan.served} of {count(everybody, 'user')} served"
        if self._whole is not None:
            title += f" (download-first: {self._whole.served})"
        draw_streaming(path, title, self._traces)

    def print(self) -> None:
        """The users as a table, and what they come to."""
        out, plan = console(), self._plan
        if plan.users:
            self._table()
        for stream in plan.multicast:
            heard = sum(user.multicast == stream.id for user in plan.users)
            say(
                out,
                f"multicast {shown(stream.id)}: {100 * stream.share:.3g} % of the band for "
                f"{count(heard, 'user')}, at {stream.bits_per_s_per_hz:g} bit/s/Hz",
            )
        say(
            out,
            f"{plan.method}: serves {plan.served} of {count(len(self._problem.users), 'user')} "
            f"({_proof(plan)}) with {100 * plan.share:.4g} % of the band; planned in "
            f"{seconds(plan.solve_s)}",
        )
        if self._traces:
            rho = [one.compute_s / one.user.deadline_s for one in self._traces if one.compute_s]
            mean = sum(rho) / len(rho) if rho else 0.0
            say(out, f"computing takes {mean:.0%} of the deadline, on average over those served")
        if self._whole is not None:
            say(
                out,
                "download first, then infer, planned as well as can be: serves "
                f"{self._whole.served}",
            )

    def _table(self) -> None:
        rows = self._traces[:MOST_USERS]
        title = count(len(self._traces), "user") + " served"
        if len(rows) < len(self._traces):
            title += f", the first {len(rows)}"
        table = plain_table(
            title,
            *("user", "model", "share %", "MB", "computes", "waits", "answer", "deadline"),
            left=("user", "model"),
        )
        for one in rows:
            times = (
                one.compute_s,
                sum(end - start for start, end in one.waits),
                one.served.finish_s,
                one.user.deadline_s,
            )
            table.add_row(
                shown(one.user.id),
                shown(one.served.model),
                f"{100 * one.served.share:.3g}",
                f"{one.bits / 8e6:,.2f}",
                *map(seconds, times),
            )
        console().print(table)


def _proof(plan: StreamingPlan) -> str:
    """What is proved of a plan."""
    return "the most for static shares" if plan.proven else "not proven to be the most"
