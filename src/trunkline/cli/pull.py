"""`trunkline pull`: a model from a registry, only the blobs that the store lacks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.import_ import print_shared
from trunkline.cli.options import InsecureOption, StoreOption, open_store
from trunkline.cli.output import console, print_json, say, size, visible
from trunkline.cli.progress import progress_bar
from trunkline.cli.pull_plan import pull_by_plan
from trunkline.errors import InputError
from trunkline.units import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trunkline.store import PullReport, Store


def pull(
    reference: Annotated[
        str | None,
        typer.Argument(
            metavar="oci://HOST/REPO:TAG",
            help="The model, or oci://HOST/REPO@sha256:... for one manifest and no other.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="The model's name in the store (default: the tag; where that is `latest` or a "
            "version such as v1.2, the repository's last part)."
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Let another model of that name give way.")
    ] = False,
    plan: Annotated[
        Path | None,
        typer.Option(help="Instead: what a pulling plan gives to --site, nearest holder first."),
    ] = None,
    site: Annotated[str | None, typer.Option(help="The plan's id of this site.")] = None,
    sites: Annotated[
        Path | None,
        typer.Option(help="The document that says where the plan's sites and data centre are."),
    ] = None,
    scenario: Annotated[
        Path | None,
        typer.Option(
            help="The plan's scenario, which says who is near and holds what (default: the order "
            "of --sites)."
        ),
    ] = None,
    insecure: InsecureOption = False,
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Pull a model; what the store holds already is not fetched."""
    given = {"--plan": plan, "--site": site, "--sites": sites, "--scenario": scenario}
    if plan is not None:
        if reference is not None or name is not None:
            raise InputError("--plan: the plan says which models, and what they are called")
        if site is None or sites is None:
            raise InputError("--plan needs --site ID and --sites FILE")
        pull_by_plan(
            plan, site, sites, scenario, store, replace=replace, insecure=insecure, as_json=as_json
        )
        return
    for option, value in given.items():
        if value is not None:
            raise InputError(f"{option} is for pulls by a plan (--plan FILE)")
    if reference is None:
        raise InputError("give either oci://HOST/REPO:TAG or --plan FILE")
    _pull_one(reference, name, store, replace=replace, insecure=insecure, as_json=as_json)


def _pull_one(
    reference: str,
    name: str | None,
    store: Path | None,
    *,
    replace: bool,
    insecure: bool,
    as_json: bool,
) -> None:
    from trunkline.errors import NotInStoreError
    from trunkline.store.registry import Reference, open_repository
    from trunkline.store.registry.pulling import read
    from trunkline.store.store import check_model_name

    wanted = Reference.parse(reference)
    chosen = name if name is not None else wanted.model_name
    check_model_name(chosen)
    origin = open_repository(wanted, insecure=insecure)
    try:
        opened = open_store(store)
    except NotInStoreError:
        read(origin.manifest(wanted.target)[1], reference)  # else an empty store would be left
        opened = open_store(store, create=True)
    with progress_bar(f"pull {chosen}") as progress:
        report = opened.pull(origin, wanted.target, chosen, replace=replace, progress=progress)
    notes = tuple(_advice(opened, chosen))
    if as_json:
        print_json(_as_document(report, notes))
    else:
        _print(report, notes)


def _advice(store: Store, name: str) -> Iterator[str]:
    """What a model that came from elsewhere still needs before it can be run."""
    from trunkline.errors import UntrustedFactoryError
    from trunkline.store.trust import require_trust

    architecture = store.model(name).architecture
    if architecture is None:
        yield "it can be stored, shown and planned for, but not run: nothing says how it is built"
        return
    try:
        require_trust(architecture, name)
    except UntrustedFactoryError as error:
        yield str(error)


def _as_document(report: PullReport, notes: Sequence[str]) -> dict[str, Any]:
    return {**asdict(report), "notes": list(notes)}


def _print(report: PullReport, notes: Sequence[str]) -> None:
    out = console()
    if report.unchanged:
        say(out, f"{report.name}: the store holds this very model already; nothing to fetch")
    else:
        how = "pulled and replaced" if report.replaced else "pulled"
        resumed = (
            f" and {size(report.bytes_resumed)} of an interrupted pull"
            if report.bytes_resumed
            else ""
        )
        say(
            out,
            f"{report.name}: {how} {report.blobs_fetched:,} of {count(report.blobs, 'blob')}, "
            f"{size(report.bytes_fetched)}{resumed} of {size(report.bytes_in)}; "
            f"{size(report.bytes_saved)} were here already ({report.seconds:.2f} s)",
        )
    print_shared(out, report.shared, report.bytes_in)
    for note in notes:
        say(out, f"note: {visible(note)}", indent=2)
