"""The README's commands do what it says, from an empty folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.readme import DEMO, OWN_MODELS, README, ROOT, filled, run_commands, script, served


@pytest.mark.slow
def test_the_commands_work_in_order(tmp_path):
    """Each command of the README ends with status 0, what it names is left in `try`, nothing is
    left beside it, and partial loading is planned to serve far more than whole-model loading."""
    done = run_commands(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in re.findall(r"(?:-o|--picture|--trace) (?:try/)?(\S+)", script(README.read_text())):
        assert (tmp_path / "try" / name).stat().st_size > 0, name
    assert {path.name for path in tmp_path.iterdir()} == {"bin", "examples", "try"}
    planned = [int(n) for n in re.findall(r"\(planned:\s+(\d+)\s+served\)", done.stdout)]
    assert len(planned) == 2
    assert planned[0] >= 1.2 * planned[1]


def test_its_figures_are_the_measured_ones():
    """The tables in the README are those that the commands printed, to the letter."""
    text = README.read_text()
    assert "users answered in time" in text
    assert served(OWN_MODELS.read_text()).count(" tasks served by ") == 2
    assert filled(text, DEMO.read_text(), OWN_MODELS.read_text()) == text


def test_every_path_it_names_is_there():
    """Links to files of the repository lead somewhere."""
    text = README.read_text()
    paths = re.findall(r"\]\(((?!http|#)[^)]+)\)", text)
    assert paths
    for path in paths:
        assert (ROOT / Path(path.partition("#")[0])).exists(), path
