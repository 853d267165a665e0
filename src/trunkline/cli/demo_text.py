"""What `trunkline demo` says: short lines for someone who has read nothing yet."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.cli.output import as_is, plain_table, seconds, size
from trunkline.cli.output import say as wrapped
from trunkline.units import count

if TYPE_CHECKING:
    from rich.console import Console

    from trunkline.experiments.comparison import Comparison, Outcome
    from trunkline.experiments.demo import Folder, Settings, Stock
    from trunkline.experiments.digits import Study
    from trunkline.library import ModelLibrary
    from trunkline.runtime.profile import LoadingFit, Profile

STEPS = 5


def say(out: Console, *paragraphs: str) -> None:
    """Sentences, indented below their headline, in lines that fit."""
    for text in paragraphs:
        wrapped(out, text, indent=4, hang=0)


def path(out: Console, what: str, where: Path) -> None:
    """A file that was left, in a line to be copied."""
    as_is(out, f"    {what}: {where}")


def head(out: Console, number: int, title: str) -> None:
    """The headline of a step."""
    out.print(f"\n[bold]{number}/{STEPS}  {title}[/bold]", highlight=False)


def welcome(out: Console, folder: Folder, settings: Settings) -> None:
    """What is going to happen, and what it takes."""
    from trunkline.experiments.demo import FULL

    long = settings == FULL
    takes = "one to two minutes and 1.2 GB of disk" if long else "half a minute and 0.5 GB of disk"
    out.print("[bold]Trunkline: load only the part of a model that is missing.[/bold]")
    wrapped(
        out,
        "Models fine-tuned from one backbone share most of their layers. A server that switches "
        "between them can keep the shared layers in memory, and answers more requests in time. "
        f"This demo shows it with real loads on this machine. It takes {takes}; all of it goes to "
        f"{folder.path}/.",
        hang=0,
    )


def accuracy(out: Console, folder: Folder, study: Study) -> None:
    """The table and the picture of accuracy against frozen depth."""
    from trunkline.experiments.accuracy import draw_accuracy, points, shared_bytes

    say(
        out,
        "A small network learned to read digits (scikit-learn's 8x8 scans): "
        f"{study.backbone.accuracy:.1%} right on images it has not seen. From it, variants learn "
        "other tasks. Frozen bottom layers stay as they were, so all variants share them. How "
        "many layers can be frozen before answers get worse?",
        "",
    )
    lines = points(study)
    depths = sorted({variant.frozen for variant in study.variants})
    seeds = len({variant.seed for variant in study.variants})
    table = plain_table(
        "held-out accuracy [%] by frozen layers (of 13)",
        *("task", *map(str, depths)),
        left=("task",),
    )
    for task, line in lines.items():
        table.add_row(task.meaning, *(f"{100 * point.mean:.1f}" for point in line))
    table.add_section()
    table.add_row("share of the bytes", *(f"{shared_bytes(depth):.0%}" for depth in depths))
    out.print(table)
    widest = max(point.high - point.low for line in lines.values() for point in line)
    spread = (
        f"Mean of {seeds} seeds, which differ by up to {100 * widest:.0f} points"
        if (seeds > 1)
        else "One seed"
    )
    say(
        out,
        f"{spread}. 0 frozen layers is full fine-tuning, which shares nothing. Related tasks can "
        "share nearly everything at no cost. The more a task differs (here: turned images), the "
        "fewer layers it can share.",
    )
    path(out, "picture", draw_accuracy(folder / "accuracy.png", study))


def stocked(out: Console, folder: Folder, stock: Stock, library: ModelLibrary) -> None:
    """What was imported, and how much of it is shared."""
    from trunkline.pictures import draw_sharing

    new = sum(report.bytes_new for report in (*stock.digits_reports, *stock.random_reports))
    kept = len(stock.random) - len(stock.random_reports)
    whole, distinct = sum(library.model_bytes), library.distinct_bytes
    say(
        out,
        f"{len(stock.digits)} digits networks with the real weights from above, and "
        f"{len(stock.random)} networks of the sizes of ResNet-18, -34 and -50. The latter have "
        "RANDOM weights: they take as long to load and to run as trained ones, but their answers "
        "mean nothing. Each keeps 70-100 % of the layers of one of three backbones (85 % on "
        "average).",
        f"As whole files they would take {size(whole)}. The store keeps each block once: "
        f"{size(distinct)}. Written now: {size(new)}"
        + (f" ({count(kept, 'model')} of an earlier demo were there)." if kept else "."),
    )
    path(out, "picture", draw_sharing(folder / "sharing.png", library))


def profiled(out: Console, folder: Folder, profile: Profile) -> None:
    """What loading and computing cost here."""
    say(
        out,
        "Loading from the store to memory, copied as for an accelerator (for a CPU, large blocks "
        "in the page cache need no copy, and hardly a load):",
    )
    as_is(out, f"      files in the page cache  {_rate(profile.warm)}")
    if profile.cold is not None:
        as_is(out, f"      files on the disk only   {_rate(profile.cold)}")
    say(
        out,
        f"Computing a batch of b requests, on {profile.machine['threads']} of "
        f"{count(int(profile.machine['cpus']), 'processor')}:",
    )
    for one in sorted(profile.computing, key=lambda c: c.seconds_per_batch):
        label = one.label.rpartition(":")[2]
        as_is(
            out,
            f"      {label:28} {seconds(one.seconds_per_batch):>7} + b x "
            f"{seconds(one.seconds_per_task):>7} (off by {one.median_relative_error:.0%})",
        )
    path(out, "profile", folder / "profile.json")


def _rate(fit: LoadingFit) -> str:
    """A loading fit in words."""
    return (
        f"{seconds(fit.stage.overhead_s)} + {fit.stage.bytes_per_s / 1e9:.1f} GB/s "
        f"(off by {fit.median_relative_error:.0%})"
    )


def burst(out: Console, comparison: Comparison) -> None:
    """Who asks for what."""
    problem = comparison.problem
    asked = {task.model for task in problem.tasks}
    say(
        out,
        f"{len(problem.tasks)} users in a radio cell ask at once, for {len(asked)} of "
        f"{len(problem.models)} models; {problem.bandwidth_hz / 1e6:.0f} MHz for their uploads. "
        "Memory holds one model at a time. The deadline is "
        f"{comparison.deadline_share:.0%} of the time in which whole-model loading serves "
        f"everybody. Plans aim to end {comparison.margin:.0%} earlier, for surprises.",
    )


def planned(out: Console, comparison: Comparison) -> None:
    """A deadline and the plans for it."""
    whole, partial = comparison.whole, comparison.partial
    warm = comparison.cache == "warm"
    wrapped(
        out,
        f"With the files {'in the page cache' if warm else 'on the disk only'}: whole models need "
        f"{seconds(comparison.everybody_s)} for everybody, partial loading "
        f"{seconds(comparison.everybody_partial_s)}; deadline "
        f"{seconds(comparison.problem.deadline_s)}: planned in time are {whole.served} users with "
        f"whole models, {partial.served} with partial loading (no plan serves more than "
        f"{partial.bound}; planned in {seconds(partial.solve_s)}).",
        indent=4,
    )


def result(out: Console, comparisons: Sequence[Comparison], outcomes: Sequence[Outcome]) -> None:
    """The table at the end; of each comparison the whole and the partial outcome."""
    from rich.table import Table

    users = len(comparisons[0].problem.tasks)
    table = Table(title=f"{users} requests", title_justify="left")
    table.add_column("")
    for comparison in comparisons:
        place = "page cache" if comparison.cache == "warm" else "disk"
        table.add_column(f"{place}:\nwhole", justify="right")
        table.add_column(f"{place}:\npartial", justify="right", style="bold")

    def row(title: str, *cells: str) -> None:
        table.add_row(title, *cells)

    row("deadline", *(seconds(c.problem.deadline_s) for c in comparisons for _ in range(2)))
    row("users planned in time", *(str(one.plan.served) for one in outcomes))
    row("users answered in time", *(str(one.report.served) for one in outcomes))
    row("batches", *(str(len(one.plan.batches)) for one in outcomes))
    row("bytes moved", *(size(one.report.bytes_moved) for one in outcomes))
    table.add_section()
    row("load time, predicted", *(seconds(sum(b.load_s for b in o.plan.batches)) for o in outcomes))
    row("load time, measured", *(seconds(one.report.load_s) for one in outcomes))
    row("load+compute, predicted", *(seconds(_busy(one)) for one in outcomes))
    row(
        "load+compute, measured",
        *(seconds(o.report.load_s + o.report.compute_s) for o in outcomes),
    )
    row("finish, predicted", *(seconds(one.plan.finish_s) for one in outcomes))
    row("finish, measured", *(seconds(one.report.finish_s) for one in outcomes))
    row("batch off by, median", *(_error(one) for one in outcomes))
    table.add_section()
    row("loading's share of time", *(f"{_share(one):.0%}" for one in outcomes))
    row("digits read rightly", *(f"{one.right} of {one.answered}" for one in outcomes))
    out.print(table)


def _busy(one: Outcome) -> float:
    return sum(batch.load_s + batch.compute_s for batch in one.plan.batches)


def _error(one: Outcome) -> str:
    error = one.report.median_relative_error
    return "-" if error is None else f"{error:.0%}"


def _share(one: Outcome) -> float:
    """The share of the run's time that was spent loading."""
    return one.report.load_s / one.report.finish_s if one.report.finish_s else 0.0


def explain(out: Console, outcomes: Sequence[Outcome], settings: Settings) -> None:
    """What the table means, and what it does not."""
    say(
        out,
        "Planned, predicted: before the run. Answered, measured: in the run. A batch is off by the "
        "difference of its planned and measured load + compute. "
        + (
            f"Each plan ran {settings.repeats} times, in turns; the median run is shown."
            if settings.repeats > 1
            else ""
        ),
    )
    shares = " and ".join(f"{_share(one):.0%}" for one in outcomes[::2])
    say(
        out,
        f"With whole models, loading takes {shares} of the time. Only this part can be saved: the "
        "larger it is, and the more bytes models share, the more partial loading pays. Where "
        "computing takes nearly all of the time, it gains nothing.",
        "Loads and computations are real; uploads are waited for as the radio model says. If the "
        "machine is slower than when it was measured, by more than the plans left, the last users "
        "are answered late.",
    )


def farewell(out: Console, folder: Folder, settings: Settings, cold: bool) -> None:
    """What is left to look at, and the commands that give the columns of the table again."""
    out.print("\n[bold]Look at[/bold]", highlight=False)
    files = {
        "timelines.png": "what was done when" + " (-cold: from the disk)" * cold,
        "trace-partial.json": "the same in https://ui.perfetto.dev",
        "sharing.png": "which models share which bytes",
        "accuracy.png": "what sharing costs in accuracy",
    }
    wide = max(len(str(folder / name)) for name in files)
    for name, what in files.items():
        as_is(out, f"    {folder / name!s:{wide}}  {what}")
    out.print("[bold]Try the columns of the table again, one by one[/bold]", highlight=False)
    for line in "\n".join(commands(folder, settings, cold)).splitlines():
        as_is(out, f"    {line}")


def commands(folder: Folder, settings: Settings, cold: bool) -> list[str]:
    """For a shell: each column of the table, in its order; a backslash ends a line that goes on."""
    import torch

    threads = torch.get_num_threads()
    same = f"--threads {threads} --copy --margin {settings.margin:g}"  # as in the demo
    lines = [f"export TRUNKLINE_STORE={shlex.quote(str(folder.store))}"]
    for end, option in (("", ""), ("-cold", "--cache cold"))[: 1 + cold]:
        problem = shlex.quote(str(folder / f"problem{end}.json"))
        for method in ("-m independent", ""):
            rest = " ".join(filter(None, (option, method)))
            lines.append(f"trunkline run {problem} {same}" + (f" \\\n  {rest}" if rest else ""))
    return lines
