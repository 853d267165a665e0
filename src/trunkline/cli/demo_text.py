"""What `trunkline demo` says: short lines for someone who has read nothing yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.cli.output import size

if TYPE_CHECKING:
    from rich.console import Console

    from trunkline.experiments.demo import Folder, Settings, Stock
    from trunkline.experiments.digits import Study
    from trunkline.library import ModelLibrary

STEPS = 5


def say(out: Console, *lines: str) -> None:
    """Plain lines, indented below their headline."""
    for line in lines:
        out.print(f"    {line}", markup=False, highlight=False)


def head(out: Console, number: int, title: str) -> None:
    """The headline of a step."""
    out.print(f"\n[bold]{number}/{STEPS}  {title}[/bold]", highlight=False)


def welcome(out: Console, folder: Folder, settings: Settings) -> None:
    """What is going to happen, and what it takes."""
    from trunkline.experiments.demo import FULL

    long = settings == FULL
    takes = "about two minutes and 1.2 GB of disk" if long else "less than a minute, 0.4 GB of disk"
    out.print("[bold]Trunkline: load only the part of a model that is missing.[/bold]")
    out.print(
        "Models fine-tuned from one backbone share most of their layers. A server that switches\n"
        "between them can keep the shared layers in memory, and answers more requests in time.\n"
        "This demo shows it with real loads on this machine.",
        highlight=False,
    )
    out.print(f"It takes {takes}; all of it goes to {folder.path}/.", highlight=False)


def accuracy(out: Console, folder: Folder, study: Study) -> None:
    """The table and the picture of accuracy against frozen depth."""
    from rich.table import Table

    from trunkline.experiments.accuracy import draw_accuracy, points, shared_bytes

    say(
        out,
        "A small network learned to read digits (scikit-learn's 8x8 scans): "
        f"{study.backbone.accuracy:.1%} right on held-out images.",
        "From it, variants learn other tasks. Frozen bottom layers stay as they were, so all",
        "variants share them. How many layers can be frozen before answers get worse?",
        "",
    )
    lines = points(study)
    depths = sorted({variant.frozen for variant in study.variants})
    seeds = len({variant.seed for variant in study.variants})
    table = Table(title="held-out accuracy [%] by frozen layers (of 13)", title_justify="left")
    table.add_column("task")
    for depth in depths:
        table.add_column(str(depth), justify="right")
    for task, line in lines.items():
        table.add_row(task.meaning, *(_percent(p.mean, p.low, p.high, seeds) for p in line))
    table.add_section()
    table.add_row("share of the bytes", *(f"{shared_bytes(depth):.0%}" for depth in depths))
    out.print(table)
    spread = f"mean of {seeds} seeds (worst-best)" if seeds > 1 else "one seed"
    say(
        out,
        f"{spread}; 0 frozen layers is full fine-tuning, which shares nothing.",
        "Related tasks share almost everything for nothing; the more a task differs (here: turned",
        "images), the fewer layers it can share.",
        f"picture: {draw_accuracy(folder / 'accuracy.png', study)}",
    )


def _percent(mean: float, low: float, high: float, seeds: int) -> str:
    if seeds == 1:
        return f"{100 * mean:.1f}"
    return f"{100 * mean:.1f} ({100 * low:.0f}-{100 * high:.0f})"


def stocked(out: Console, folder: Folder, stock: Stock, library: ModelLibrary) -> None:
    """What was imported, and how much of it is shared."""
    from trunkline.pictures import draw_sharing

    new = sum(report.bytes_new for report in (*stock.digits_reports, *stock.random_reports))
    kept = len(stock.random) - len(stock.random_reports)
    whole, distinct = sum(library.model_bytes), library.distinct_bytes
    say(
        out,
        f"{len(stock.digits)} digits networks with the real weights from above, and "
        f"{len(stock.random)} networks of the sizes of",
        "ResNet-18, -34 and -50. The latter have RANDOM weights: they take as long to load and",
        "to run as trained ones, but their answers mean nothing. Each keeps 70-100 % of the layers",
        "of one of three backbones (85 % on average).",
        f"Files of whole models: {size(whole)}. Distinct blocks in the store: {size(distinct)}, of "
        f"which {size(new)} written now"
        + (f" ({kept} models were there from an earlier demo)." if kept else "."),
        f"picture: {draw_sharing(folder / 'sharing.png', library)}",
    )
