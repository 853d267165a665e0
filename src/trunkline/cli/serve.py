"""`trunkline serve`: a store's models behind the Open Inference Protocol."""

from __future__ import annotations

import gc
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trunkline.cli.memory import parse_memory
from trunkline.cli.options import (
    CopyOption,
    StoreOption,
    compute_on,
    names,
    number,
    open_store,
)
from trunkline.cli.output import as_is, console, note, size
from trunkline.errors import InputError
from trunkline.units import count

if TYPE_CHECKING:
    from trunkline.server.work import Engine, Limits, ServerSettings

TOKEN_VARIABLE = "TRUNKLINE_TOKEN"
LONGEST_TOKEN = 4096
MOST_REASONS = 3
LONGEST_MS = 24 * 3600 * 1e3


def serve(
    store: StoreOption = None,
    host: Annotated[
        str, typer.Option(help="The address to listen at; 0.0.0.0 for every one.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8000,
    models: Annotated[
        str | None,
        typer.Option(help="Serve only these, separated by commas (default: all that can run)."),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="Memory for resident blocks, as in 512MiB (default: half of what is free)."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
    profile: Annotated[
        Path | None,
        typer.Option("--profile", "-p", help="What loads and forwards take (default: measure)."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Threads that forwards compute on (default: $OMP_NUM_THREADS, or one less than "
            "there are processors, for HTTP and loads).",
        ),
    ] = None,
    copy: CopyOption = False,
    policy: Annotated[
        str | None,
        typer.Option(help="Who is served next: urgency (default), greatest-rate, edf, fcfs."),
    ] = None,
    load_ahead: Annotated[
        Literal["auto", "always", "never"],
        typer.Option(
            help="Load the next model's blocks beside computing: where it gains time (auto), "
            "always, or never."
        ),
    ] = "auto",
    timeout_ms: Annotated[
        float | None,
        typer.Option(
            parser=number(1, LONGEST_MS),
            metavar="MS",
            help="The deadline of requests that name none (default: 10000).",
        ),
    ] = None,
    longest_ms: Annotated[
        float | None,
        typer.Option(
            parser=number(1, LONGEST_MS),
            metavar="MS",
            help="No request waits longer, whatever it says (default: 300000).",
        ),
    ] = None,
    drain_s: Annotated[
        float | None,
        typer.Option(
            parser=number(0, 3600),
            metavar="S",
            help="What requests that wait at a SIGTERM have to finish (default: 30).",
        ),
    ] = None,
    stuck_s: Annotated[
        float | None,
        typer.Option(
            parser=number(0.1, 3600),
            metavar="S",
            help="A forward that takes longer, and 20 times what was expected of it, is given up "
            "on: the others are served, its model is not (default: 10).",
        ),
    ] = None,
    queue: Annotated[
        int | None,
        typer.Option(min=1, max=10**6, help="Requests that wait at once (default: 1000)."),
    ] = None,
    max_batch: Annotated[
        int | None, typer.Option(min=1, max=2**16, help="Samples in one batch (default: 32).")
    ] = None,
    max_body: Annotated[
        str | None, typer.Option(help="The largest body of a request (default: 64MiB).")
    ] = None,
    link: Annotated[
        str | None,
        typer.Option(
            help="The rate that streams share, as in 100Mbit (default: as fast as it goes)."
        ),
    ] = None,
    max_streams: Annotated[
        int | None, typer.Option(min=1, max=10**4, help="Streams open at once (default: 256).")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A name under which browsers may reach it; may be given again."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help=f"The token that callers need (default: ${TOKEN_VARIABLE}, or none)."),
    ] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="Serve over TLS (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The certificate's key (PEM).")] = None,
    whole_models: Annotated[
        bool, typer.Option("--whole-models", help="Share nothing: load every model whole.")
    ] = False,
    allow_repository_writes: Annotated[
        bool, typer.Option(help="Let clients load and unload models.")
    ] = False,
) -> None:
    """Answer inference requests over HTTP, each before its deadline."""
    wanted, budget = names(models), parse_memory(memory)
    token, link_bytes_per_s = read_token(token_file), _link(link)
    there = open_store(store)
    compute_on(_threads() if threads is None else threads)
    from trunkline.server.listening import bind, check_tls
    from trunkline.server.logs import log, set_up
    from trunkline.server.operations import STATIC, Operations, routes
    from trunkline.server.processing import processor_of
    from trunkline.server.serve import serve as run
    from trunkline.server.streams.calls import streams_of
    from trunkline.server.work import Limits, ServerSettings

    limits = Limits(load_ahead=load_ahead)
    limits = _limits(limits, timeout_ms, longest_ms, stuck_s, queue, max_batch, max_body)
    settings = ServerSettings(
        host=host,
        port=port,
        token=token,
        certificate=None if tls_certificate is None else str(tls_certificate),
        key=None if tls_key is None else str(tls_key),
        repository_writes=allow_repository_writes,
        hosts=tuple(allow_host or ()),
        drain_s=ServerSettings().drain_s if drain_s is None else drain_s,
        limits=limits,
    )
    check_tls(settings)
    place = bind(settings)  # before models are looked at, which may take long
    warn(settings)
    from trunkline.server.opening import open_engine

    logs = set_up()
    try:
        operations = Operations()
        engine = open_engine(
            there,
            models=wanted,
            memory_bytes=budget,
            device=device,
            profile=profile,
            policy=policy,
            whole_models=whole_models,
            copy=copy,
            limits=limits,
            observer=operations,
        )

        gc.collect()
        gc.freeze()  # or looking through all of PyTorch's objects would take 0.1 s now and then

        def listening(url: str) -> None:
            _say(engine, url)
            log(logging.INFO, "start", url=url, models=len(engine.models()))

        pages = routes(engine, operations)
        streams = streams_of(there, limits, wanted, link_bytes_per_s, max_streams)
        operations.metrics.include(streams.metrics)
        run(
            engine,
            settings,
            place,
            processors=lambda stored: processor_of(there, stored),
            extra_routes=pages,
            open_paths=STATIC,
            streams=streams,
            listening=listening,
        )
        log(logging.INFO, "stop")
    finally:
        logs.close()


def _threads() -> int | None:
    """One processor is left to HTTP and loads: a forward whose threads wait for one that they
    hold up takes far longer than one with a thread less. None where the user chose."""
    return None if "OMP_NUM_THREADS" in os.environ else max(1, (os.cpu_count() or 1) - 1)


def read_token(path: Path | None) -> str | None:
    """The token in a file, or in the environment; None for none.

    Raises:
        InputError: it is empty, too long, or could not be sent in a header.
    """
    if path is None:
        if (given := os.environ.get(TOKEN_VARIABLE)) is None:
            return None
        where, token = f"${TOKEN_VARIABLE}", given
    else:
        where = f"--token-file {path}"
        try:
            with path.open(encoding="utf-8") as file:
                token = file.read(LONGEST_TOKEN + 2)
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "no text"
            raise InputError(f"{where}: cannot be read: {why}") from None
    token = token.strip()
    if not 0 < len(token) <= LONGEST_TOKEN or not token.isascii() or not token.isprintable():
        raise InputError(f"{where}: a token is one line of up to {LONGEST_TOKEN} ASCII characters")
    return token


def _limits(
    default: Limits,
    timeout_ms: float | None,
    longest_ms: float | None,
    stuck_s: float | None,
    queue: int | None,
    max_batch: int | None,
    max_body: str | None,
) -> Limits:
    """The limits that were given, the others as they are."""
    from dataclasses import replace

    found = replace(
        default,
        default_timeout_s=default.default_timeout_s if timeout_ms is None else timeout_ms / 1e3,
        longest_timeout_s=default.longest_timeout_s if longest_ms is None else longest_ms / 1e3,
        stuck_after_s=default.stuck_after_s if stuck_s is None else stuck_s,
        queue=queue or default.queue,
        batch=max_batch or default.batch,
        body_bytes=_body_bytes(max_body) or default.body_bytes,
    )
    if found.default_timeout_s > found.longest_timeout_s:
        raise InputError(
            f"--timeout-ms {found.default_timeout_s * 1e3:g}: more than the longest, --longest-ms "
            f"{found.longest_timeout_s * 1e3:g}"
        )
    # a body that may come must find room among all bodies
    return replace(found, bodies_bytes=max(found.bodies_bytes, 2 * found.body_bytes))


def _link(text: str | None) -> float | None:
    """Bytes a second."""
    if text is None:
        return None
    from trunkline.units import parse_bits_per_s

    try:
        return parse_bits_per_s(text) / 8
    except InputError as error:
        raise InputError(f"--link: {error}") from None


def _body_bytes(text: str | None) -> int | None:
    from trunkline.units import parse_bytes

    if text is None:
        return None
    try:
        found = parse_bytes(text)
    except InputError as error:
        raise InputError(f"--max-body: {error}") from None
    if not 0 < found <= 2**40:
        raise InputError(f"--max-body {size(found)}: more than 0 bytes and at most a TiB")
    return found


def warn(settings: ServerSettings) -> None:
    """What an operator should know before others find it out."""
    from trunkline.server.security import is_loopback

    if is_loopback(settings.host):
        return
    if settings.token is None:
        note(f"whoever reaches {settings.host} may call: no token was given (--token-file)")
    elif settings.certificate is None:
        note("the token goes over the network in clear: no TLS (--tls-certificate, --tls-key)")


def _say(engine: Engine, url: str) -> None:
    """How many models are served, where, and why others are not."""
    from trunkline.server.work import State

    models = engine.models()
    away = [one for one in models if one.state is not State.READY]
    for one in away[:MOST_REASONS]:
        note(f"model {one.name!r} cannot be served: {one.reason}")
    if len(away) > MOST_REASONS:
        note(f"nor can {count(len(away) - MOST_REASONS, 'other model')}; the page at / says why")
    ready = len(models) - len(away)
    what = count(ready, "model") if not away else f"{ready} of {count(len(models), 'model')}"
    as_is(console(), f"serving {what} at {url}")
