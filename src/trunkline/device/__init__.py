"""The device's end of streaming: a model is received, kept and run while it arrives.

Importing this package loads no torch; the names below load it when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline.device.client import StreamClient, Streamed

__all__ = ["StreamClient", "Streamed"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from trunkline.device import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
