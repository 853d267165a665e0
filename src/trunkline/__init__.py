"""Trunkline: move only the parameter blocks that the far end lacks.

The names below are the public ones; everything heavier than numpy is imported on first use.
"""

from __future__ import annotations

__version__ = "0.1.0"
