"""`trunkline scenario`: a pulling scenario of real models, whose plan can be carried out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.options import InsecureOption, StoreOption, open_store
from trunkline.cli.output import check_outputs, console, note, print_json, say, size, write_files
from trunkline.errors import RegistryError
from trunkline.units import count, shorten

if TYPE_CHECKING:
    from trunkline.sites import SitesMap


def scenario(
    template: Annotated[
        Path,
        typer.Argument(
            metavar="TEMPLATE",
            help="A scenario without blocks: the network, sites, requests, and models by name.",
        ),
    ],
    sites: Annotated[
        Path | None,
        typer.Option(
            help="Where the sites and the data centre are: the sites are asked what they hold, "
            "and the data centre for the models' blocks."
        ),
    ] = None,
    store: StoreOption = None,
    insecure: InsecureOption = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the scenario here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scenario only.")] = False,
) -> None:
    """State a pulling scenario of real models: blocks named by digest, from a registry or a store.

    Without --sites the models are a store's, and what is at the sites is what the template says.
    """
    from trunkline.documents import read, require_format
    from trunkline.files import write_json
    from trunkline.pulling.scenario_document import (
        SCENARIO_FORMAT,
        scenario_from_document,
        scenario_to_document,
    )
    from trunkline.sites import stating

    check_outputs({"--output": output}, [template, sites])
    raw = read(template)
    require_format(raw, SCENARIO_FORMAT)
    if sites is None:
        document = stating.fill(raw, stating.in_store(open_store(store)), {})
    else:
        places = _places(sites, insecure)
        document = stating.fill(raw, stating.in_registry(places), _held(places, raw))
    filled = read(document)
    filled.source, filled.lax_numbers = raw.source, raw.lax_numbers
    document = scenario_to_document(scenario_from_document(filled))  # YAML's 2.0e13 is a text
    if as_json or output is None:
        print_json(document)
    else:
        _print(document)
    write_files(
        None if as_json else console(),
        [("scenario", output, lambda path: write_json(path, document))],
    )


def _places(path: Path, insecure: bool) -> SitesMap:
    from trunkline.documents import read, require_format
    from trunkline.sites import sites_from_document
    from trunkline.sites.document import SITES_FORMAT

    raw = read(path)
    require_format(raw, SITES_FORMAT)
    return sites_from_document(raw, insecure=insecure)


def _held(places: SitesMap, template: dict[str, Any]) -> dict[str, set[str]]:
    """What the template's sites hold; one that does not answer holds nothing, and that is told."""
    from trunkline.sites.stating import held_at

    held = {}
    for site in template.get("sites") or ():
        name = site.get("id") if isinstance(site, dict) else None
        if not isinstance(name, str) or name not in places.sites:
            continue
        try:
            held[name] = held_at(places.sites[name])
        except RegistryError as error:
            note(f"{shorten(name)} is taken to hold nothing: {shorten(str(error), 200)}")
    return held


def _print(document: dict[str, Any]) -> None:
    models, blocks = document["models"], document["blocks"]
    held = [len(site.get("resident", ())) for site in document["sites"]]
    holding = sum(map(bool, held))
    say(
        console(),
        f"{count(len(models), 'model')} of {count(len(blocks), 'block')}, "
        f"{size(sum(blocks.values()))}; "
        f"{holding} of {count(len(held), 'site')} "
        f"{'holds' if holding == 1 else 'hold'} {count(sum(held), 'block')}",
    )
