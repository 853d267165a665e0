"""The README's commands do what it says, from an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tools.readme import demo_table, with_table

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def commands() -> list[str]:
    """Every line of the README's `sh` blocks that is a `trunkline` command, in order; a line
    that ends in a backslash goes on in the next one."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("trunkline ")]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A command of ours in a folder, with a store of its own."""
    environment = {**os.environ, "TRUNKLINE_STORE": str(folder / "store")}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_the_commands_work_in_order(tmp_path):
    """After the demo, each command of the README ends with status 0 and leaves what it names."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    demo = run(["trunkline", "demo", "--quick"], tmp_path)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert len(commands()) >= 7
    for line in commands():
        words = shlex.split(line, comments=True)
        done = run(words, tmp_path)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        for option in ("-o", "--picture", "--trace"):
            if option in words:
                assert (tmp_path / words[words.index(option) + 1]).stat().st_size > 0, line


def test_its_figures_are_the_demos():
    """The table in the README is the one that the demo printed, to the letter."""
    output = (ROOT / "docs" / "results" / "demo.txt").read_text()
    text = README.read_text()
    assert "users answered in time" in text
    assert with_table(text, demo_table(output)) == text


def test_every_path_it_names_is_there():
    """Links to files of the repository lead somewhere."""
    text = README.read_text()
    paths = re.findall(r"\]\(((?!http|#)[^)]+)\)", text)
    assert paths
    for path in paths:
        assert (ROOT / path.partition("#")[0]).exists(), path
