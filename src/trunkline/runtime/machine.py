"""What a measurement was made on, in words. Light: no torch."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe() -> dict[str, str | int]:
    """Processor, how many of them, system, Python."""
    return {
        "processor": processor(),
        "cpus": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def processor() -> str:
    """The processor's name, where the system tells it; else its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def busy() -> str | None:
    """In words, that other programs use the machine now; None if it is idle enough to measure."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    cpus = os.cpu_count() or 1
    if load <= 0.75 * cpus:
        return None
    return f"the machine was busy: load average {load:.1f} on {cpus} processors at the start"
