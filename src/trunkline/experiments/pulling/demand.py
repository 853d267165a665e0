"""Demands from recorded traces, read by path: traces are not shipped.

Azure's LLM inference traces of 2023 (CC BY 4.0) have a line a request with the columns TIMESTAMP,
ContextTokens and GeneratedTokens.
"""

from __future__ import annotations

from pathlib import Path

from trunkline.errors import InputError
from trunkline.experiments.trace_tables import read_rows


def read_tokens(path: Path) -> tuple[float, ...]:
    """The tokens of every request of an Azure LLM inference trace, context and generated.

    Raises:
        InputError: the file cannot be read, is no such table, or has a value that is no number.
    """
    columns = ("ContextTokens", "GeneratedTokens")
    found = tuple(
        float(sum(row.whole(name, 0, 1e9) for name in columns)) for row in read_rows(path, columns)
    )
    if not found:
        raise InputError(f"{path}: has no requests")
    return found
