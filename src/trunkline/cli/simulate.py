"""`trunkline simulate`: a trace of requests, served under a virtual clock by several policies."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from trunkline.cli.memory import parse_memory
from trunkline.cli.options import StoreOption, names, number, open_store
from trunkline.cli.output import check_outputs, console, note, print_json, size, write_files
from trunkline.units import count, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trunkline.experiments.simulation import Outcome
    from trunkline.experiments.traces import Arrival, Arrivals
    from trunkline.loading import LoadingProblem
    from trunkline.loading.online import Costs
    from trunkline.runtime.profile import Cache

DRAWN = ("poisson", "bursts")

MOST_RATES = 100

MOST_DRAWN = 2_000_000


def simulate(
    trace: Annotated[
        str,
        typer.Argument(
            help="poisson, bursts, or a file: a trace document (JSON), a table (CSV) of "
            "arrival_s,model[,deadline_s][,tasks], or one of Azure's public traces."
        ),
    ],
    problem: Annotated[
        Path | None,
        typer.Option(
            help="A loading problem document: its models, prices and memory (not its tasks)."
        ),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option("--profile", "-p", help="Instead: what `trunkline profile` saved."),
    ] = None,
    store: StoreOption = None,
    models: Annotated[
        str | None, typer.Option(help="With --profile: names, separated by commas (default: all).")
    ] = None,
    cache: Annotated[
        Literal["warm", "cold"],
        typer.Option(help="With --profile: weights in the page cache, or on the disk."),
    ] = "warm",
    memory: Annotated[
        str | None,
        typer.Option(help="Memory for resident blocks, as in 512MiB (default: the problem's)."),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="RATES",
            help="Requests a second, one or several separated by commas; a file's trace is "
            "stretched or squeezed to it.",
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            parser=number(0),
            metavar="SECONDS",
            help="Length of a drawn trace (default: 60), or how much of a file's to take.",
        ),
    ] = None,
    zipf: Annotated[
        float,
        typer.Option(
            parser=number(0, 100),
            metavar="EXPONENT",
            help="Popularity of models: 0 for alike.",
        ),
    ] = 0.0,
    waits: Annotated[
        str,
        typer.Option(
            metavar="LEAST,MOST",
            help="How long a request without deadline waits, in times that loading its model "
            "whole and computing takes.",
        ),
    ] = "3,10",
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    policy: Annotated[
        str,
        typer.Option(
            help="all, or some of urgency,greatest-rate,edf,fcfs,lru (lru: whole models, first "
            "come first served)."
        ),
    ] = "all",
    whole_models: Annotated[
        bool, typer.Option("--whole-models", help="Load models whole under every policy.")
    ] = False,
    load_ahead: Annotated[
        Literal["always", "never"],
        typer.Option(help="Whether the next model's blocks load while a batch computes."),
    ] = "always",
    bound: Annotated[
        bool,
        typer.Option(help="Also bound what any policy could answer that knew all requests."),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures only.")] = False,
    table: Annotated[
        Path | None, typer.Option("--csv", help="Write the figures here, as a table.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw goodput against the rate here.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the trace here, as a document (of one rate)."),
    ] = None,
) -> None:
    """Replay a trace of requests for any policy: who would be answered in time.

    `trunkline simulate pulling` is another command; a file of that name is ./pulling.

    The scheduler is the server's own; loads and batches take what the problem or the profile says.
    """
    from trunkline.cli.simulate_report import draw, tell, write_csv
    from trunkline.errors import InputError
    from trunkline.experiments.simulation import costs_of, ways

    given = None if trace in DRAWN else Path(trace)
    outputs = {"--csv": table, "--picture": picture, "--output": output}
    check_outputs(outputs, [problem, profile, given])
    rates = _rates(rate, drawn=given is None)
    if output is not None and len(rates) > 1:
        raise InputError("--output writes one trace; give one rate")
    memory_bytes, span, chosen = parse_memory(memory), _waits(waits), ways(policy)
    asked = _problem(problem, profile, store, models, cache)
    costs = costs_of(asked, memory_bytes)
    _tell_what_does_not_fit(costs)
    traces = (
        _drawn(costs, trace, rates, seconds, zipf, span, seed)
        if given is None
        else _recorded(costs, given, rates, seconds, zipf, span, seed)
    )
    outcomes: list[Outcome] = []
    last: Sequence[Arrival] = ()
    for asked_rate, last in zip(rates, traces, strict=True):
        outcomes += _simulated(
            costs,
            last,
            chosen,
            asked_rate,
            partial=not whole_models,
            ahead=load_ahead == "always",
            bound=bound,
        )
    rows = [one.to_dict() for one in outcomes]
    if as_json:
        print_json(rows)
    else:
        tell(outcomes)
    write_files(
        None if as_json else console(),
        [
            ("table", table, lambda path: write_csv(path, rows)),
            ("picture", picture, lambda path: draw(path, outcomes)),
            ("trace", output, lambda path: _save(path, last, costs)),
        ],
    )


def _rates(text: str | None, *, drawn: bool) -> list[float | None]:
    """The rates in a list; None for a file's own."""
    from trunkline.errors import InputError

    if text is None:
        if drawn:
            raise InputError("a drawn trace needs --rate, requests a second")
        return [None]
    read = number(0, 1e9)
    try:
        found: list[float | None] = [read(one) for one in text.split(",")]
    except typer.BadParameter as error:
        raise InputError(f"--rate {shorten(text)!r}: {error}") from None
    if not drawn and 0.0 in found:
        raise InputError("--rate 0: a recorded trace cannot be stretched for ever")
    if len(found) > MOST_RATES:
        raise InputError(f"--rate: {len(found)} rates; at most {MOST_RATES}")
    return found


def _waits(text: str) -> tuple[float, float]:
    from trunkline.errors import InputError

    read = number(0, 1e9)
    try:
        least, most = (read(one) for one in text.split(","))
    except (typer.BadParameter, ValueError):
        least, most = 1.0, 0.0
    if least > most:
        raise InputError(f"--waits {shorten(text)!r}: two numbers LEAST,MOST, as in 3,10")
    return least, most


def _problem(
    path: Path | None, profile: Path | None, store: Path | None, models: str | None, cache: Cache
) -> LoadingProblem:
    """The models and their prices: of a problem, or of a store on a profiled machine."""
    import trunkline
    from trunkline.errors import InputError
    from trunkline.loading import LoadingProblem

    if (path is None) == (profile is None):
        raise InputError("give either --problem FILE or --profile FILE")
    if path is not None:
        if models is not None:
            raise InputError("--models goes with --profile; a problem says which models it has")
        found = trunkline.load(path, LoadingProblem)
    else:
        from trunkline.runtime.problem import build_problem, runnable
        from trunkline.runtime.profile import load_profile

        assert profile is not None
        measured = load_profile(profile)
        able, notes = runnable(open_store(store), names(models), measured)
        for one in notes:
            note(one)
        found = build_problem(able, measured, (), deadline_s=0.0, bandwidth_hz=0.0, cache=cache)
    if not found.models:
        raise InputError("there are no models to simulate")
    return found


def _tell_what_does_not_fit(costs: Costs) -> None:
    """A note on models larger than the memory (MemoryBudgetError: all are)."""
    from trunkline.errors import MemoryBudgetError

    large = [model.id for model, fits in zip(costs.models, costs.fits, strict=True) if not fits]
    if not large:
        return
    budget = size(costs.memory_bytes or 0.0)
    if len(large) == len(costs.models):
        least = size(min(costs.library.model_bytes))
        raise MemoryBudgetError(
            f"no model fits into the memory of {budget}; the smallest has {least}"
        )
    note(
        f"{count(len(large), 'model')}, such as {shorten(large[0])!r}, larger than the memory of "
        f"{budget}: requests for them are refused"
    )


def _drawn(
    costs: Costs,
    kind: str,
    rates: Sequence[float | None],
    length_s: float | None,
    zipf: float,
    waits: tuple[float, float],
    seed: int,
) -> Iterator[Sequence[Arrival]]:
    from trunkline.errors import InputError
    from trunkline.experiments.simulation import units_of_patience
    from trunkline.experiments.traces import draw_trace

    length_s = 60.0 if length_s is None else length_s
    for rate in rates:
        if (rate or 0.0) * length_s > MOST_DRAWN:
            raise InputError(
                f"{rate:g} requests a second for {length_s:g} s are too many to simulate; at most "
                f"{MOST_DRAWN:,} requests"
            )
        yield draw_trace(
            units_of_patience(costs),
            rate or 0.0,
            length_s,
            arrivals=cast("Arrivals", kind),
            zipf=zipf,
            waits=waits,
            seed=seed,
        )


def _recorded(
    costs: Costs,
    path: Path,
    rates: Sequence[float | None],
    length_s: float | None,
    zipf: float,
    waits: tuple[float, float],
    seed: int,
) -> Iterator[Sequence[Arrival]]:
    from trunkline.errors import InputError
    from trunkline.experiments.simulation import rate_of, units_of_patience
    from trunkline.experiments.trace_files import Filling, read_trace
    from trunkline.experiments.traces import at_rate

    found, left_out = read_trace(
        path,
        [model.id for model in costs.models],
        units_of_patience(costs),
        Filling(zipf, waits, seed),
        math.inf if length_s is None else length_s,
    )
    if left_out:
        note(
            f"left out: {count(left_out, 'request')} for functions less popular than the first "
            f"{len(costs.models)}, one for each model"
        )
    if rates != [None] and not rate_of(found):
        raise InputError(f"--rate: the requests of {path} come all at once, which is no rate")
    for rate in rates:
        yield found if rate is None else at_rate(found, rate)


def _simulated(
    costs: Costs,
    trace: Sequence[Arrival],
    chosen: list[str],
    rate: float | None,
    *,
    partial: bool,
    ahead: bool,
    bound: bool,
) -> list[Outcome]:
    from trunkline.experiments.clairvoyant import clairvoyant_bound
    from trunkline.experiments.simulation import rate_of, simulate

    return simulate(
        costs,
        trace,
        chosen,
        requests_per_s=rate_of(trace) if rate is None else rate,
        partial=partial,
        ahead=ahead,
        bound=clairvoyant_bound(costs, trace) if bound else None,
    )


def _save(path: Path, trace: Sequence[Arrival], costs: Costs) -> None:
    from trunkline.experiments.trace_document import save_trace

    save_trace(path, trace, [model.id for model in costs.models])
