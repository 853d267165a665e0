"""`trunkline pull --plan`: what a pulling plan gives to a site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trunkline.cli.options import open_store
from trunkline.cli.output import console, note, print_json, say, seconds, size, visible
from trunkline.cli.progress import progress_bar
from trunkline.units import count, shorten

if TYPE_CHECKING:
    from trunkline.sites import Nearest, SiteReport, SitesMap


def pull_by_plan(
    plan: Path,
    site: str,
    sites: Path,
    scenario: Path | None,
    store: Path | None,
    *,
    replace: bool,
    insecure: bool,
    as_json: bool,
) -> None:
    """Pull a site's models and say where their blocks came from."""
    from trunkline.documents import read, require_format
    from trunkline.planners import load_plan
    from trunkline.pulling.plan import PullingPlan
    from trunkline.sites import pull_to_site, sites_from_document
    from trunkline.sites.document import SITES_FORMAT

    wanted = load_plan(plan, PullingPlan)
    raw = read(sites)
    require_format(raw, SITES_FORMAT)
    places = sites_from_document(raw, insecure=insecure)
    nearest = _nearest(scenario, places, site)
    opened = open_store(store, create=True)
    report = pull_to_site(
        opened,
        wanted,
        site,
        places,
        nearest,
        replace=replace,
        showing=lambda model: progress_bar(f"pull {model}"),
    )
    if as_json:
        print_json(_as_document(report))
    else:
        _print(report)
    _tell(report)


def _nearest(scenario: Path | None, places: SitesMap, site: str) -> Nearest:
    from trunkline.documents import read, require_format
    from trunkline.pulling.scenario_document import SCENARIO_FORMAT, scenario_from_document
    from trunkline.sites import as_listed, by_scenario

    if scenario is None:
        return as_listed(places, site)
    raw = read(scenario)
    require_format(raw, SCENARIO_FORMAT)
    return by_scenario(scenario_from_document(raw), places, site)


def _as_document(report: SiteReport) -> dict[str, Any]:
    return {
        "site": report.site,
        "models": [
            {
                "name": one.name,
                "reference": one.reference,
                "digest": one.digest,
                "bytes_in": one.bytes_in,
                "bytes_fetched": one.bytes_fetched,
                "unchanged": one.unchanged,
            }
            for one in report.models
        ],
        "sources": {
            name: {"blobs": blobs, "bytes": sent} for name, (blobs, sent) in report.sources.items()
        },
        "unplanned": list(report.unplanned),
        "unneeded": list(report.unneeded),
        "lost": dict(report.lost),
        "seconds": report.seconds,
    }


def _print(report: SiteReport) -> None:
    out = console()
    if not report.models:
        say(out, f"{visible(report.site)}: the plan serves no model here; nothing to pull")
        return
    whole = sum(one.bytes_in for one in report.models)
    say(
        out,
        f"{visible(report.site)}: {count(len(report.models), 'model')}, "
        f"{size(report.bytes_fetched)} fetched of {size(whole)} ({seconds(report.seconds)})",
    )
    for name, (blobs, sent) in report.sources.items():
        say(out, f"from {visible(name)}: {count(blobs, 'blob')}, {size(sent)}", indent=2)


def _tell(report: SiteReport) -> None:
    """What the plan and the site did not agree on, and who did not answer."""
    if report.unplanned:
        note(
            f"{count(len(report.unplanned), 'block')} more than the plan lists were fetched: it "
            "took them to be here"
        )
    if report.unneeded:
        note(
            f"{count(len(report.unneeded), 'block')} of the plan were not fetched: no model that "
            "it serves here has them"
        )
    for name, why in report.lost.items():
        note(f"{visible(name)} was given up on: {shorten(visible(why), 200)}")
