"""`trunkline simulate pulling`: learners that choose who serves, with demand not known before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trunkline.cli.options import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.experiments.bandits import Result, Setting

MOST_ROUNDS = 1_000_000
MOST_PLAYED = 100_000_000
"""Rounds times seeds times learners."""


def simulate_pulling(
    environment: Annotated[
        Literal["both", "stationary", "edge"],
        typer.Option(
            help="stationary: the bound's assumptions hold; edge: sites, pulls, evictions."
        ),
    ] = "both",
    rounds: Annotated[
        int, typer.Option(min=1, max=MOST_ROUNDS, help="Requests, one a round.")
    ] = 10_000,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Independent runs.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Names the experiment.")] = 0,
    learners: Annotated[
        str,
        typer.Option(help="all, or names separated by commas (--list has them)."),
    ] = "all",
    show_learners: Annotated[bool, typer.Option("--list", help="Print the learners' names.")] = (
        False
    ),
    features: Annotated[int, typer.Option(min=1, max=64, help="n: of each request.")] = 4,
    read: Annotated[int, typer.Option("--read", "-d", min=0, help="d: that may be read.")] = 2,
    levels: Annotated[int, typer.Option(min=2, max=16, help="V: of each feature.")] = 2,
    xi: Annotated[
        float,
        typer.Option(
            parser=number(0, 1), metavar="WEIGHT", help="Of -ln accuracy; delay has the rest."
        ),
    ] = 0.5,
    sites: Annotated[int, typer.Option(min=1, max=50, help="Of the edge.")] = 4,
    storage: Annotated[
        str, typer.Option(metavar="SIZE", help="For blocks at every site.")
    ] = "500MB",
    shared: Annotated[
        float,
        typer.Option(
            parser=number(0, 1), metavar="SHARE", help="Of a backbone's blocks, in all its models."
        ),
    ] = 0.85,
    no_sharing: Annotated[
        bool, typer.Option("--no-sharing", help="Every model has its own copy of its blocks.")
    ] = False,
    jobs: Annotated[int, typer.Option(help="Processes; -1 for one a core.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures only.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Write tables and a picture here."),
    ] = None,
) -> None:
    """Learn which site and model serve each request, when demand shows only afterwards.

    Every learner meets the same requests at the same sites and is tuned on runs of its own.
    """
    from trunkline.cli.output import console, print_json
    from trunkline.experiments.bandits import Setting, check_setting

    if show_learners:
        _list()
        return
    settings = [
        Setting(
            where,
            rounds,
            features,
            read,
            levels,
            accuracy_weight=xi,
            sites=sites,
            storage_bytes=_storage(storage),
            shared=shared,
            sharing=not no_sharing,
            seed=seed,
        )
        for where in ("stationary", "edge")
        if environment in ("both", where)
    ]
    for setting in settings:
        check_setting(setting)
    names = _names(learners, settings, rounds * seeds)
    _check(jobs, output)
    results = [one for setting in settings for one in _played(setting, names, seeds, jobs)]
    if as_json:
        from trunkline.experiments.bandit_files import described

        print_json(described(results))
    else:
        _tell(results)
    if output is not None:
        from trunkline.cli.output import as_is
        from trunkline.experiments.bandit_files import write_all

        for path in write_all(output, results):
            if not as_json:
                as_is(console(), str(path))


def _list() -> None:
    from trunkline.cli.output import console, plain_table
    from trunkline.pulling.online.learners import KINDS

    table = plain_table("learners", "name", "what it is", left=("name", "what it is"))
    for name, one in KINDS.items():
        table.add_row(name, one.about)
    console().print(table)


def _storage(text: str) -> float:
    from trunkline.errors import InputError
    from trunkline.units import parse_bytes

    try:
        return float(parse_bytes(text))
    except InputError as error:
        raise InputError(f"--storage: {error}") from None


def _names(text: str, settings: Sequence[Setting], rounds: int) -> list[str]:
    """The learners named, in their order (UnknownMethodError, InputError)."""
    from trunkline.errors import InputError
    from trunkline.experiments.bandits import playable
    from trunkline.pulling.online.learners import KINDS, kind

    words = [word.strip() for word in text.split(",") if word.strip()]
    names = list(KINDS) if words == ["all"] else list(dict.fromkeys(words))
    for name in names:
        kind(name)
    if not names:
        raise InputError(f"--learners {text!r}: names no learner")
    for setting in settings:
        if not playable(names, setting.where):
            raise InputError(
                f"--learners {text}: none of them can play in {setting.where}, which has neither "
                "sites nor demand"
            )
    played = rounds * len(names) * len(settings)
    if played > MOST_PLAYED:
        raise InputError(
            f"--rounds, --seeds and --learners make {played:,} rounds to be played, more than "
            f"{MOST_PLAYED:,}"
        )
    return names


def _check(jobs: int, output: Path | None) -> None:
    """Refuse what would fail after the work is done (InputError)."""
    from trunkline.errors import InputError
    from trunkline.files import check_writable

    if jobs == 0 or jobs < -1:
        raise InputError(f"--jobs {jobs}: a number of processes, at least 1, or -1 for all cores")
    if output is None:
        return
    if output.exists() and not output.is_dir():
        raise InputError(f"--output {output}: is not a folder")
    if output.is_dir():
        check_writable(output / "pulling-online.csv")
    else:
        output.mkdir(parents=True)


def _played(setting: Setting, names: Sequence[str], seeds: int, jobs: int) -> list[Result]:
    from trunkline.cli.progress import progress_bar
    from trunkline.experiments.bandits import compete, playable

    with progress_bar(setting.where, bytes_are_counted=False) as tell:
        chosen = playable(names, setting.where)
        return compete(setting, chosen, seeds, jobs=jobs, tell=lambda done, all_: tell(done, all_))


def _tell(results: Sequence[Result]) -> None:
    """Tables for each environment."""
    from trunkline.cli.output import console, say

    for where in dict.fromkeys(one.setting.where for one in results):
        group = [one for one in results if one.setting.where == where]
        _tell_losses(group)
        if where == "edge":
            _tell_service(group)
        cells, arms = group[0].setting.cells, group[0].arms
        say(
            console(),
            f"n = {cells.features} features of {cells.levels} levels, d = {cells.read} read: "
            f"m = {cells.count} subsets of Q = {cells.size} cells; K = {arms} arms",
        )
    say(
        console(),
        "loss, regret: means over runs with 95 % intervals; regret: against the best (feature "
        "subset, cell -> arm) in hindsight, on the losses that the arms had in the learner's own "
        "runs; exponent: with which it grows over the last decade of rounds; param.: of those "
        "tried, the one with the least loss on runs of its own",
    )


def _tell_losses(results: Sequence[Result]) -> None:
    from trunkline.cli.output import console, plain_table

    setting, runs = results[0].setting, len(results[0].regret)
    title = f"{_place(setting)}: {setting.rounds:,} rounds, {runs} runs"
    heads = ("learner", "param.", "loss", "regret", "bound", "exponent")
    table = plain_table(title, *heads, left=("learner",))
    for one in results:
        bounds = one.bounds()
        loss, regret = one.measure("loss"), one.final_regret
        table.add_row(
            one.learner,
            f"{one.parameter:g}",
            f"{loss.mean:.3f}" + (f" ± {loss.half:.3f}" if runs > 1 else ""),
            f"{regret.mean:,.0f}" + (f" ± {regret.half:,.0f}" if runs > 1 else ""),
            "" if bounds is None else f"{bounds[-1]:,.0f}",
            f"{one.exponent:.2f}" if one.exponent == one.exponent else "-",
        )
    console().print(table)


def _tell_service(results: Sequence[Result]) -> None:
    """What the requests got at the edge."""
    from trunkline.cli.output import console, plain_table

    heads = ("learner", "delay ms", "accuracy", "pulled GB", "at centre", "rejected")
    title = f"{_place(results[0].setting)}: means of what was served"
    table = plain_table(title, *heads, left=("learner",))
    for one in results:
        delay, accuracy = one.measure("delay_s"), one.measure("accuracy")
        table.add_row(
            one.learner,
            f"{1e3 * delay.mean:.0f}" if delay.mean == delay.mean else "-",
            f"{accuracy.mean:.3f}" if accuracy.mean == accuracy.mean else "-",
            f"{one.measure('pulled_bytes').mean / 1e9:.1f}",
            f"{one.measure('central_share').mean:.0%}",
            f"{one.measure('rejected_share').mean:.0%}",
        )
    console().print(table)


def _place(setting: Setting) -> str:
    apart = setting.where == "edge" and not setting.sharing
    return f"{setting.where}{', no sharing' if apart else ''}"
