"""`trunkline import`: weights into the store, block by block."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.options import StoreOption, open_store
from trunkline.cli.output import console, print_json, say, size, visible
from trunkline.cli.progress import progress_bar
from trunkline.units import count, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

    from trunkline.store import ImportReport, Source, Store

MOST_SHARED = 8
"""The report for people names at most this many models that share something."""


def import_(
    weights: Annotated[
        Path,
        typer.Argument(
            help="A safetensors file, an index of shards, a Hugging Face folder, or, with --base, "
            "a PEFT LoRA folder.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(help="The model's name in the store (default: the file's or folder's)."),
    ] = None,
    factory: Annotated[
        str | None,
        typer.Option(
            help="What builds the model: package.module:callable, looked for in the current folder "
            "first. It is run, now and whenever the model is: name only code that you trust."
        ),
    ] = None,
    kwargs: Annotated[
        str | None, typer.Option(help="The factory's keyword arguments, a JSON object.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            help="What a PEFT LoRA folder adapts: a model of the store, or a Hugging Face folder, "
            "which is then imported first, under its own name."
        ),
    ] = None,
    given: Annotated[
        str | None,
        typer.Option(
            "--input",
            help="One input without its batch dimension: 3,32,32:float32, or 128:int64:30522 "
            "with the exclusive upper bound of its values.",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Let another model of that name give way.")
    ] = False,
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Import a model; blocks that the store holds already cost nothing."""
    from trunkline.store.store import check_model_name

    chosen = name if name is not None else weights.resolve().name.split(".safetensors")[0]
    check_model_name(chosen)
    below: ImportReport | None = None
    if base is None:
        source = _source(weights, factory, kwargs, given)
        opened = open_store(store, create=True)
    else:
        _refuse_factory(factory, kwargs)
        opened = open_store(store, create=True)
        below, source = _adapter(opened, weights, base, given)
    try:
        with progress_bar(f"import {chosen}") as progress:
            report = opened.add(chosen, source, replace=replace, progress=progress)
    finally:
        source.close()
    notes = (*report.notes, *_advice(source))
    if as_json:
        document = _as_document(report, notes)
        if below is not None:
            document["base"] = _as_document(below, below.notes)
        print_json(document)
    else:
        if below is not None:
            _print(below, below.notes)
        _print(report, notes)


def _advice(source: Source) -> Iterator[str]:
    """What else the model needs before it can be run; a factory named here is trusted from now."""
    from trunkline.store.trust import remember

    if source.architecture is None:
        yield (
            "it can be stored, shown and planned for, but not run, since nothing says how it is "
            "built: import it again with --factory package.module:callable, "
            "--input 3,32,32:float32 and --replace"
        )
        return
    if source.input is None:
        like, what = "128:int64:30522", "text of 128 tokens, below 30522"
        if source.architecture.kind == "factory":
            like, what = "3,32,32:float32", "image"
        yield (
            "it cannot be profiled and run, since nothing says what it takes: import it again with "
            f"--input and --replace; --input {like}, for instance, is the shape and type of one "
            f"{what}"
        )
    if problem := remember(source.architecture):
        yield (
            f"its factory could not be noted as trusted ({problem}); running it will ask for "
            f"`trunkline trust {source.architecture.factory}`"
        )


def _source(weights: Path, factory: str | None, kwargs: str | None, given: str | None) -> Source:
    from trunkline.errors import InputError
    from trunkline.store import InputSpec, open_factory, open_path

    described = InputSpec.parse(given) if given is not None else None
    if factory is None:
        if kwargs is not None:
            raise InputError("--kwargs are a factory's; name it with --factory")
        return open_path(weights, described)
    try:
        arguments = json.loads(kwargs) if kwargs is not None else {}
    except ValueError as error:
        raise InputError(f"--kwargs {kwargs!r:.200} is no JSON: {error}") from None
    if not isinstance(arguments, dict):
        raise InputError(f"--kwargs {kwargs!r:.200} is no JSON object")
    return open_factory(factory, weights, arguments, described)


def _refuse_factory(factory: str | None, kwargs: str | None) -> None:
    from trunkline.errors import InputError

    if factory is not None or kwargs is not None:
        raise InputError(
            "--base names what a PEFT adapter adapts, a Hugging Face model; --factory and --kwargs "
            "do not go with it"
        )


def _adapter(
    store: Store, folder: Path, base: str, given: str | None
) -> tuple[ImportReport | None, Source]:
    """A PEFT folder's source, and the report of its base if that had to be imported."""
    from trunkline.errors import InputError
    from trunkline.store import InputSpec, open_adapter
    from trunkline.store.adapters import read_folder
    from trunkline.store.store import check_model_name

    described = InputSpec.parse(given) if given is not None else None
    below = None
    read_folder(folder)  # an adapter that is refused shall not leave its base behind
    if base not in store.names():
        path = Path(base)
        if not path.exists():
            raise InputError(
                f"--base {shorten(base)!r} is neither a model of the store at {store.path} nor a "
                "folder; import the base first"
            )
        base = path.resolve().name
        check_model_name(base)
        with progress_bar(f"import {base}") as progress:
            below = store.add(base, path, progress=progress)
    return below, open_adapter(store, base, folder, described)


def _as_document(report: ImportReport, notes: Sequence[str]) -> dict[str, Any]:
    return {**asdict(report), "notes": list(notes)}


def _print(report: ImportReport, notes: Sequence[str]) -> None:
    out = console()
    if report.unchanged:
        say(out, f"{report.name}: the store holds this very model already; nothing to do")
    else:
        how = "replaced" if report.replaced else "imported"
        say(
            out,
            f"{report.name}: {how} {size(report.bytes_in)} in {count(report.blocks, 'block')}; "
            f"new: {size(report.bytes_new)} in {count(report.blocks_new, 'block')} "
            f"({report.seconds:.2f} s)",
        )
    print_shared(out, report.shared, report.bytes_in)
    for note in notes:
        say(out, f"note: {visible(note)}", indent=2)


def print_shared(out: Console, shared: Mapping[str, int], bytes_in: int) -> None:
    """With whom a model has how many bytes of its `bytes_in` in common."""
    most = sorted(shared.items(), key=lambda item: (-item[1], item[0]))
    for other, common in most[:MOST_SHARED]:
        share = f" ({common / bytes_in:.0%})" if bytes_in else ""
        say(out, f"shares {size(common)}{share} with {visible(shorten(other))}", indent=2)
    if len(most) > MOST_SHARED:
        more = count(len(most) - MOST_SHARED, "more model")
        say(out, f"and something with {more}", indent=2)
