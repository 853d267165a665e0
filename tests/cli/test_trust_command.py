"""`trunkline trust` on the command line, and what it guards."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from tests.cli.commands import Run, runner  # noqa: E402


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command against a store of its own: exit status, output, errors."""
    monkeypatch.setenv("TRUNKLINE_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return runner(capsys)


@pytest.fixture
def module(tmp_path: Path) -> str:
    """A module of the user's, in the current folder."""
    name = f"mine_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(
        "from torch import nn\ndef net(width):\n    return nn.Linear(width, 2)\n"
    )
    save_file({"weight": torch.ones(2, 3), "bias": torch.ones(2)}, tmp_path / "w.safetensors")
    return name


PROFILE = ("profile", "--rounds", "3", "--limit-s", "0", "--no-cold", "-o", "p.json")


def test_a_store_from_another_machine_asks_before_it_runs_code(
    run: Run, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was imported here runs here. The same store on another machine is refused with one line
    and status 2; the command it names lets it run, and another takes that back."""
    arguments = ("--factory", f"{module}:net", "--kwargs", '{"width": 3}', "--input", "3")
    assert run("import", "w.safetensors", *arguments)[0] == 0
    assert run(*PROFILE)[0] == 0
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another machine"))
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    monkeypatch.setenv("TRUNKLINE_STORE", str(tmp_path / "copy"))
    assert run("list")[0] == run("show")[0] == run("verify")[0] == 0
    status, out, err = run(*PROFILE)
    assert (status, out, err.count("\n")) == (2, "", 1)
    command = err.partition("you know it: trunkline ")[2].partition(" (")[0].split()
    assert command == ["trust", f"{module}:net"]
    status, out, _ = run("trust")
    assert status == 0
    assert "no factory is trusted yet" in out
    assert f"not trusted:\n  {module}:net" in out
    assert run(*command)[0] == 0
    assert run(*PROFILE)[0] == 0
    found = json.loads(run("trust", "--json")[1])
    assert found["trusted"] == [{"factory": f"{module}:net", "kwargs": None}]
    assert found["not_trusted"] == []
    assert run("trust", "--revoke", f"{module}:net")[0] == 0
    assert run(*PROFILE)[0] == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("trust", "os"), "package.module:callable"),
        (("trust", "--revoke", "a:b"), "is not on the list"),
    ],
)
def test_unusable_names_end_with_status_2(run: Run, arguments: tuple[str, ...], says: str) -> None:
    """One line that says why, and nothing is trusted by it."""
    status, _, err = run(*arguments)
    assert (status, says in err, err.count("\n")) == (2, True, 1)
    assert json.loads(run("trust", "--json")[1])["trusted"] == []
    assert "no store at" in run("trust")[1]


def test_an_import_says_what_the_model_lacks(run: Run, module: str) -> None:
    """Without an architecture or an input, a note says what cannot be done and which options mend
    it; following it leaves no note. No Python shows through."""
    notes = json.loads(run("import", "w.safetensors", "--name", "m", "--json")[1])["notes"]
    assert len(notes) == 1
    assert "not run" in notes[0]
    for option in ("--factory", "--input", "--replace"):
        assert option in notes[0]
    build = ("--factory", f"{module}:net", "--kwargs", '{"width": 3}', "--name", "m", "--replace")
    (note,) = json.loads(run("import", "w.safetensors", *build, "--json")[1])["notes"]
    assert "cannot be profiled" in note
    assert "--input" in note
    status, out, _ = run("import", "w.safetensors", *build, "--input", "3")
    assert (status, "note" in out) == (0, False)
    status, out, _ = run("import", "w.safetensors", *build, "--input", "4:float32")
    assert (status, "does not run on 4:float32" in " ".join(out.split())) == (0, True)
    assert "InputSpec" not in out


def test_what_holds_no_weights_says_what_to_import(run: Run, tmp_path: Path) -> None:
    """A config.json leads to its folder; another JSON file is named for what it is."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    status, _, err = run("import", folder / "config.json")
    assert (status, f"import the folder it lies in, {folder}" in err) == (2, True)
    (folder / "notes.json").write_text("{}")
    assert "is a JSON file and holds no weights" in run("import", folder / "notes.json")[2]
