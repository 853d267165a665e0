"""`trunkline import`, `list`, `verify`, `remove`, `gc` on the command line."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import Run, runner
from trunkline.store import Store


def weights(path: Path, **layers: int) -> Path:
    """A safetensors file: layer -> the byte that fills its 100 bytes."""
    header, data = {}, b""
    for layer, value in layers.items():
        offsets = [len(data), len(data) + 100]
        header[f"{layer}.w"] = {"dtype": "U8", "shape": [100], "data_offsets": offsets}
        data += bytes([value]) * 100
    raw = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + data)
    return path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command against a store of its own: exit status, output, errors."""
    monkeypatch.setenv("TRUNKLINE_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return runner(capsys)


def test_import_reports_what_came_in_what_was_new_and_who_shares(run: Run, tmp_path: Path) -> None:
    """The report for people and that for machines say the same."""
    first = run("import", weights(tmp_path / "first.safetensors", a=1, b=2))
    assert first[0] == 0
    assert "first: imported 200 B in 2 blocks; new: 200 B in 2 blocks" in first[1]
    status, out, err = run("import", weights(tmp_path / "x", a=1, b=3), "--name", "y", "--json")
    assert (status, err) == (0, "")
    report = json.loads(out)
    assert (report["bytes_in"], report["bytes_new"]) == (200, 100)
    assert report["shared"] == {"first": 100}
    again = run("import", tmp_path / "x", "--name", "y")
    assert "holds this very model already" in again[1]
    assert "shares 100 B (50%) with first" in again[1]


def test_an_adapter_brings_its_base_or_finds_it(run: Run, tmp_path: Path) -> None:
    """A base's folder is imported under its own name, a base in the store is shared; either way
    only the adapter is new. What cannot be meant ends with status 2 and adds nothing."""
    from tests.store.lora_folders import save_adapter, save_bert

    base = save_bert(tmp_path / "bert")
    for i, name in enumerate(("one", "two")):
        save_adapter(tmp_path / name, base, seed=i)
    own = 2 * 2 * 2 * 4 * 16 * 4  # 2 layers x 2 targets x 2 matrices of 4 x 16 F32
    assert run("import", "two", "--base", "nothing")[0] == 2
    assert "no PEFT adapter" in run("import", "bert", "--base", "bert")[2]
    assert "do not go with it" in run("import", "two", "--base", "bert", "--factory", "a:b")[2]
    assert "name its base, --base" in run("import", "two")[2]
    assert json.loads(run("list", "--json")[1])["models"] == []
    status, out, _ = run("import", "one", "--base", base, "--input", "8:int64:60", "--json")
    report = json.loads(out)
    assert (status, report["bytes_new"], report["base"]["name"]) == (0, own, "bert")
    assert report["notes"] == []
    assert report["shared"] == {"bert": report["base"]["bytes_new"]}
    status, out, _ = run("import", "two", "--base", "bert", "--json")
    assert "base" not in json.loads(out)
    assert (status, json.loads(out)["bytes_new"]) == (0, own)
    assert "rank 4" in run("list")[1]


def test_list_says_size_own_bytes_and_architecture(run: Run, tmp_path: Path) -> None:
    """Own bytes are those that no other model has."""
    run("import", weights(tmp_path / "m1.safetensors", a=1, b=2))
    run("import", weights(tmp_path / "m2.safetensors", a=1, b=3, c=4))
    status, out, _ = run("list", "--json")
    found = json.loads(out)
    assert status == 0
    assert [(m["name"], m["bytes"], m["own_bytes"], m["blocks"]) for m in found["models"]] == [
        ("m1", 200, 100, 2),
        ("m2", 300, 200, 3),
    ]
    assert found["distinct_bytes"] == 400
    status, out, _ = run("list")
    assert "2 models, 500 B one by one, 400 B of distinct blocks" in out


def test_verify_ends_with_1_where_something_is_wrong(run: Run, tmp_path: Path) -> None:
    """Status 0 for a good store; 1, the digest and the models for a bad blob."""
    run("import", weights(tmp_path / "m1.safetensors", a=1))
    run("import", weights(tmp_path / "m2.safetensors", a=1, b=2))
    assert run("verify")[0] == 0
    store = Store.open(tmp_path / "store")
    shared = store.model("m1").blocks[0].digest
    store.blob_path(shared).write_bytes(b"")
    status, out, _ = run("verify")
    assert status == 1
    assert shared in out
    assert "needed by m1, m2" in " ".join(out.split())
    status, out, _ = run("verify", "m2", "--json")
    assert status == 1
    (problem,) = json.loads(out)["problems"]
    assert (problem["place"], problem["models"]) == (shared, ["m2"])


def test_remove_and_gc_free_what_is_not_shared(run: Run, tmp_path: Path) -> None:
    """Removing all or none of the models named; gc frees the rest."""
    run("import", weights(tmp_path / "m1.safetensors", a=1))
    run("import", weights(tmp_path / "m2.safetensors", a=1, b=2))
    status, _, err = run("remove", "m2", "m3")
    assert (status, "no model 'm3'" in err) == (2, True)
    assert Store.open(tmp_path / "store").names() == ["m1", "m2"]
    assert run("remove", "m2")[0] == 0
    status, out, _ = run("gc", "--json")
    # One block, and m2's manifest, config and index file; the empty trunkline.json is m1's, too.
    assert (status, json.loads(out)["blobs"]) == (0, 4)
    assert run("verify")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["import", "nowhere"], "no file or folder nowhere"),
        (["import", "w.bin"], "is a pickle"),
        (["import", "w.safetensors", "--name", "a/b"], "try 'a-b'"),
        (["import", "w.safetensors", "--kwargs", "{}"], "--factory"),
        (["import", "w.safetensors", "--factory", "f"], "package.module:callable"),
        (["import", "w.safetensors", "--factory", "f:g", "--kwargs", "{"], "no JSON"),
        (["import", "w.safetensors", "--factory", "f:g", "--kwargs", "[]"], "no JSON object"),
        (["import", "w.safetensors", "--factory", "no_such:g"], "cannot be imported"),
        (["import", "w.safetensors", "--input", "3,x"], "3,32,32:float32"),
        (["list"], "no store at"),
        (["verify"], "no store at"),
        (["gc"], "no store at"),
        (["remove", "a"], "no store at"),
    ],
)
def test_unusable_input_is_one_line_and_status_2(
    run: Run, tmp_path: Path, arguments: list[str], says: str
) -> None:
    """Every unusable input: one line that says why, nothing on standard output, status 2."""
    weights(tmp_path / "w.safetensors", a=1)
    (tmp_path / "w.bin").write_bytes(b"PK\x03\x04")
    status, out, err = run(*arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert says in err
    assert not (tmp_path / "store").exists()


def test_a_factory_in_the_current_directory(run: Run, tmp_path: Path) -> None:
    """A factory that lies beside the user is found, its arguments and the input are kept."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    name = f"mine_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(
        "from torch import nn\ndef net(width):\n    return nn.Linear(width, 2)\n"
    )
    save_file({"weight": torch.ones(2, 3), "bias": torch.ones(2)}, tmp_path / "w.safetensors")
    arguments = ("--factory", f"{name}:net", "--input", "3:float32", "--name", "m")
    status, _, err = run("import", "w.safetensors", *arguments, "--kwargs", '{"width": 4}')
    assert status == 2
    assert "'weight' has the shape [2, 3]" in err
    assert "needs [2, 4]" in err
    assert run("import", "w.safetensors", *arguments, "--kwargs", '{"width": 3}')[0] == 0
    (model,) = json.loads(run("list", "--json")[1])["models"]
    assert model["architecture"] == f"{name}:net(width=3)"
    assert model["input"] == {"shape": [3], "dtype": "float32"}


def test_a_progress_bar_is_drawn_on_a_terminal_after_a_second(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No terminal or no time: no bar; else a bar on standard error only."""
    from trunkline.cli import progress

    def drawn(terminal: bool, patience_s: float) -> Any:
        monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
        monkeypatch.setattr(progress, "_PATIENCE_S", patience_s)
        with progress.progress_bar("work") as tell:
            tell(1, 2)
            tell(2, 2)
        return capsys.readouterr()

    assert drawn(False, -1.0) == ("", "")
    assert drawn(True, 60.0) == ("", "")
    out, err = drawn(True, -1.0)
    assert out == ""
    assert "work" in err


def test_damage_is_told_and_mended_on_the_command_line(run: Run, tmp_path: Path) -> None:
    """A damaged block hides no other model; verify names the next command, and following it
    brings every model back."""
    for name, layers in {"m1": {"a": 1}, "m2": {"a": 1, "b": 2}, "m3": {"c": 3}}.items():
        run("import", weights(tmp_path / f"{name}.safetensors", **layers))
    store = Store.open(tmp_path / "store")
    for block in store.model("m2").blocks:  # one of them is m1's, too
        content = store.blob_path(block.digest).read_bytes()
        store.blob_path(block.digest).write_bytes(content[:-1] + b"x")
    status, out, _ = run("verify")
    assert (status, "trunkline verify --quarantine" in out) == (1, True)
    assert run("verify", "--quarantine")[0] == 1
    status, out, _ = run("list")
    assert status == 0
    assert "m3" in out
    assert "damaged and left out: m1, m2 (`trunkline verify`" in out
    assert json.loads(run("list", "--json")[1])["damaged"].keys() == {"m1", "m2"}
    status, out, _ = run("show")
    assert (status, "1 model, 100 B" in out, "left out: m1, m2" in out) == (0, True, True)
    status, out, _ = run("verify")
    again = " ".join(out.split()).partition("or pull again: ")[2].partition(";")[0]
    assert again == "m2"  # it holds all that is broken
    assert run("import", f"{again}.safetensors")[0] == 0
    assert run("verify")[0] == 0
    assert "damaged" not in run("list")[1]


def test_nothing_is_wider_than_the_terminal(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On 80 columns no line of import, list, show or verify is longer, with long names and 16
    models too, and no number is cut."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUNKLINE_STORE", "s")
    said = []
    for i in range(16):
        path = weights(tmp_path / f"{'long-name-' * 5}{i}.safetensors", a=1, b=i)
        said.append(run("import", path)[1])
        if i == 3:
            said += [run("list")[1], run("show")[1]]
    said += [run("list")[1], run("show")[1]]
    for block in Store.open("s").library().blocks:
        Store.open("s").blob_path(block).write_bytes(b"")
        break
    said += [run("verify")[1], run("list")[1]]
    assert max(len(line) for text in said for line in text.splitlines()) <= 80
    assert not any("…" in text for text in said)


def test_one_thing_is_one(run: Run, tmp_path: Path) -> None:
    """A single model, block or blob is not called by the plural."""
    path = weights(tmp_path / "m.safetensors", a=1)
    said = [run("import", path)[1], run("list")[1], run("show")[1], run("verify")[1]]
    said += [run("remove", "m")[1], run("gc")[1]]
    found = re.findall(r"\b1 (\w+)", " ".join(said))
    assert {"block", "model", "component"} <= set(found)
    assert not [word for word in found if word.endswith("s")]


def test_names_from_a_hostile_index_are_written_out(run: Run, tmp_path: Path) -> None:
    """A name with an escape sequence reaches no terminal as such."""
    run("import", weights(tmp_path / "m.safetensors", a=1))
    path = tmp_path / "store" / "index.json"
    index = json.loads(path.read_text())
    name = "\x1b[2Jm\r\x07"
    index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] = name
    index["manifests"].append({"annotations": {"org.opencontainers.image.ref.name": name + "2"}})
    path.write_text(json.dumps(index))
    for command in (("list",), ("show",), ("verify",), ("remove", name)):
        _, out, err = run(*command)
        assert not {"\x1b", "\r", "\x07"} & set(out + err), command
