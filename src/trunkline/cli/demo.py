"""`trunkline demo`: whole-model against partial loading on this machine, from nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.progress import Tell, progress_bar

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
    from trunkline.runtime.threads import spin_briefly

    spin_briefly()  # before torch is imported

    from trunkline.experiments.demo import FULL, QUICK

    run_demo(directory, QUICK if quick else FULL)


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
    store = Store.open(folder.store, create=True)
    steps.check_space(folder, store, settings)

    text.head(out, 1, "Real weights: what does sharing cost in accuracy?")
    with progress_bar("    training", bytes_are_counted=False) as tell:
        data, study = steps.train(settings, counted(tell, settings.trainings))
    text.accuracy(out, folder, study)

    text.head(out, 2, "A library of models that share their bottom layers")
    with progress_bar("    importing", bytes_are_counted=False) as tell:
        stock = steps.stock(folder, store, study, settings, counted(tell, 3 * settings.per_network))
    text.stocked(out, folder, stock, steps.library(store, stock))

    text.head(out, 3, "How fast does this machine load and compute?")
    with progress_bar("    measuring", bytes_are_counted=False) as tell:
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
    text.path(out, "problem", folder / "problem.json")

    text.head(out, 5, "All plans, carried out")
    outcomes: list[Outcome] = []
    with progress_bar("    running", bytes_are_counted=False) as tell:
        turns = counted(tell, 2 * settings.repeats * len(comparisons))
        for comparison in comparisons:
            both = contest.run(comparison, store, inputs, settings.repeats, turns)
            leave(folder, comparison, both)
            outcomes += both
    leave_inputs(folder, inputs)
    text.result(out, comparisons, outcomes)
    text.explain(out, outcomes, settings)
    text.farewell(out, folder, settings, cold=len(comparisons) > 1)


def leave_inputs(folder: Folder, inputs: Inputs) -> None:
    """Write the requests' inputs, for `trunkline run --inputs`."""
    from trunkline.runtime.inputs import save_tensors

    save_tensors(folder / "inputs.safetensors", inputs.tensors)


def leave(folder: Folder, comparison: Comparison, outcomes: Sequence[Outcome]) -> None:
    """Write the documents, the traces and the picture of both runs; the names of what was loaded
    from the disk end in `-cold`."""
    from trunkline.files import write_json
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


def counted(tell: Tell, total: int) -> Callable[[str], None]:
    """A function that is told of each of `total` steps when it begins."""
    begun = 0

    def step(at: str) -> None:
        nonlocal begun
        tell(begun, total, at)
        begun += 1

    return step
