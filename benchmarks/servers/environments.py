"""The peers as installed from their packages, each in a virtual environment of its own.

Torch comes first and alone, so that pip takes a build for this machine's processor where its
configuration names one, and the peers' own requirements find it there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DEFAULT = os.environ.get("TRUNKLINE_SERVING_PEERS", "~/.cache/trunkline/serving-peers")
TORCH = "torch==2.13.0"
PACKAGES = {"mlserver": "mlserver>=1.7", "ray": "ray[serve]>=2.60", "litserve": "litserve>=0.2.19"}


def python(folder: Path, peer: str) -> Path:
    """The interpreter of a peer's environment."""
    return folder / peer / "bin" / "python"


def installed(folder: Path, peer: str) -> bool:
    """Whether a peer is there."""
    return python(folder, peer).exists()


def install(folder: Path) -> None:
    """Make the environments that are missing (CalledProcessError if one cannot be made)."""
    for peer, package in PACKAGES.items():
        if installed(folder, peer):
            continue
        subprocess.run([sys.executable, "-m", "venv", str(folder / peer)], check=True)
        pip = [str(python(folder, peer)), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, TORCH], check=True)
        subprocess.run([*pip, "safetensors", "numpy", package], check=True)


def version(folder: Path, peer: str) -> str:
    """Name and version of a peer."""
    code = f"import importlib.metadata as m; print(m.version({peer!r}))"
    run = subprocess.run(
        [str(python(folder, peer)), "-c", code], capture_output=True, text=True, check=True
    )
    return f"{peer} {run.stdout.strip()}"
