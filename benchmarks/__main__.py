"""Run the benchmarks, each in a process of its own: `python -m benchmarks [NAME ...]`.

`--save DIR` keeps what each one prints as DIR/NAME.txt, under a line that says where and when it
was measured; the documentation shows those files as they are.

A benchmark fails (exit status 1) where something is wrong, such as a byte too many or another
output. A speed that misses its target is told at the end, and fails with `--strict` only: machines
are busy at times. `serving` takes hours and has to be named.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.measure import MISSED
from trunkline.runtime.machine import processor

NAMES = (
    *("planner", "loading", "extensions", "online", "streaming", "reproduce", "store", "pull"),
    *("serve_store", "streams", "streaming_real", "switching", "overlapping", "overhead"),
    *("simulated", "pulling", "serving"),
)
LONG = ("serving",)
"""These take hours, and run only if they are named."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--save", type=Path, help="keep the output of each in this folder")
    parser.add_argument("--strict", action="store_true", help="fail where a target is missed")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    failed, missed = [], []
    for name in arguments.names or [one for one in NAMES if one not in LONG]:
        output, status = run(name)
        missed += [f"{name}: {line}" for line in output.splitlines() if line.endswith(MISSED)]
        if status:
            failed.append(name)
        elif arguments.save:
            arguments.save.mkdir(parents=True, exist_ok=True)
            (arguments.save / f"{name}.txt").write_text(f"{machine()}\n\n{output}")
    for line in missed:
        print(line, file=sys.stderr)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed or (missed and arguments.strict) else 0


def run(name: str) -> tuple[str, int]:
    """One benchmark in a process of its own, its output shown as it comes and returned."""
    print(f"== {name}", flush=True)
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    return "".join(lines), process.returncode


def machine() -> str:
    """What the figures were measured on."""
    packages = []
    for package in ("trunkline", "numpy", "torch", "safetensors"):
        try:
            packages.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return (
        f"{datetime.date.today()}, {os.cpu_count()} x {processor()}, {platform.system()}, "
        f"Python {platform.python_version()}, {', '.join(packages)}"
    )


if __name__ == "__main__":
    sys.exit(main())
