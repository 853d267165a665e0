"""Traces from files: what they say is what is replayed, and what is wrong is named."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.documents import Raw, read
from trunkline.errors import InputError, TrunklineError
from trunkline.experiments.trace_document import (
    TRACE_FORMAT,
    save_trace,
    trace_from_document,
    trace_to_document,
)
from trunkline.experiments.trace_files import Filling, read_trace
from trunkline.experiments.traces import Arrival, at_rate

MODELS = ["a", "b", "c"]
UNITS = [1.0, 2.0, 3.0]

MINUTES = ",".join(str(minute) for minute in range(1, 5))
FUNCTIONS_2019 = f"""HashOwner,HashApp,HashFunction,Trigger,{MINUTES}
o,app,rare,http,0,0,1,0
o,app,often,timer,3,0,2,4
o,app,some,queue,0,5,0,0
o,other,never,http,0,0,0,0
o,other,twice,http,2,0,0,0
"""
FUNCTIONS_2021 = """app,func,end_timestamp,duration
x,f,10.5,0.5
x,g,11.0,3.0
x,f,12.0,0.25
"""
MOMENTS = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:05.9799600,3180,8
2023-11-16 18:18:03.9799600,110,27
"""


def written(folder: Path, text: str, name: str = "trace.csv") -> Path:
    """A file with this text."""
    path = folder / name
    path.write_text(text)
    return path


def replayed(path: Path, filling: Filling | None = None, seconds: float = math.inf) -> tuple:
    """The trace of a file, and how many requests are left out."""
    return read_trace(path, MODELS, UNITS, filling or Filling(), seconds)


# ---- documents ----


@given(
    st.lists(
        st.tuples(st.floats(0, 1e6), st.integers(0, 2), st.floats(0, 1e3), st.integers(1, 9)),
        max_size=8,
    )
)
def test_a_document_keeps_a_trace(rows: list[tuple[float, int, float, int]]) -> None:
    """Written and read again, it is the same to the last bit, by arrival."""
    trace = [Arrival(at, model, at + wait, tasks) for at, model, wait, tasks in rows]
    text = json.dumps(trace_to_document(trace, MODELS))
    found = trace_from_document(Raw(json.loads(text)), MODELS)
    assert list(found) == sorted(trace, key=lambda one: one.arrival_s)


def test_a_document_from_a_file(tmp_path: Path) -> None:
    """What a server saved is replayed as it came, under whatever order of models, and cut."""
    trace = (Arrival(0.5, 2, 3.0), Arrival(2.0, 0, 9.0, 4))
    save_trace(tmp_path / "t.json", trace, MODELS)
    assert replayed(tmp_path / "t.json") == (trace, 0)
    assert replayed(tmp_path / "t.json", seconds=2.0) == (trace[:1], 0)
    turned = read_trace(tmp_path / "t.json", ["c", "a"], UNITS, Filling())[0]
    assert [one.model for one in turned] == [0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "trunkline/trace/2"}, r"\$.format: expected 'trunkline/trace/1'"),
        ({"requests": [{"arrival_s": 1, "model": "a"}]}, r"\$.requests\[0\].*deadline_s"),
        ({"requests": [{"arrival_s": -1, "model": "a", "deadline_s": 1}]}, r"\[0\].arrival_s"),
        ({"requests": [{"arrival_s": 1, "model": "z", "deadline_s": 1}]}, "no model 'z'"),
        ({"requests": [{"arrival_s": 1, "model": "a", "deadline_s": 0.5}]}, "before the arrival"),
        (
            {"requests": [{"arrival_s": 1, "model": "a", "deadline_s": 2, "tasks": 0}]},
            r"\$.requests\[0\].tasks",
        ),
        ({"more": 1}, "more"),
    ],
)
def test_a_wrong_document_is_refused(change: dict, message: str) -> None:
    """Unknown or missing fields, other formats, models that are not there: the path is named."""
    document = {"format": TRACE_FORMAT, "requests": [], **change}
    with pytest.raises(TrunklineError, match=message):
        trace_from_document(read(document), MODELS)


# ---- tables ----


def test_a_table_of_our_own(tmp_path: Path) -> None:
    """Deadlines that stand there are kept; one that does not is drawn, 2 units of the model."""
    text = "model,arrival_s,deadline_s,tasks\nb,1.5,4,\na,0.5,,3\n"
    found, left_out = replayed(written(tmp_path, text), Filling(waits=(2.0, 2.0)))
    assert left_out == 0
    assert found == (Arrival(0.5, 0, 2.5, 3), Arrival(1.5, 1, 4.0))


def test_invocations_a_minute(tmp_path: Path) -> None:
    """As many as counted, within their minutes; the three functions asked most have a model each
    (9, 5 and 2 invocations), and the others are left out (1)."""
    path = written(tmp_path, FUNCTIONS_2019)
    found, left_out = replayed(path, Filling(seed=3))
    assert left_out == 1
    assert sorted(Counter(one.model for one in found).values()) == [2, 5, 9]
    assert Counter(one.arrival_s // 60 for one in found) == {0: 5, 1: 5, 2: 2, 3: 4}
    assert [one.arrival_s for one in found] == sorted(one.arrival_s for one in found)
    assert len(replayed(path, Filling(seed=3), seconds=120.0)[0]) == 10


def test_functions_by_their_ends(tmp_path: Path) -> None:
    """Arrivals are ends less durations: 10, 8 and 11.75; the clock starts with the first."""
    found, left_out = replayed(written(tmp_path, FUNCTIONS_2021))
    assert left_out == 0
    assert [one.arrival_s for one in found] == [0.0, 2.0, 3.75]
    assert found[1].model == found[2].model != found[0].model


def test_requests_that_name_nobody(tmp_path: Path) -> None:
    """They come when they came and ask by Zipf's law: with a steep one, all the same model."""
    found, left_out = replayed(written(tmp_path, MOMENTS), Filling(zipf=50.0))
    assert left_out == 0
    assert [one.arrival_s for one in found] == pytest.approx([0.0, 2.0, 60.0])
    assert len({one.model for one in found}) == 1
    assert len(replayed(written(tmp_path, MOMENTS), seconds=10.0)[0]) == 2


@pytest.mark.parametrize("text", [FUNCTIONS_2019, FUNCTIONS_2021, MOMENTS])
def test_what_is_drawn_is_named_by_the_seed(tmp_path: Path, text: str) -> None:
    """The same seed, the same trace; another one, another; waits are 3 to 10 units."""
    path = written(tmp_path, text)
    one, again, other = (replayed(path, Filling(seed=seed))[0] for seed in (1, 1, 2))
    assert one == again != other
    for arrival in one:
        units = (arrival.deadline_s - arrival.arrival_s) / UNITS[arrival.model]
        assert 3 - 1e-9 <= units <= 10 + 1e-9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no header of a trace"),
        ("time,who\n1,a\n", "line 1: no header of a trace.*got 'time,who'"),
        ("arrival_s,model\n", "has no requests"),
        ("arrival_s,model,model\n1,a,a\n", "line 1: the column 'model' stands twice"),
        ("arrival_s,model\n1,a\n2\n", "line 3: 1 values for 2 columns"),
        ("arrival_s,model\n1,a\nx,a\n", "line 3, column 'arrival_s': a number.*got 'x'"),
        ("arrival_s,model\nnan,a\n", "line 2, column 'arrival_s'.*got 'nan'"),
        ("arrival_s,model\n1e999,a\n", "line 2, column 'arrival_s'"),
        ("arrival_s,model\n1,\n", "line 2, column 'model': is empty"),
        ("arrival_s,model\n1,z\n", "no model 'z'"),
        ("arrival_s,model,deadline_s\n5,a,4\n", "line 2, column 'deadline_s': before"),
        ("arrival_s,model,tasks\n5,a,1.5\n", "line 2, column 'tasks': a whole number"),
        (FUNCTIONS_2019.replace("0,5", "0,-5"), "line 4, column '2': a number"),
        (FUNCTIONS_2019.replace("0,5", "0,5e8"), "line 4: more than 2,000,000 requests"),
        (FUNCTIONS_2021.replace("3.0", "three"), "line 3, column 'duration'"),
        (MOMENTS.replace("2023-11-16 18:18", "yesterday 18:18"), "line 4, column 'TIMESTAMP'"),
        ('arrival_s,model\n1,"a\n', "cannot be read"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    """The file, the line and the column."""
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=message) as caught:
        replayed(path)
    assert str(caught.value).startswith(str(path))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a folder and bytes that are no text are named."""
    (tmp_path / "bytes.csv").write_bytes(b"arrival_s,model\n\xff\xfe,a\n")
    for name in ("gone.csv", ".", "bytes.csv"):
        with pytest.raises(InputError, match="cannot be read"):
            replayed(tmp_path / name)


def test_another_rate_keeps_waits() -> None:
    """Three requests in 4 s are half a second's worth a request; at 2 a second they take 1 s, and
    each waits as long as before; a single moment has no rate."""
    trace = [Arrival(10.0, 0, 11.0), Arrival(11.0, 1, 16.0), Arrival(14.0, 0, 14.5)]
    assert at_rate(trace, 2.0) == (
        Arrival(0.0, 0, 1.0), Arrival(0.25, 1, 5.25), Arrival(1.0, 0, 1.5)
    )  # fmt: skip
    assert at_rate(trace[:1], 2.0) == tuple(trace[:1])
