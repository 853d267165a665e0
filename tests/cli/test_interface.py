"""What all commands have in common: status, interrupts, odd numbers, empty texts, output files,
and lines that fit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import torch
from rich.cells import cell_len

import trunkline
from tests.cli.commands import Run, runner
from trunkline.experiments.networks import digits_net
from trunkline.runtime import state_dict_source
from trunkline.store import Architecture, InputSpec, Store

COSTS = {"seconds_per_batch": 0.001, "seconds_per_task": 0.0001, "max_batch": 8}
LONG_NAME = "a-name-that-is-as-long-as-a-name-may-be-" + "x" * 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of two models that can run and one that cannot, a profile, a problem
    of the store's models, and one of long names without a store."""
    place = tmp_path_factory.mktemp("interface")
    store = Store.open(place / "store", create=True)
    network = Architecture("factory", factory="trunkline.experiments.networks:digits_net")
    torch.manual_seed(0)
    first = digits_net().state_dict()
    second = {**first, "fc.weight": torch.randn_like(first["fc.weight"])}
    for name, state in (("one", first), (LONG_NAME, second)):
        source = state_dict_source(state, architecture=network, input=InputSpec((1, 8, 8)))
        store.add(name, source)
    store.add("bare", state_dict_source({"w": torch.ones(1)}))
    for words in (
        ["profile", "--rounds", "3", "--limit-s", "0", "--no-cold", "-o", "p.json"],
        ["problem", "-p", "p.json", "--burst", "8", "--deadline-s", "30", "-o", "problem.json"],
    ):
        command = [sys.executable, "-m", "trunkline", *words]
        environment = {**os.environ, "TRUNKLINE_STORE": "store"}
        subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True)
    return place


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in the folder: exit status, output, errors."""
    monkeypatch.setenv("TRUNKLINE_STORE", "store")
    monkeypatch.chdir(folder)
    return runner(capsys)


def test_the_version(run: Run) -> None:
    """`--version` prints the package's version and nothing else."""
    assert run("--version") == (0, f"trunkline {trunkline.__version__}\n", "")


NUMBERS = {
    "problem": [
        "--deadline-s", "--deadline-share", "--burst", "--seed", "--upload-bits",
        "--bandwidth-hz", "--radius-m", "--power-w-per-hz", "--noise-dbm-per-hz",
        "--path-loss-exponent", "--memory",
    ],
    "plan": ["--slot-s", "--margin", "--channels", "--transfers", "--time-limit-s", "--seed"],
    "profile": [
        "--threads", "--batches", "--max-batch", "--memory", "--rounds", "--limit-s",
    ],
    "run": ["--margin", "--seed", "--memory", "--threads"],
    "simulate": ["--rate", "--seconds", "--zipf", "--waits", "--seed", "--memory"],
}  # fmt: skip
"""Every option that takes a number, by command."""

ODD = ["nan", "inf", "-inf", "-1", "0", "1e308", "-1e308", str(10**30), "1e-320", "x", ""]


def words_of(command: str, option: str, value: str) -> list[str]:
    """A whole command with one option odd."""
    words = {
        "problem": ["problem", "-p", "p.json", "--burst", "4", "--deadline-s", "1", "--json"],
        "plan": ["plan", "problem.json", "-m", "paper", "--json"],
        "profile": ["profile", "--rounds", "3", "--limit-s", "0", "--no-cold", "--json"],
        "run": ["run", "problem.json", "--no-upload", "--json"],
        "simulate": ["simulate", "poisson", "--problem", "problem.json", "--rate", "9",
                     "--seconds", "1", "--json"],
    }[command]  # fmt: skip
    if option in words:
        place = words.index(option)
        del words[place : place + 2]
    if option == "--deadline-share":
        place = words.index("--deadline-s")
        del words[place : place + 2]
    return [*words, f"{option}={value}"]


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize(
    ("command", "option"),
    [(command, option) for command, options in NUMBERS.items() for option in options],
)
def test_odd_numbers_are_used_or_refused(run: Run, command: str, option: str, value: str) -> None:
    """Whatever the number: either a result that is a document, and for a problem one that can be
    planned, or status 2 with a reason and nothing on standard output."""
    if command == "profile" and value in ("0", "1e-320") and option == "--limit-s":
        pytest.skip("a good value, which would measure")
    status, out, err = run(*words_of(command, option, value))
    assert status in (0, 2), err
    if status == 2:
        assert out == ""
        assert err.strip()
    else:
        document = json.loads(out)
        if command == "problem":
            assert trunkline.plan(trunkline.load(document)).served <= 4


@pytest.mark.parametrize(
    "command",
    ["problem", "plan", "profile", "run", "simulate", "check", "show", "demo"],
)
def test_every_number_is_tried(command: str) -> None:
    """The list above holds every option of these commands that is a number."""
    function = getattr(import_module(f"trunkline.cli.{command}"), command)
    numbers = {
        f"--{name.replace('_', '-')}"
        for name, kind in get_type_hints(function).items()
        if {int, float} & {kind, *get_args(kind)}
    }
    texts = {"--memory", "--batches", "--rate", "--waits"}  # sizes and lists
    assert numbers == set(NUMBERS.get(command, ())) - texts


def test_more_threads_than_any_use_is_refused(run: Run) -> None:
    """Thousands of threads would end PyTorch; the message says how many there may be."""
    for words in (("profile", "--no-cold"), ("run", "problem.json")):
        status, out, err = run(*words, "--threads", "100000")
        assert (status, out) == (2, "")
        assert f"at most {4 * (os.cpu_count() or 1)}" in err


@pytest.mark.parametrize(
    "words",
    [
        ["show", ""],
        ["show", "--store", ""],
        ["show", "--store="],
        ["plan", "problem.json", "-o", ""],
        ["check", "problem.json", ""],
        ["run", "problem.json", "--inputs", ""],
        ["profile", "--models", ""],
        ["import", ""],
        ["demo", "--dir", ""],
    ],
)
def test_an_empty_text_is_no_path(run: Run, words: list[str]) -> None:
    """It would be taken for the current folder; it is refused, and the option is named."""
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert "an empty text is no value" in err
    if words[-2].startswith("-"):
        assert words[-2] in err


def test_a_list_of_no_models_is_refused(run: Run) -> None:
    """Commas and spaces name nothing."""
    status, _, err = run("profile", "--models", " , ")
    assert (status, "names no model" in err) == (2, True)


def test_a_plan_is_carried_out_as_it_stands(run: Run) -> None:
    """`--plan` beside `--method` or `--margin` would ignore one of them, so it is refused."""
    for option in ("--method=greedy", "--margin=0.1"):
        status, out, err = run("run", "problem.json", "--plan", "plan.json", option)
        assert (status, out) == (2, "")
        assert "--plan is carried out as it stands" in err


WRITERS = [
    ["plan", "problem.json", "-o"],
    ["plan", "problem.json", "--picture"],
    ["show", "problem.json", "--picture"],
    ["problem", "-p", "p.json", "--burst", "1", "--deadline-s", "1", "-o"],
    ["profile", "-o"],
    ["run", "problem.json", "--outputs"],
    ["run", "problem.json", "--trace"],
    ["run", "problem.json", "--picture"],
    ["simulate", "poisson", "--problem", "problem.json", "--rate", "1", "-o"],
    ["simulate", "poisson", "--problem", "problem.json", "--rate", "1", "--csv"],
    ["simulate", "poisson", "--problem", "problem.json", "--rate", "1", "--picture"],
]


@pytest.mark.parametrize("words", WRITERS, ids=lambda words: f"{words[0]} {words[-1]}")
def test_a_place_that_cannot_be_written_is_refused_before_any_work(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """A missing folder, a folder, a file as a folder: status 2, option and path named, and nothing
    loaded, measured or planned before."""

    def worked(*_: object, **__: object) -> None:
        raise AssertionError("it began to work")

    monkeypatch.setattr(trunkline, "load", worked)
    monkeypatch.setattr("trunkline.store.Store.open", worked)
    (folder / "taken.png").mkdir(exist_ok=True)
    for place in ("no/such/x.png", "taken.png", "p.json/x.png"):
        status, out, err = run(*words, place)
        assert (status, out) == (2, "")
        option = "--output" if words[-1] == "-o" else words[-1]
        assert f"{option} {place}: cannot be written" in err
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (["plan", "problem.json", "-o"], "problem.json"),
        (["plan", "./problem.json", "-o"], "store/../problem.json"),
        (["problem", "-p", "p.json", "--burst", "1", "--deadline-s", "1", "-o"], "p.json"),
        (["run", "problem.json", "--trace"], "problem.json"),
        (["simulate", "poisson", "--problem", "problem.json", "--rate=1", "-o"], "problem.json"),
        (["simulate", "p.json", "--problem", "problem.json", "--csv"], "p.json"),
        (["run", "problem.json", "--plan", "p.json", "--trace"], "p.json"),
        (["run", "problem.json", "--inputs", "p.json", "--outputs"], "p.json"),
    ],
)
def test_what_is_read_is_never_overwritten(
    run: Run, folder: Path, words: list[str], read: str
) -> None:
    """An output on top of an input is refused, and the input is as it was."""
    before = (folder / read).read_bytes()
    status, out, err = run(*words, read)
    assert (status, out) == (2, "")
    assert "is the file that is read" in err
    assert (folder / read).read_bytes() == before


def test_two_outputs_need_two_files(run: Run) -> None:
    """One would take the place of the other."""
    status, _, err = run("run", "problem.json", "--trace", "x.json", "--outputs", "./x.json")
    assert (status, "--outputs and --trace are the same file" in err) == (2, True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_the_report_comes_before_a_full_disk(run: Run, tmp_path: Path) -> None:
    """What was worked out is told, other files are written, and then the failure: status 2."""
    words = ("run", "problem.json", "--trace", "/dev/full", "--picture", tmp_path / "x.png")
    status, out, err = run(*words)
    assert status == 2
    assert "8 of 8 tasks served" in out
    assert "/dev/full: cannot be written: No space left" in err
    assert (tmp_path / "x.png").exists()


def test_models_that_are_left_out_are_told_of(run: Run, folder: Path) -> None:
    """Those that cannot be measured or planned are noted where none was named; standard output
    stays the document's."""
    status, out, err = run("problem", "-p", "p.json", "--burst", "1", "--deadline-s=1", "--json")
    assert status == 0
    assert len(json.loads(out)["models"]) == 2
    assert err.startswith("note: left out: model 'bare' was imported without an architecture")
    assert any("'bare'" in note for note in json.loads((folder / "p.json").read_text())["notes"])


def test_a_deadline_by_share(run: Run) -> None:
    """The deadline is this share of whole-model loading's time for everybody; one kind of deadline
    must be given, and not two."""
    words = ("problem", "-p", "p.json", "--burst", "4")
    status, out, _ = run(*words, "--deadline-share", "0.5", "--json")
    unhurried = trunkline.load({**json.loads(out), "deadline_s": 1e6})
    whole = trunkline.plan(unhurried, "independent").finish_s
    assert (status, json.loads(out)["deadline_s"]) == (0, pytest.approx(whole / 2))
    for given in ((), ("--deadline-s", "1", "--deadline-share", "1")):
        status, _, err = run(*words, *given)
        assert (status, "either --deadline-s" in err) == (2, True)


def test_the_models_of_a_store_are_simulated(run: Run) -> None:
    """With a profile, those that can run, or those named, at this machine's prices."""
    words = ("simulate", "poisson", "-p", "p.json", "--rate", "20", "--seconds", "1", "--json")
    status, out, err = run(*words)
    assert (status, err.startswith("note: left out: model 'bare'")) == (0, True)
    assert {row["received"] for row in json.loads(out)} == {json.loads(out)[0]["received"]}
    status, out, err = run(*words, "--models", "one", "--policy", "edf", "--cache", "warm")
    assert (status, err, len(json.loads(out))) == (0, "", 1)


def test_a_wrong_file_for_a_profile_is_told_from_a_profile(run: Run) -> None:
    """What was expected, where it comes from, and what was found."""
    words = ("problem", "-p", "problem.json", "--burst", "1", "--deadline-s", "1")
    status, _, err = run(*words)
    assert status == 2
    assert "expected 'trunkline/profile/1', as `trunkline profile -o` saves" in err
    assert "got 'trunkline/loading-problem/1'" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "problem.json", "--inputs", "."], "inputs .: a folder"),
        (["run", "problem.json", "--inputs", "gone"], "inputs gone: cannot be read: No such file"),
        (["show", "gone.json"], "gone.json: cannot be read: No such file"),
        (["show", "."], ".: cannot be read: Is a directory"),
        (
            ["problem", "-p", "p.json", "--tasks", ".", "--deadline-s", "1"],
            ".: cannot be read: Is a directory",
        ),
    ],
)
def test_what_cannot_be_read_is_named(run: Run, words: list[str], message: str) -> None:
    """The path, and why; no path inside a document that there is none of."""
    status, _, err = run(*words)
    assert (status, err.startswith(f"trunkline: {message}")) == (2, True)
    assert "$" not in err


@pytest.mark.parametrize(
    "words",
    [
        ["plan", "problem.json", "-m", "m" * 9000],
        ["show", "p" * 9000],
        ["run", "problem.json", "--inputs", "i" * 9000],
        ["profile", "--models", "n" * 9000],
        ["profile", "--batches", "9" * 9000],
        ["plan", "problem.json", "-o", "o" * 9000],
    ],
)
def test_errors_do_not_repeat_endless_names(run: Run, words: list[str]) -> None:
    """The line stays one that can be read."""
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert "..." in err
    assert len(err) < 800


LINES = [
    ["show"],
    ["show", "problem.json"],
    ["plan", "problem.json"],
    ["plan", "problem.json", "-m", "independent"],
    ["run", "problem.json"],
    ["run", "late.json"],
    ["profile", "--rounds", "3", "--limit-s", "0", "--no-cold", "--batches", "1,2,3,4,5,6,7,8"],
    ["problem", "-p", "p.json", "--burst", "3", "--deadline-share", "0.5", "-o", "new.json"],
    ["simulate", "bursts", "--problem", "problem.json", "--rate", "2000,9", "--seconds", "1"],
    ["--help"],
]


@pytest.mark.parametrize("columns", ["80", "200", None], ids=["narrow", "wide", "piped"])
@pytest.mark.parametrize("words", LINES, ids=" ".join)
def test_lines_fit(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], columns: str | None
) -> None:
    """In a terminal of 80 columns no line is longer, whatever the models' names; sentences never
    are, also where output goes to a file."""
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    document = json.loads((folder / "problem.json").read_text())
    for model in document["models"]:
        model["seconds_per_batch"] = model["seconds_per_task"] = 1e-9
    (folder / "late.json").write_text(json.dumps({**document, "deadline_s": 2e-4}))
    status, out, err = run(*words)
    assert (status, err.replace(LONG_NAME, "")[:10]) in ((0, ""), (0, "note: left"))
    lines = out.splitlines()
    assert lines
    if columns == "80":
        assert [line for line in lines if cell_len(line) > 80] == []
    elif "--help" not in words:
        sentences = [line for line in lines if "  " not in line.strip() and "─" not in line]
        assert [
            one for one in sentences if cell_len(one.rstrip()) > 80 and LONG_NAME not in one
        ] == []


SELF_INTERRUPTED = """
import os, signal, sys
from trunkline.cli import main
from trunkline.runtime import Runtime

Runtime.infer = lambda *_: os.kill(os.getpid(), signal.SIGINT)
main(sys.argv[1:])
"""
"""The command line in a process that gets a Ctrl-C at its first forward."""


@pytest.mark.parametrize(
    ("words", "kept"),
    [(["profile"], "nothing was saved"), (["run", "problem.json"], "nothing was written")],
    ids=["profile", "run"],
)
def test_an_interrupt_ends_a_command_with_a_word(folder: Path, words: list[str], kept: str) -> None:
    """Ctrl-C in the middle: status 130, a line that says what is kept, no traceback or output."""
    ended = subprocess.run(
        [sys.executable, "-c", SELF_INTERRUPTED, *words],
        cwd=folder,
        env={**os.environ, "TRUNKLINE_STORE": "store"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 130
    assert ended.stderr == f"\ntrunkline: interrupted: {kept}\n"
    assert ended.stdout == ""


@pytest.mark.parametrize("command", ["import", "verify", "gc", "show"])
def test_every_command_tells_of_an_interrupt(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str, tmp_path: Path
) -> None:
    """The same word from every command, with what it keeps where that is not plain."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("trunkline.store.Store.open", interrupted)
    weights = tmp_path / "w.safetensors"
    shutil.copy(next(Path("store/blobs/sha256").iterdir()), weights)
    words = ["show", "problem.json"] if command == "show" else [command]
    if command == "show":
        monkeypatch.setattr(trunkline, "load", interrupted)
    if command == "import":
        from safetensors.torch import save_file

        save_file({"w": torch.ones(1)}, weights)
        words.append(str(weights))
    status, out, err = run(*words)
    assert (status, out) == (130, "")
    assert err.startswith("\ntrunkline: interrupted")
    assert ("blocks that were written stay" in err) == (command == "import")
