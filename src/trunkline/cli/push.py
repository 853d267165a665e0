"""`trunkline push`: models to a registry, only the blobs that it lacks."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.options import InsecureOption, StoreOption, open_store
from trunkline.cli.output import console, print_json, say, size
from trunkline.cli.progress import progress_bar
from trunkline.units import count

if TYPE_CHECKING:
    from trunkline.store import PushReport


def push(
    models: Annotated[list[str], typer.Argument(help="Models of the store.", show_default=False)],
    target: Annotated[
        str,
        typer.Argument(
            metavar="oci://HOST/REPO[:TAG]",
            help="Where to. Without a tag each model's name is its tag.",
            show_default=False,
        ),
    ],
    mount_from: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REPO",
            help="Another repository of this registry that may hold blobs of the models, so that "
            "they need not be sent (default: those that this store pushed to or pulled from).",
            show_default=False,
        ),
    ] = None,
    insecure: InsecureOption = False,
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the reports as JSON.")] = False,
) -> None:
    """Push models; what the registry holds already is not sent."""
    from trunkline.errors import InputError
    from trunkline.store.registry import Reference, open_repository
    from trunkline.store.registry.reference import check_repository

    wanted = Reference.parse(target)
    if wanted.digest is not None:
        raise InputError(f"{target!r:.120}: a push takes a tag; the digest follows from the model")
    names = list(dict.fromkeys(models))
    if wanted.tag is not None and len(names) > 1:
        raise InputError(
            f"the tag {wanted.tag!r} can name one model, and {len(names)} were given; without a "
            "tag each model's name is its tag"
        )
    neighbours = [check_repository(one, f"--mount-from {one}") for one in mount_from or ()] or None
    opened = open_store(store)
    for name in names:
        opened.model(name)  # before any is sent
    repository = open_repository(wanted, insecure=insecure)
    reports = []
    for name in names:
        with progress_bar(f"push {name}") as progress:
            report = opened.push(
                name, repository, wanted.tag or name, neighbours=neighbours, progress=progress
            )
        reports.append(report)
        if not as_json:
            _print(report)
    if as_json:
        print_json({"models": [asdict(one) for one in reports]})


def _print(report: PushReport) -> None:
    out = console()
    if report.unchanged:
        say(out, f"{report.name}: {report.reference} is this very model already; nothing to send")
        return
    mounted = (
        f", {size(report.bytes_mounted)} mounted from another repository"
        if report.blobs_mounted
        else ""
    )
    rest = report.bytes_in - report.bytes_sent - report.bytes_mounted
    say(
        out,
        f"{report.name}: sent {report.blobs_sent:,} of {count(report.blobs, 'blob')}, "
        f"{size(report.bytes_sent)} of {size(report.bytes_in)}, to {report.reference}{mounted}; "
        f"{size(rest)} were there already ({report.seconds:.2f} s)",
    )
