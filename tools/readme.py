"""The README's figures and commands.

    python tools/readme.py          # put what was measured last into the README
    python tools/readme.py run      # run the README's commands before that, and keep their output

`make results` calls both after the demo, so that no figure in the README is typed by hand; a test
compares the files.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DEMO = ROOT / "docs" / "results" / "demo.txt"
OWN_MODELS = ROOT / "docs" / "results" / "own-models.txt"


def demo_table(output: str) -> str:
    """The last table of the demo's output, its title included."""
    lines = [line.rstrip() for line in output.splitlines()]
    top = max(i for i, line in enumerate(lines) if line.startswith("┏"))
    bottom = max(i for i, line in enumerate(lines) if line.startswith("└"))
    return "\n".join(lines[top - 1 : bottom + 1]) + "\n"


def served(output: str) -> str:
    """What the runs of the README's own models say: who was served, and what was loaded."""
    found = re.findall(
        r"^(?:optimal|independent): \d+ of \d+ tasks served.*?^load \+ ", output, re.M | re.S
    )
    return "".join(text.rpartition("load + ")[0] for text in found)


def with_text(readme: str, place: str, text: str) -> str:
    """The README with this text between the marks of a place."""
    marks = re.compile(rf"(<!-- {place} -->\n```text\n).*?(```\n<!-- /{place} -->)", re.DOTALL)
    return marks.sub(lambda found: found[1] + text + found[2], readme)


def filled(readme: str, demo: str, own_models: str) -> str:
    """The README with all figures in their places."""
    return with_text(with_text(readme, "demo", demo_table(demo)), "own models", served(own_models))


def script(readme: str) -> str:
    """The README's commands for a shell, in order; one that fails ends it."""
    blocks = re.findall(r"^```sh\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    return "set -eu\n" + "".join(blocks)


def run_commands(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Run the README's commands in an empty folder that stands for a checkout: it has the
    examples, and `python` and `trunkline` are those of this Python."""
    (checkout / "examples").symlink_to(ROOT / "examples")
    programs = checkout / "bin"
    programs.mkdir()
    for name, options in (("python", ""), ("trunkline", " -m trunkline")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{options} "$@"\n')
        (programs / name).chmod(0o755)
    return subprocess.run(
        ["bash", "-c", f'PATH="{programs}:$PATH"\n{script(README.read_text())}'],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=600,
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["run"]:
        with tempfile.TemporaryDirectory() as folder:
            done = run_commands(Path(folder))
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        OWN_MODELS.write_text(done.stdout)
    README.write_text(filled(README.read_text(), DEMO.read_text(), OWN_MODELS.read_text()))
