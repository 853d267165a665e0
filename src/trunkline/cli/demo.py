"""`trunkline demo`: whole-model against partial loading on this machine, from nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from trunkline.experiments.comparison import Comparison, Outcome
    from trunkline.experiments.demo import Folder, Inputs, Settings


def demo(
    directory: Annotated[
        Path, typer.Option("--dir", help="Where everything goes; a folder of its own.")
    ] = Path("demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Less of everything: a look in half a minute.")
    ] = False,
) -> None:
    """Train, import, profile, plan and run: what partial loading gains on this machine."""
    try:
        from trunkline.runtime.threads import spin_briefly

        spin_briefly()  # before torch is imported

        from trunkline.experiments.demo import FULL, QUICK

        run_demo(directory, QUICK if quick else FULL)
    except KeyboardInterrupt:
        sys.stderr.write(
            f"\ntrunkline: interrupted. What is in {directory} so far is used by the next "
            "`trunkline demo`; or delete it.\n"
        )
        raise typer.Exit(130) from None


def run_demo(directory: Path, settings: Settings) -> None:
    """The demo, step by step."""
    from trunkline.cli import demo_text as text
    from trunkline.cli.output import console
    from trunkline.experiments import comparison as contest
    from trunkline.experiments import demo as steps
    from trunkline.store import Store

    out = console()
    folder = steps.open_folder(directory)
    text.welcome(out, folder, settings)

    text.head(out, 1, "Real weights: what does sharing cost in accuracy?")
    with working("training") as tell:
        data, study = steps.train(settings, counted(tell, settings.trainings))
    text.accuracy(out, folder, study)

    text.head(out, 2, "A library of models that share their bottom layers")
    store = Store.open(folder.store, create=True)
    with working("importing") as tell:
        stock = steps.stock(folder, store, study, settings, counted(tell, 3 * settings.per_network))
    text.stocked(out, folder, stock, steps.library(store, stock))

    text.head(out, 3, "How fast does this machine load and compute?")
    with working("measuring") as tell:
        profile = contest.profile(store, stock, tell)
    profile.save(folder / "profile.json")
    text.profiled(out, folder, profile)

    text.head(out, 4, "A burst of requests, and a deadline too short for whole models")
    comparisons = [contest.compare(store, stock, profile, settings)]
    if profile.cold is not None:
        comparisons.append(contest.compare(store, stock, profile, settings, cache="cold"))
    tasks = comparisons[0].problem.tasks
    inputs = steps.draw_inputs(stock, data, tasks, settings.seed)
    text.burst(out, comparisons[0])
    for comparison in comparisons:
        text.planned(out, comparison)
    text.say(out, f"problem: {folder / 'problem.json'}")

    text.head(out, 5, "All plans, carried out")
    outcomes: list[Outcome] = []
    with working("running") as tell:
        turns = counted(tell, 2 * settings.repeats * len(comparisons))
        for comparison in comparisons:
            both = contest.run(comparison, store, inputs, settings.repeats, turns)
            leave(folder, comparison, both)
            outcomes += both
    leave_inputs(folder, inputs)
    text.result(out, comparisons, outcomes)
    text.explain(out, outcomes, settings)
    text.farewell(out, folder)


def leave_inputs(folder: Folder, inputs: Inputs) -> None:
    """Write the requests' inputs, for `trunkline run --inputs`."""
    from safetensors.torch import save_file

    save_file(dict(inputs.tensors), folder / "inputs.safetensors")


def leave(folder: Folder, comparison: Comparison, outcomes: Sequence[Outcome]) -> None:
    """Write the documents, the traces and the picture of both runs; the names of what was loaded
    from the disk end in `-cold`."""
    from trunkline.cli.output import write_json
    from trunkline.loading.document import problem_to_document
    from trunkline.pictures import draw_timelines
    from trunkline.runtime.trace import chrome_trace

    end = "" if comparison.cache == "warm" else "-cold"
    write_json(folder / f"problem{end}.json", problem_to_document(comparison.problem))
    panels = []
    for name, title, outcome in zip(
        ("whole", "partial"), ("whole models", "partial loading"), outcomes, strict=True
    ):
        plan, report = outcome.plan, outcome.report
        write_json(folder / f"plan-{name}{end}.json", plan.to_dict())
        write_json(folder / f"run-{name}{end}.json", report.to_dict())
        write_json(folder / f"trace-{name}{end}.json", chrome_trace(plan, report))
        answered = f"{report.served} of {plan.tasks} users answered in time"
        moved = f"{report.bytes_moved / 1e6:,.0f} MB loaded (measured)"
        panels.append((f"{title}: {answered}, {moved}", report.batches))
    draw_timelines(folder / f"timelines{end}.png", panels, comparison.problem.deadline_s)


@contextmanager
def working(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """A function to be told (what is being done, steps done, steps in all); it draws a bar on
    standard error where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda at, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn(f"    {what}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda at, done, total: bar.update(task, description=at, completed=done, total=total)


def counted(tell: Callable[[str, int, int], None], total: int) -> Callable[[str], None]:
    """A function that is told of each of `total` steps when it begins."""
    begun = 0

    def step(at: str) -> None:
        nonlocal begun
        tell(at, begun, total)
        begun += 1

    return step
