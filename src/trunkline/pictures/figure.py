"""Making and saving figures without a display, the same bytes for the same data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.errors import InputError
from trunkline.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UPLOAD, LOAD, COMPUTE = "#4c9fd6", "#e07b39", "#3a9d5d"
SHARED, OWN = "#4c9fd6", "#d9d9d9"
FORMATS = (".png", ".svg", ".pdf")

UNSAID = {"png": ("Software",), "svg": ("Creator", "Date"), "pdf": ("Creator", "CreationDate")}
"""What is left out of a picture's metadata, by its format: who and what drew it, and when."""


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty figure of this size in inches, drawn by the file backends only."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), layout="constrained")


def plain(text: str) -> str:
    """A name as text: a dollar sign in it starts no formula."""
    return text.replace("$", r"\$")


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure to `path`; the suffix chooses the format.

    Raises:
        InputError: a suffix that is no picture's, or a place that cannot be written.
    """
    path = Path(path)
    check_suffix(path)
    from matplotlib import rc_context

    kind = path.suffix.lower()[1:]
    with replacing(path) as temporary, rc_context({"svg.hashsalt": "trunkline"}):
        metadata = dict.fromkeys(UNSAID[kind])
        figure.savefig(temporary, dpi=150, format=kind, metadata=metadata)
    return path


def check_suffix(path: Path) -> None:
    """Refuse a name that doesn't end as a picture's (InputError)."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: a picture's name ends in {', '.join(FORMATS)}")
