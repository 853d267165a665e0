"""What every server of the benchmark is: started, asked, and stopped.

All serve the same models and take the same JSON bodies.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import urllib3

from benchmarks.servers.models import Library
from trunkline.runtime.cache import drop_cached
from trunkline.runtime.threads import SPIN_ROUNDS

REPOSITORY = Path(__file__).resolve().parents[2]
START_S, STOP_S = 180.0, 30.0
HTTP = urllib3.PoolManager()


@dataclass(frozen=True)
class Terms:
    """What holds for every server.

    Attributes:
        folder: for logs and configurations.
        peers: the folder of the peers' environments.
        threads: that PyTorch computes with.
        batch, batch_wait_s: of the peers: the most requests in a batch, and how long one waits
            for more.
        queue: the most requests that wait at a peer where it has such a limit; None for no limit.
        queue_timeout_s: after so long in its queue a peer gives a request up, where it has such a
            setting; None for never.
        loading: how a peer brings weights in (`benchmarks/serving_peers/lru.py`).
    """

    library: Library
    folder: Path
    peers: Path
    threads: int
    batch: int = 4
    batch_wait_s: float = 0.002
    queue: int | None = None
    queue_timeout_s: float | None = None
    loading: str = "reuse"


class Server:
    """One server process (and its children)."""

    name: ClassVar[str]
    ready_path: ClassVar[str]

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = terms.folder / f"{type(self).__name__}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """What starts it."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Beyond this process's own."""
        return {}

    def whole_environment(self) -> dict[str, str]:
        """What it runs in: this process's, so many threads, and its own."""
        return {
            **os.environ,
            "OMP_NUM_THREADS": str(self.terms.threads),
            "GOMP_SPINCOUNT": str(SPIN_ROUNDS),
            **self.environment(),
        }

    def target(self, model: str) -> tuple[str, dict[str, str]]:
        """Path and headers of a request for a model."""
        return f"/v2/models/{model}/infer", {}

    def input_name(self) -> str:
        """What it calls the models' input."""
        return "input"

    def bytes_moved(self) -> int | None:
        """Bytes loaded since the start, None if that is not known."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it and wait until it takes requests (RuntimeError if it does not).

        As after a boot, nothing of the models is cached then, so that how one server read them
        (in which pages) does not matter to the next; `warm_up` has each read its own.
        """
        files = (one for one in self.terms.library.folder.rglob("*") if one.is_file())
        with contextlib.suppress(OSError):
            drop_cached(files)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                list(self.command()),
                cwd=REPOSITORY,
                env=self.whole_environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                tail = self.log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self.name} did not start; {self.log} ends:\n{tail}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return HTTP.request("GET", self.url + self.ready_path, retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def stop(self) -> None:
        """End it, by force what does not end by itself."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a session of its own: it and its children
        process.wait()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # an interrupt too must leave no server behind
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
