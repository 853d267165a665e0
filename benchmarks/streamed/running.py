"""Processes: the server, and devices."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.streamed import worker
from benchmarks.streamed.reckoning import Report
from trunkline.store import Store


@contextmanager
def serving(
    store: Store, mbit: float | None, host: str = "127.0.0.1", within: Sequence[str] = ()
) -> Iterator[str]:
    """The address of a server with such a link (None: unpaced); `within` comes before its command.

    Raises:
        RuntimeError: it did not start.
    """
    command = [*within, sys.executable, "-m", "trunkline", "serve", "--store", str(store.path)]
    command += ["--host", host, "--port", "0"]
    if mbit is not None:
        command += ["--link", f"{mbit:.6f}Mbit"]
    quiet = subprocess.DEVNULL  # its log
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=quiet, text=True) as process:
        try:
            urls = (re.search(r"https?://[^\s/]+", line) for line in process.stdout or ())
            found = next((url for url in urls if url is not None), None)
            if found is None:
                raise RuntimeError(f"the server did not start: {' '.join(command)}")
            yield found[0]
        finally:
            process.terminate()


class Worker:
    """A device (`benchmarks.streamed.worker`)."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def answer(self) -> Report:
        """What it says next (RuntimeError: it ended, or its output is wrong)."""
        try:
            said: Report = self._pipe.recv()
        except EOFError:
            raise RuntimeError("a device ended") from None
        if said.get("same") is False:
            raise RuntimeError(f"{said['model']}: another output than the loaded model's")
        return said

    def begin(self, url: str, model: str, **asked: Any) -> None:
        """Let it stream a network."""
        self._pipe.send({"url": url, "model": model, **asked})

    def run(self, url: str, model: str, **asked: Any) -> Report:
        """Stream a network; its report (RuntimeError: refused)."""
        self.begin(url, model, **asked)
        said = self.answer()
        if "refused" in said:
            raise RuntimeError(said["refused"])
        return said


@contextmanager
def devices(folder: Path, count: int = 1, namespace: str = "") -> Iterator[list[Worker]]:
    """So many devices, all ready, each with a store of its own."""
    context = get_context("forkserver")  # what they import is imported once
    context.set_forkserver_preload([worker.__name__])
    with ExitStack() as stack:
        found = []
        for i in range(count):
            here, there = context.Pipe()
            place = folder / f"device-{namespace}-{count}-{i}"
            process = context.Process(target=worker.work, args=(there, folder, place, namespace))
            process.start()
            there.close()
            stack.callback(process.join)
            stack.callback(process.terminate)
            found.append(Worker(here))
        for one in found:
            one.answer()
        yield found
