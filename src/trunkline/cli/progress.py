"""A progress bar on standard error, for work that turns out to take over a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

_PATIENCE_S = 1.0


class Tell(Protocol):
    """What is told of the progress."""

    def __call__(self, done: int, total: int, at: str = "") -> None:
        """So much of so much is done; `at` says what is being done now."""


@contextmanager
def progress_bar(what: str, bytes_are_counted: bool = True) -> Iterator[Tell]:
    """A function to be called with (done, in all), and perhaps what is being done, that draws a
    bar on a terminal.

    Nothing is drawn in the first second, nor where standard error is no terminal.
    """
    if not sys.stderr.isatty():
        yield lambda done, total, at="": None
        return
    started = time.monotonic()
    with ExitStack() as stack:
        update: Tell | None = None

        def tell(done: int, total: int, at: str = "") -> None:
            nonlocal update
            if update is None and time.monotonic() - started > _PATIENCE_S:
                update = stack.enter_context(_bar(what, bytes_are_counted))
            if update is not None:
                update(done, total, at)

        yield tell


@contextmanager
def _bar(what: str, bytes_are_counted: bool) -> Iterator[Tell]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    counted = DownloadColumn() if bytes_are_counted else MofNCompleteColumn()
    columns = (
        TextColumn(escape(what)),
        BarColumn(),
        counted,
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, at="": bar.update(
            task, completed=done, total=total, description=at
        )
