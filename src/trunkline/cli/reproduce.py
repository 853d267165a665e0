"""`trunkline reproduce`: a paper's figures, redrawn from the same planners that users call.

What `reproduce pulling` does is in `reproduce_pulling.py`, `reproduce streaming` in
`reproduce_streaming.py`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, TypeVar

import typer

from trunkline.cli.output import console, seconds
from trunkline.errors import InputError
from trunkline.units import shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from trunkline.experiments.figures import Claim, Figure, Job

RUNS = 1000
QUICK_RUNS = 20
PULLING_RUNS = 30
PULLING_QUICK_RUNS = 3
FOLDERS = {
    "loading": Path("reproduction"),
    "pulling": Path("reproduction") / "pulling",
    "streaming": Path("reproduction") / "streaming",
}


def reproduce(
    what: Annotated[
        Literal["loading", "pulling", "streaming"],
        typer.Argument(
            help="loading: PartialLoading's Figs. 1, 2 and 6 to 9. pulling: Common Knowledge's "
            "kind of evaluation, on EUA. streaming: what overlap serves, after SLIDE."
        ),
    ] = "loading",
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            help="Where figures, tables and finished parts go (default: reproduction; below it, "
            "pulling or streaming).",
            show_default=False,
        ),
    ] = None,
    figures: Annotated[
        str | None,
        typer.Option(
            help="Only these of 1,2,6,7,8,9,rates,sensitivity,memory (default: all possible); of "
            "pulling's sites,requests,models,storage,accuracy,shared; of streaming's bandwidth,"
            "deadline,users,batch,energy,device,holding,multicast,transfers."
        ),
    ] = None,
    runs: Annotated[
        int | None,
        typer.Option(
            min=2,
            help=f"Realisations (default: {RUNS}; pulling: {PULLING_RUNS}; streaming: 200).",
            show_default=False,
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help=f"{QUICK_RUNS} realisations, short trainings; pulling: {PULLING_QUICK_RUNS}, "
            "small, two points a sweep; streaming: 10.",
        ),
    ] = False,
    preset: Annotated[
        Path | None,
        typer.Option(help="Another setting (default: the calibrated set A; pulling: eua)."),
    ] = None,
    print_preset: Annotated[
        bool, typer.Option("--print-preset", help="Print the default, to be copied and changed.")
    ] = False,
    print_scenario: Annotated[
        bool,
        typer.Option(
            "--print-scenario",
            help="pulling: print the first realisation at the preset's point as a scenario "
            "document, for `trunkline plan`.",
        ),
    ] = False,
    demand: Annotated[
        Path | None,
        typer.Option(
            help="pulling: an Azure LLM inference trace (CSV), whose numbers of tokens are drawn "
            "from instead of the preset's."
        ),
    ] = None,
    popularity: Annotated[
        Path | None,
        typer.Option(
            help="pulling: Alibaba's GenTD26 trace of requests (CSV); kinds of tasks are asked as "
            "often as its most popular models."
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option(help="Processes (default: one a core).", show_default=False)
    ] = -1,
    seed: Annotated[int, typer.Option(min=0, help="Names the experiment.")] = 0,
) -> None:
    """Draw a paper's figures, with our exact result beside them, and compare the numbers.

    An interrupted run goes on where it was when it is called again (streaming starts anew).
    """
    from trunkline.errors import InputError

    if jobs == 0 or jobs < -1:
        raise InputError(f"--jobs {jobs}: a number of processes, at least 1, or -1 for all cores")
    folder = directory or FOLDERS[what]
    if what == "pulling":
        from trunkline.cli.reproduce_pulling import Asked, reproduce_pulling

        count = runs or (PULLING_QUICK_RUNS if quick else PULLING_RUNS)
        asked = Asked(folder, figures, count, quick, preset, jobs, seed, demand, popularity)
        reproduce_pulling(asked, print_preset=print_preset, print_scenario=print_scenario)
        return
    own = {"--print-scenario": print_scenario, "--demand": demand, "--popularity": popularity}
    if given := [option for option, value in own.items() if value]:
        raise InputError(f"{given[0]} is for `trunkline reproduce pulling`")
    if what == "streaming":
        from trunkline.cli.reproduce_streaming import reproduce_streaming

        if preset or print_preset:
            raise InputError("--preset, --print-preset: streaming has no preset")
        reproduce_streaming(folder, figures, runs, quick=quick, jobs=jobs, seed=seed)
        return
    if print_preset:
        from trunkline.experiments.preset import SET_A_FILE

        typer.echo(SET_A_FILE.read_text(), nl=False)
        return
    from trunkline.experiments.figures import FIGURES, Job
    from trunkline.experiments.preset import SET_A_FILE, load_preset

    job = Job(
        preset=load_preset(preset or SET_A_FILE),
        runs=runs or (QUICK_RUNS if quick else RUNS),
        folder=folder,
        seed=seed,
        jobs=jobs,
        quick=quick,
        working=_working,
    )
    with resumable(folder):
        _make(job, chosen(figures, FIGURES), named=figures is not None)


@contextmanager
def resumable(directory: Path) -> Iterator[None]:
    """Make the folder; an interrupted run ends with how to go on (status 130)."""
    try:
        if directory.exists() and not directory.is_dir():
            raise InputError(f"--dir {directory}: it is not a folder")
        directory.mkdir(parents=True, exist_ok=True)
        yield
    except KeyboardInterrupt:
        sys.stderr.write(
            f"\ntrunkline: interrupted. What is done is in {directory}; go on with the same "
            "command.\n"
        )
        raise typer.Exit(130) from None


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


def chosen(names: str | None, figures: Iterable[N]) -> list[N]:
    """The figures named, in their order; all if none are (InputError: there is no such figure)."""
    known = {figure.name: figure for figure in figures}
    if names is None:
        return list(known.values())
    wanted = {name.strip() for name in names.split(",")}
    if unknown := sorted(wanted - set(known)):
        there = ", ".join(known)
        raise InputError(f"--figures: no figure {shorten(unknown[0])!r}; there are {there}")
    return [figure for name, figure in known.items() if name in wanted]


def _make(job: Job, figures: Sequence[Figure], *, named: bool) -> None:
    """Simulate what the figures need, make them one by one, then the table."""
    from trunkline.experiments.cells import Table
    from trunkline.experiments.figures.comparison import write_comparison

    figures = list(_able(figures, named))
    started = time.perf_counter()
    table = Table(cell for figure in figures for cell in figure.cells(job.preset))
    results = job.sweep(table, job.runs)
    if table.cells:
        took = seconds(time.perf_counter() - started)
        values = f"{len(table.cells):,} values in each of {job.runs:,} realisations"
        _say(f"preset {job.preset.name!r}: {values}, in {took}")
    claims: list[Claim] = []
    for figure in figures:
        started = time.perf_counter()
        made = figure.make(job, results)
        claims += made.claims
        took = seconds(time.perf_counter() - started)
        _say(f"{figure.name}: {figure.title} ({took})")
        for path in made.files:
            _say(f"    {path}")
        less = {line: share for line, share in made.proven.items() if share < 1}
        for line, share in less.items():
            _say(f"    {line}: proven in {share:.1%} of the realisations (where it is least)")
        if made.proven and not less:
            _say("    optimal: proven in every realisation")
    if claims:
        path = write_comparison(job.folder, claims)
        _print_comparison(claims)
        _say(f"table: {path}")


def _able(figures: Sequence[Figure], named: bool) -> Iterator[Figure]:
    """The figures whose packages are installed; one that was named must be among them."""
    from importlib.util import find_spec

    from trunkline.errors import InputError

    for figure in figures:
        missing = [package for package in figure.needs if find_spec(package) is None]
        if not missing:
            yield figure
            continue
        text = f"figure {figure.name} needs {' and '.join(missing)}: pip install 'trunkline[demo]'"
        if named:
            raise InputError(text)
        _say(f"left out: {text}")


def _print_comparison(claims: Sequence[Claim]) -> None:
    from rich.table import Table

    from trunkline.experiments.figures.comparison import COLUMNS, comparison_rows

    table = Table(
        title="the paper's numbers and ours: as printed, then under other readings of upload and "
        "clock",
        title_justify="left",
    )
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in ("figure", "number", "unit") else "right")
    for row in comparison_rows(claims):
        table.add_row(*row)
    console().print(table)


def _say(text: str) -> None:
    console().print(text, markup=False, highlight=False, soft_wrap=True)


def _working(what: str) -> AbstractContextManager[Callable[[int, int], None]]:
    from trunkline.cli.progress import progress_bar

    return progress_bar(what, bytes_are_counted=False)
