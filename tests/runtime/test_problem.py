"""From store, profile and tasks to a loading problem."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import trunkline
from tests.runtime.test_profile import model, profile
from trunkline.errors import InputError, ProfileError
from trunkline.loading import Task
from trunkline.loading.document import problem_to_document
from trunkline.runtime.problem import (
    build_problem,
    read_tasks,
    upload_bits,
    with_deadline_share,
)
from trunkline.store import InputSpec, StoredModel

MODELS = {"m": model()}


def read(tmp_path: Path, text: str, suffix: str = "csv") -> Any:
    """The tasks that a file with this text states."""
    path = tmp_path / f"tasks.{suffix}"
    path.write_text(text)
    return read_tasks(path, MODELS)


def test_a_problem_has_the_profiles_numbers() -> None:
    """Blocks by digest with payload bytes, V from the fit, costs and b_max from the profile."""
    tasks = [Task("t", "m", 96.0, 2.0)]
    made = build_problem(
        [model()], profile(), tasks, deadline_s=1.0, bandwidth_hz=1e6, cache="cold"
    )
    document = problem_to_document(made)
    assert document["loading"] == [{"overhead_s": 0.005, "bytes_per_s": 5e8}]
    assert document["blocks"] == {"sha256:" + "1" * 64: 400.0}
    (one,) = document["models"]
    assert (one["seconds_per_batch"], one["seconds_per_task"], one["max_batch"]) == (2e-3, 1e-3, 15)
    assert problem_to_document(trunkline.load(document)) == document


def test_unknown_models_and_unprofiled_ones_are_refused() -> None:
    """A task for a model that is not there, and a model that was not measured."""
    with pytest.raises(InputError, match="'t' asks for model 'x'"):
        build_problem([model()], profile(), [Task("t", "x")], deadline_s=1, bandwidth_hz=1)
    with pytest.raises(ProfileError, match="'n'"):
        build_problem([model("n", shape=(7,))], profile(), [], deadline_s=1, bandwidth_hz=1)


def test_the_default_upload_is_the_raw_input() -> None:
    """Three float32 are 96 bits; a model without an input has no such size."""
    assert upload_bits(model()) == 96.0
    bare = StoredModel("m", (), None, None, 0)
    with pytest.raises(InputError, match=r"'m'.*--input"):
        upload_bits(bare)
    bytes_ = StoredModel("m", (), None, InputSpec((5, 2), "uint8"), 0)
    assert upload_bits(bytes_) == 80.0


def test_tasks_from_csv_and_json_are_the_same(tmp_path: Path) -> None:
    """Defaults and units: input_bytes are 8 bits each, 10 dB is a power ratio of 10."""
    csv = (
        "id,model,upload_bits,input_bytes,bits_per_s_per_hz,snr_db,arrival_s,deadline_s\n"
        "a,m,10,,2.5,,,\nb,m,,3,,10,0.5,1.5\nc,m,0,,,,,\nd,m,,,1,,,\n"
    )
    rows = [
        {"id": "a", "model": "m", "upload_bits": 10, "bits_per_s_per_hz": 2.5},
        {"id": "b", "model": "m", "input_bytes": 3, "snr_db": 10, "arrival_s": 0.5}
        | {"deadline_s": 1.5},
        {"id": "c", "model": "m", "upload_bits": 0},
        {"id": "d", "model": "m", "bits_per_s_per_hz": 1},
    ]
    tasks = read(tmp_path, csv)
    assert tasks == read(tmp_path, json.dumps(rows), "json")
    assert tasks[0] == Task("a", "m", 10.0, 2.5)
    # log2(1 + 10) = 3.459
    assert tasks[1].bits_per_s_per_hz == pytest.approx(3.4594316)
    assert (tasks[1].upload_bits, tasks[1].arrival_s, tasks[1].deadline_s) == (24.0, 0.5, 1.5)
    assert (tasks[2].upload_bits, tasks[2].bits_per_s_per_hz) == (0.0, 0.0)
    assert tasks[3].upload_bits == 96.0


@pytest.mark.parametrize(
    ("text", "suffix", "message"),
    [
        ("id,model\n,m\n", "csv", "line 2: 'id' is missing"),
        ("id,model\na,x\n", "csv", "line 2: no model 'x'"),
        ("id,model,colour\na,m,red\n", "csv", "line 1: no column 'colour'; there are id, model"),
        ('[{"id": "a", "model": "m", "colour": 1}]', "json", "no field 'colour'"),
        ("id;model;snr_db\na;m;1\n", "csv", "columns are separated by commas"),
        ("id\tmodel\na\tm\n", "csv", "columns are separated by commas"),
        ("id,snr_db\na,1\n", "csv", "line 1: the header has no column 'model'"),
        ("a,m,1\nb,m,1\n", "csv", "line 1: no column 'a'"),
        ("id,model,id\na,m,b\n", "csv", "line 1: the column 'id' stands twice"),
        ("id,model\n", "csv", "has no tasks"),
        ("", "csv", "has no header; the columns are id, model"),
        ("\n\n", "txt", "has no header"),
        ("id,model\n", "txt", "has no tasks"),
        ("[]", "json", "has no tasks"),
        ("id,model,snr_db\n" + "a" * 2000 + ",m,1\n", "csv", "an id of 2000 characters"),
        (
            "id,model,snr_db\na,m" + "n" * 2000 + ",1\n",
            "csv",
            r"no model 'mn+\.\.\.n+'; there are m$",
        ),
        ("id,model,upload_bits\na,m,1e300\n", "csv", "at most 1e[+]18"),
        ("id,model,input_bytes\na,m,1e18\n", "csv", "at most 1.25e[+]17"),
        ("id,model\na,m,1\n", "csv", "more values than the header"),
        ("id,model\na,m\n", "csv", "needs 'bits_per_s_per_hz' or 'snr_db'"),
        ("id,model,snr_db\na,m,nan\n", "csv", "'snr_db' must be a number"),
        ("id,model,snr_db\na,m,5000\n", "csv", "at least -1000 and at most 1000"),
        ("id,model,upload_bits\na,m,-1\n", "csv", "'upload_bits' must be a number of at least 0"),
        ("id,model,snr_db\na,m,1\na,m,1\n", "csv", "the id 'a' stands twice"),
        ("id,model,snr_db,bits_per_s_per_hz\na,m,1,1\n", "csv", "not both"),
        ("{}", "json", "expected a list"),
        ("[1]", "json", "expected a list of objects"),
        ("[", "json", "cannot be read"),
        ('[{"id": 3, "model": "m"}]', "json", r"\$\[0\]: 'id' is missing or no text"),
        ('[{"id": "a", "model": "m", "snr_db": true}]', "json", "'snr_db' must be a number"),
    ],
)
def test_task_files_that_cannot_be_used(
    tmp_path: Path, text: str, suffix: str, message: str
) -> None:
    """Each fault is an InputError that names the file and the row."""
    with pytest.raises(InputError, match=f"tasks.{suffix}: .*{message}"):
        read(tmp_path, text, suffix)


def test_a_task_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file is an InputError."""
    with pytest.raises(InputError, match=r"none.csv: cannot be read: No such file or directory$"):
        read_tasks(tmp_path / "none.csv", MODELS)
    with pytest.raises(InputError, match=r"cannot be read: Is a directory$"):
        read_tasks(tmp_path, MODELS)


def test_spaces_and_blank_lines_of_a_csv_mean_nothing(tmp_path: Path) -> None:
    """As spreadsheets and hands write them, with a byte order mark."""
    plain = read(tmp_path, "id,model,snr_db\na,m,10\nb,m,20\n")
    assert read(tmp_path, "\ufeffid, model ,snr_db\n\na, m , 10\nb,m,20\n\n") == plain


def test_a_deadline_as_a_share_of_whole_model_loadings_time() -> None:
    """Two models of 400 bytes at 1 GB/s + 1 ms, one task each, 2 ms a batch + 1 ms a task: whole
    loading needs 2 x (1.0004 + 3) ms, half of it is the deadline, and twice it serves everybody."""
    block = {"1" * 64: model(), "2" * 64: model("n")}
    models = [
        replace(one, blocks=(replace(one.blocks[0], digest=f"sha256:{digest}"),))
        for digest, one in block.items()
    ]
    tasks = [Task("t", "m"), Task("u", "n")]
    made = build_problem(models, profile(), tasks, deadline_s=0.0, bandwidth_hz=1e6)
    half, everybody_s = with_deadline_share(made, 0.5)
    assert everybody_s == pytest.approx(2 * (0.001 + 4e-7 + 0.003))
    assert half.deadline_s == pytest.approx(everybody_s / 2)
    assert trunkline.plan(half).served == 1
    assert trunkline.plan(with_deadline_share(made, 1.0)[0], "independent").served == 2
    nobody = replace(made, tasks=(Task("t", "m", 1.0, 0.0),))
    with pytest.raises(InputError, match="no task can be served"):
        with_deadline_share(nobody, 0.5)
