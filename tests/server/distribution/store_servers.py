"""Stores that are served on free ports, in threads, and what asks them."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trunkline.server.distribution.serve import StoreServer
from trunkline.server.listening import bind
from trunkline.server.work import ServerSettings
from trunkline.store import Store, Tensors


@dataclass
class Served:
    """A store that is served."""

    url: str
    server: StoreServer

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def host(self) -> str:
        """Host and port."""
        return self.url.rpartition("/")[2]

    def call(
        self, method: str, path: str, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (by name in small letters) and body of a call."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, headers=dict(headers or {}))
            answer = connection.getresponse()
            named = {key.lower(): value for key, value in answer.getheaders()}
            return answer.status, named, answer.read()
        finally:
            connection.close()


@contextmanager
def serving(path: Path, settings: ServerSettings | None = None) -> Iterator[Served]:
    """Serve a store until the context ends."""
    settings = settings or ServerSettings(port=0)
    there, urls = threading.Event(), []

    def listening(url: str) -> None:
        urls.append(url)
        there.set()

    server = StoreServer(path, settings, listening=listening)
    with bind(settings) as place:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
        thread.start()
        try:
            assert there.wait(30)
            yield Served(urls[0], server)
        finally:
            server.stop()
            thread.join(30)
    assert not thread.is_alive()


def layered(*seeds: int, size: int = 8) -> Tensors:
    """A model of one square layer for each seed, from which its values follow."""
    return Tensors(
        [
            (
                f"layer{i}.w",
                "F32",
                (size, size),
                np.random.default_rng(seed).standard_normal((size, size)).astype("<f4"),
            )
            for i, seed in enumerate(seeds)
        ]
    )


def make_store(path: Path, models: Mapping[str, Tensors]) -> Store:
    """A store of these models."""
    store = Store.open(path, create=True)
    for name, tensors in models.items():
        store.add(name, tensors)
    return store
