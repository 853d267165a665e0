"""Serves a store: from the first connection to the last byte."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from trunkline.server.distribution.app import RegistryApp
from trunkline.server.distribution.holdings import Holdings
from trunkline.server.distribution.sendfile import SendfileProtocol
from trunkline.server.listening import Listener
from trunkline.server.work import ServerSettings


class StoreServer(Listener):
    """Serves a store until it is told to stop: downloads that run then have `drain_s` to end.

    Args:
        path: the store's directory.
        listening: called with the address as soon as connections are taken.

    Raises:
        StoreError: there is no store, or its index cannot be read.
    """

    def __init__(
        self,
        path: Path,
        settings: ServerSettings,
        *,
        listening: Callable[[str], None] = lambda address: None,
    ) -> None:
        self.holdings = Holdings(path)
        self.holdings.tags()
        super().__init__(
            RegistryApp(self.holdings, settings),
            settings,
            last_answers_s=math.ceil(settings.drain_s),
            listening=listening,
            protocol=SendfileProtocol,
            loop="asyncio",  # uvloop has no sendfile
        )
