"""`trunkline simulate`: it tells what the replays found, of drawn and of recorded traces."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import trunkline
from trunkline.cli import main
from trunkline.experiments.online import replay
from trunkline.experiments.simulation import WAYS, costs_of, units_of_patience
from trunkline.experiments.trace_document import save_trace
from trunkline.experiments.traces import draw_trace
from trunkline.loading.policies import policy

Run = Callable[..., tuple[int, str, str]]

PROBLEM = Path(__file__).parents[2] / "examples" / "problems" / "by-hand.json"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `trunkline simulate` on the example by hand, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str, problem: bool = True) -> tuple[int, str, str]:
        more = ("--problem", str(PROBLEM)) if problem else ()
        with pytest.raises(SystemExit) as ended:
            main(["simulate", *words, *more])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


def test_every_policy_is_replayed(run: Run) -> None:
    """The figures are those of the replays, and the bound is never below one of them."""
    words = ("bursts", "--rate", "300", "--seconds", "1", "--zipf", "0.9", "--seed", "4")
    status, out, err = run(*words, "--memory", "11MB", "--json")
    assert (status, err) == (0, "")
    rows = json.loads(out)
    assert [row["policy"] for row in rows] == list(WAYS)
    costs = costs_of(trunkline.load(PROBLEM), 11e6)
    trace = draw_trace(units_of_patience(costs), 300.0, 1.0, arrivals="bursts", zipf=0.9, seed=4)
    for row in rows[:-1]:
        found = replay(costs, trace, policy(row["policy"]))
        assert row["answered"] == found.served
        assert row["bytes_moved"] == found.bytes_moved
        assert row["wait_p99_s"] == pytest.approx(found.wait_s(0.99))
        assert row["received"] == len(trace) == row["answered"] + row["refused"] + row["late"]
        assert row["answered"] <= row["bound"] <= row["received"]
    assert [row["partial"] for row in rows] == [True] * 4 + [False]
    assert rows[-1]["bytes_moved"] > rows[0]["bytes_moved"]


def test_whole_models(run: Run) -> None:
    """`--whole-models` loads them whole under every policy: fcfs is then what lru is."""
    words = ("poisson", "--rate", "200", "--seconds", "1", "--policy", "fcfs,lru", "--no-bound")
    status, out, _ = run(*words, "--whole-models", "--json")
    one, other = json.loads(out)
    assert status == 0
    for name in ("answered", "bytes_moved", "partial", "bound"):
        assert one[name] == other[name]
    assert (one["partial"], one["bound"]) == (False, None)


def test_a_saved_trace_is_the_same_again(run: Run, tmp_path: Path) -> None:
    """What `--output` wrote gives the same figures, but for the time that decisions took."""
    words = ("poisson", "--rate", "100", "--seconds", "2", "--json", "-o", "t.json")
    _, drawn, _ = run(*words)
    _, again, _ = run("t.json", "--json", "--rate", "100")
    status, recorded, _ = run("t.json", "--json")
    assert status == 0

    def figures(text: str) -> list[dict]:
        hidden = ("decision_s", "requests_per_s")
        return [{k: v for k, v in row.items() if k not in hidden} for row in json.loads(text)]

    assert figures(recorded) == figures(drawn)
    assert figures(again) != figures(drawn)  # stretched to exactly that rate


@pytest.mark.parametrize("way", ["urgency", "edf"])
def test_a_recorded_trace_is_replayed_as_it_is(run: Run, tmp_path: Path, way: str) -> None:
    """A trace that `save_trace` wrote gives just the figures of `replay` on the same costs."""
    costs = costs_of(trunkline.load(PROBLEM), 11e6)
    trace = draw_trace(units_of_patience(costs), 1500.0, 0.5, zipf=0.9, seed=2)
    save_trace(tmp_path / "t.json", trace, [one.id for one in costs.models])
    words = ("t.json", "--memory", "11MB", "--policy", way, "--no-bound", "--json")
    status, out, _ = run(*words)
    (row,) = json.loads(out)
    found = replay(costs, trace, policy(way))
    assert status == 0
    assert (row["received"], row["answered"], row["refused"], row["late"]) == (
        found.received, found.served, found.refused, found.late
    )  # fmt: skip
    assert (row["batches"], row["bytes_moved"]) == (found.batches, found.bytes_moved)
    assert (row["wait_p50_s"], row["wait_p99_s"]) == (found.wait_s(0.5), found.wait_s(0.99))
    assert (row["loading_s"], row["computing_s"]) == (found.loading_s, found.computing_s)
    assert 0 < found.refused < found.received


def test_rates_tables_and_pictures(run: Run, tmp_path: Path) -> None:
    """Several rates give a table each, a row each in the file, and a picture."""
    words = ("poisson", "--rate", "50,400", "--seconds", "1", "--policy", "urgency,edf")
    status, out, _ = run(*words, "--csv", "t.csv", "--picture", "t.png")
    assert status == 0
    assert "50 a second" in out
    assert "400 a second" in out
    assert "no policy answers more than" in out
    with (tmp_path / "t.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["policy"], float(row["requests_per_s"])) for row in rows] == [
        ("urgency", 50.0), ("edf", 50.0), ("urgency", 400.0), ("edf", 400.0)
    ]  # fmt: skip
    assert (tmp_path / "t.png").stat().st_size > 1000


def test_a_public_trace(run: Run, tmp_path: Path) -> None:
    """Functions stand for models; those that no model is left for are told of."""
    lines = [f"x,f{n},{n + k}.5,0.25" for n in range(4) for k in range(4 - n)]
    (tmp_path / "a.txt").write_text("\n".join(["app,func,end_timestamp,duration", *lines]))
    status, out, err = run("a.txt", "--json", "--policy", "edf")
    assert status == 0
    assert json.loads(out)[0]["received"] == 4 + 3 + 2
    assert err == (
        "note: left out: 1 request for functions less popular than the first 3, one for each "
        "model\n"
    )


def test_models_that_do_not_fit_are_told_of(run: Run) -> None:
    """Requests for them are refused; where none fits, the command is."""
    words = ("poisson", "--rate", "50", "--seconds", "1")
    status, _, err = run(*words, "--memory", "3MB")
    assert (status, "2 models, such as 'cats', larger than the memory" in err) == (0, True)
    status, _, err = run(*words, "--memory", "1MB")
    assert (status, "no model fits into the memory of 1.00 MB" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("poisson",), "a drawn trace needs --rate"),
        (("gone.csv", "--rate", "0"), "--rate 0: a recorded trace"),
        (("gone.json",), "gone.json: cannot be read"),
        (("poisson", "--rate", "x"), "--rate 'x'"),
        (("poisson", "--rate", "1,,2"), "--rate '1,,2'"),
        (("poisson", "--rate", "1e6", "--seconds", "1e6"), "too many to simulate"),
        (("poisson", "--rate", ",".join("1" * 101)), "101 rates; at most 100"),
        (("poisson", "--rate", "1", "--waits", "4,3"), "--waits '4,3': two numbers"),
        (("poisson", "--rate", "1", "--waits", "4"), "--waits '4': two numbers"),
        (("poisson", "--rate", "1", "--policy", "best"), "no policy 'best'"),
        (("poisson", "--rate", "1", "--policy", ","), "names none"),
        (("poisson", "--rate", "1,2", "-o", "t.json"), "--output writes one trace"),
        (("poisson", "--rate", "1", "-p", "p.json"), "either --problem FILE or --profile"),
        (("poisson", "--rate", "1", "--models", "cats"), "--models goes with --profile"),
    ],
)
def test_what_cannot_be_simulated(run: Run, words: tuple[str, ...], message: str) -> None:
    """Status 2, the option and its value named, nothing on standard output."""
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert message in err


def test_costs_are_needed(run: Run) -> None:
    """Without a problem or a profile nobody knows what anything costs."""
    status, _, err = run("poisson", "--rate", "1", problem=False)
    assert (status, "either --problem FILE or --profile FILE" in err) == (2, True)


def test_a_recorded_trace_of_our_own(run: Run, tmp_path: Path) -> None:
    """Two requests by hand: cats loads 9 MB in 9 ms and computes for 2 ms, so one due after 12 ms
    is answered and one due after 10 ms is refused; `--seconds` takes the first only."""
    table = "arrival_s,model,deadline_s\n0,cats,0.012\n5,dogs,5.0015\n"
    (tmp_path / "t.csv").write_text(table)
    _, out, _ = run("t.csv", "--policy", "edf", "--json")
    row = json.loads(out)[0]
    assert (row["answered"], row["refused"], row["bound"]) == (1, 1, 1)
    assert row["wait_p50_s"] == pytest.approx(0.011)
    _, out, _ = run("t.csv", "--policy", "edf", "--json", "--seconds", "1")
    assert json.loads(out)[0]["received"] == 1
    (tmp_path / "t.csv").write_text("arrival_s,model,deadline_s\n0,cats,1\n0,dogs,1\n")
    status, _, err = run("t.csv", "--rate", "5")
    assert (status, "t.csv come all at once" in err) == (2, True)
