"""A progress bar on standard error, for work that turns out to take over a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

_PATIENCE_S = 1.0


@contextmanager
def progress_bar(what: str, bytes_are_counted: bool = True) -> Iterator[Callable[[int, int], None]]:
    """A function to be called with (done, in all), that draws a bar on a terminal.

    Nothing is drawn in the first second, nor where standard error is no terminal.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    started = time.monotonic()
    with ExitStack() as stack:
        update: Callable[[int, int], None] | None = None

        def tell(done: int, total: int) -> None:
            nonlocal update
            if update is None and time.monotonic() - started > _PATIENCE_S:
                update = stack.enter_context(_bar(what, bytes_are_counted))
            if update is not None:
                update(done, total)

        yield tell


@contextmanager
def _bar(what: str, bytes_are_counted: bool) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    counted = DownloadColumn() if bytes_are_counted else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), counted, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
