"""`trunkline trust`: which factories may build models on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trunkline.cli.options import StoreOption, open_store
from trunkline.cli.output import as_is, console, print_json, say


def trust(
    factories: Annotated[
        list[str] | None,
        typer.Argument(
            help="Factories, package.module:callable, to trust with any arguments (left out: show "
            "what is trusted).",
            show_default=False,
        ),
    ] = None,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Take these factories off the list instead.")
    ] = False,
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what is trusted as JSON.")] = False,
) -> None:
    """Trust the code that a store from elsewhere names to build its models.

    Running a model calls its factory, and whoever made the store chose it. What you name with
    `import --factory` is trusted already, with the arguments given there.
    """
    from trunkline.store import trust as trusting

    if factories:
        (trusting.distrust if revoke else trusting.trust)(factories)
    calls = trusting.trusted()
    waiting, problem = _waiting(store)
    if as_json:
        print_json(
            {
                "file": str(trusting.trust_file()),
                "trusted": [
                    {"factory": call.factory, "kwargs": call.kwargs and dict(call.kwargs)}
                    for call in calls
                ],
                "not_trusted": waiting,
            }
        )
        return
    out = console()
    say(out, f"trusted (in {trusting.trust_file()}):" if calls else "no factory is trusted yet")
    for call in calls:
        as_is(out, f"  {call}{' with any arguments' if call.kwargs is None else ''}")
    if waiting:
        say(out, "named by the store, and not trusted:")
        for factory in waiting:
            as_is(out, f"  {factory}")
    if problem:
        say(out, f"({problem})")


def _waiting(path: Path | None) -> tuple[list[str], str]:
    """The factories of the store's models that are not trusted; why that is not known, if so."""
    from trunkline.errors import StoreError, UntrustedFactoryError
    from trunkline.store.trust import require_trust

    try:
        models = open_store(path).inventory().models
    except StoreError as error:
        return [], str(error)
    found = set()
    for model in models:
        if model.architecture is not None:
            try:
                require_trust(model.architecture, model.name)
            except UntrustedFactoryError:
                found.add(str(model.architecture.factory))
    return sorted(found), ""
