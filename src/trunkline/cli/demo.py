"""`trunkline demo`: whole-model against partial loading on this machine, from nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer


def demo(
    directory: Annotated[
        Path, typer.Option("--dir", help="Where everything goes; a folder of its own.")
    ] = Path("demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Less of everything: a look in half a minute.")
    ] = False,
) -> None:
    """Train, import, profile, plan and run: what partial loading gains on this machine."""
    from trunkline.cli import demo_text as text
    from trunkline.cli.output import console
    from trunkline.experiments import demo as steps
    from trunkline.store import Store

    out = console()
    settings = steps.QUICK if quick else steps.FULL
    try:
        folder = steps.open_folder(directory)
        text.welcome(out, folder, settings)
        text.head(out, 1, "Real weights: what does sharing cost in accuracy?")
        with working("training", settings.trainings) as tell:
            data, study = steps.train(settings, tell)
        text.accuracy(out, folder, study)
        text.head(out, 2, "A library of models that share their bottom layers")
        store = Store.open(folder.store, create=True)
        with working("importing", 3 * settings.per_network) as tell:
            stock = steps.stock(folder, store, study, settings, tell)
        library = store.library()
        text.stocked(out, folder, stock, library)
    except KeyboardInterrupt:
        sys.stderr.write(
            f"\ntrunkline: interrupted. What is in {directory} so far is used by the next "
            "`trunkline demo`; or delete it.\n"
        )
        raise typer.Exit(130) from None


@contextmanager
def working(what: str, steps: int) -> Iterator[Callable[[str], None]]:
    """A function that is told of each of `steps` steps; draws a bar on standard error if that is
    a terminal."""
    if not sys.stderr.isatty():
        yield lambda line: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[at]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=steps, at="")
        begun = 0

        def tell(line: str) -> None:
            nonlocal begun
            bar.update(task, completed=begun, at=line)
            begun += 1

        yield tell
