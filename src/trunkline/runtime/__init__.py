"""Models in memory, block by block: switching between them moves only what is missing.

Importing this package loads no torch; the names below load it when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline.runtime.runtime import Runtime
    from trunkline.runtime.sources import state_dict_source
    from trunkline.runtime.switch import Switch

__all__ = ["Runtime", "Switch", "state_dict_source"]


def __getattr__(name: str) -> Any:
    if name == "Runtime":
        from trunkline.runtime import runtime

        return runtime.Runtime
    if name == "Switch":
        from trunkline.runtime import switch

        return switch.Switch
    if name == "state_dict_source":
        from trunkline.runtime import sources

        return sources.state_dict_source
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
