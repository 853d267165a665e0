"""`trunkline serve-store`: a store as a read-only registry, for other sites to pull from."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from trunkline.cli.options import StoreOption, number, open_store
from trunkline.cli.output import as_is, console
from trunkline.cli.serve import read_token, warn
from trunkline.errors import InputError
from trunkline.units import count


def serve_store(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="STORE", help="The store's folder (default: as --store).", show_default=False
        ),
    ] = None,
    store: StoreOption = None,
    host: Annotated[
        str, typer.Option(help="The address to listen at; 0.0.0.0 for every one.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 5000,
    token_file: Annotated[
        Path | None,
        typer.Option(help="The token that callers need (default: $TRUNKLINE_TOKEN, or none)."),
    ] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="Serve over TLS (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The certificate's key (PEM).")] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A name under which browsers may reach it; may be given again."),
    ] = None,
    drain_s: Annotated[
        float,
        typer.Option(
            parser=number(0, 3600),
            metavar="S",
            help="What downloads that run at a SIGTERM have to finish.",
        ),
    ] = 30.0,
) -> None:
    """Serve a store's models to registry clients, read-only (OCI distribution)."""
    token = read_token(token_file)
    if folder is not None and store is not None:
        raise InputError(f"a store is given twice: {folder}, and --store {store}")
    path = open_store(folder or store).path
    from trunkline.server.distribution.names import REPOSITORY
    from trunkline.server.distribution.serve import StoreServer
    from trunkline.server.listening import bind, check_tls, raise_file_limit
    from trunkline.server.logs import log, set_up
    from trunkline.server.work import ServerSettings

    settings = ServerSettings(
        host=host,
        port=port,
        token=token,
        certificate=None if tls_certificate is None else str(tls_certificate),
        key=None if tls_key is None else str(tls_key),
        hosts=tuple(allow_host or ()),
        drain_s=drain_s,
    )
    check_tls(settings)

    def listening(url: str) -> None:
        models = len(server.holdings.tags())
        as_is(console(), f"serving {count(models, 'model')} at {url}/v2/{REPOSITORY}")
        log(logging.INFO, "start", url=url, models=models)

    server = StoreServer(path, settings, listening=listening)
    raise_file_limit(settings.limits)
    with bind(settings) as place:
        warn(settings)
        logs = set_up()
        try:
            server.run(sockets=[place])
            log(logging.INFO, "stop")
        finally:
            logs.close()
