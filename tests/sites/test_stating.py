"""Scenarios of real models: from registries to a plan that a site carries out."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import trunkline
from tests.server.distribution.store_servers import layered, make_store, serving
from trunkline.documents import read
from trunkline.errors import DocumentError
from trunkline.pulling.scenario_document import scenario_from_document
from trunkline.sites import stating
from trunkline.store import Store


def template(*models: str, **more: Any) -> dict[str, Any]:
    """Sites c1 and c3 near each other, the data centre far; one request at c3 for each model."""
    return {
        "format": "trunkline/pulling-scenario/1",
        "data_centre": {"id": "dc", "flop_per_s": 1e9},
        "sites": [
            {"id": name, "storage_bytes": 1e9, "flop_per_s": 1e9, "capacity_flop_per_s": 1e9}
            for name in ("c1", "c3")
        ],
        "links": [
            {"ends": ["c1", "c3"], "latency_s": 0.001, "bytes_per_s": 1e6},
            {"ends": ["c3", "dc"], "latency_s": 5.0, "bytes_per_s": 1e6},
        ],
        "models": [{"id": one, "flop_per_unit": 1, "accuracy": {one: 0.9}} for one in models],
        "requests": [
            {"id": f"r-{one}", "home": "c3", "type": one, "units": 1, "input_bytes": 1e6}
            for one in models
        ],
        **more,
    }


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two models of three layers, of which they share two."""
    return make_store(tmp_path / "far", {"a": layered(1, 2, 3), "b": layered(1, 2, 4)})


def test_from_a_store(store: Store) -> None:
    """A model's blocks are its blobs' digests and sizes; shared blocks stand once; a model or block
    that the template gives stays as it is."""
    given = template("a", "b")
    given["models"].append({"id": "x", "blocks": ["own"], "flop_per_unit": 1, "accuracy": 1})
    given["blocks"] = {"own": 7}
    a, b = store.model("a").blocks, store.model("b").blocks
    held = {"c1": {a[0].digest, "sha256:" + "0" * 64}}
    document = stating.fill(read(given), stating.in_store(store), held)
    assert document["blocks"] == {"own": 7} | {one.digest: one.size for one in (*a, *b)}
    assert [len(model["blocks"]) for model in document["models"]] == [3, 3, 1]
    assert [site["resident"] for site in document["sites"]] == [[a[0].digest], []]
    assert len(scenario_from_document(read(document)).blocks) == 5


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"models": None}, r"\$\.models: expected a list"),
        ({"models": [7]}, r"\$\.models\[0\]: expected an object, got 7"),
        ({"models": [{}]}, r"\$\.models\[0\]\.id: expected a text"),
        ({"sites": {}}, r"\$\.sites: expected a list"),
        ({"sites": [{"id": "c1", "resident": 1}]}, r"\$\.sites\[0\]\.resident: expected a list"),
        ({"blocks": []}, r"\$\.blocks: expected an object"),
    ],
)
def test_templates_that_are_none(store: Store, change: dict[str, Any], expected: str) -> None:
    """Each is refused with its place."""
    with pytest.raises(DocumentError, match=expected):
        stating.fill(read(template("a", **change)), stating.in_store(store), {})


def test_the_whole_way(store: Store, tmp_path: Path) -> None:
    """A scenario is made from what the registries hold, planned, and carried out: c3 fetches the
    blocks that the plan lists, those of c1 from c1 and the others from the data centre."""

    def written(name: str, document: dict[str, Any]) -> Path:
        path = tmp_path / name
        path.write_text(json.dumps(document))
        return path

    def run(*words: object) -> str:
        done = trunkline(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    near = make_store(tmp_path / "c1", {"a": layered(1, 2, 3)})
    with ExitStack() as stack:
        centre, c1 = (stack.enter_context(serving(one.path)) for one in (store, near))
        sites = written(
            "sites.json",
            {
                "format": "trunkline/sites/1",
                "data_centre": f"oci://{centre.host}/models",
                "sites": {"c1": f"oci://{c1.host}/models"},
            },
        )
        given, scenario, plan = (
            written("t.json", template("a", "b")),
            tmp_path / "s",
            tmp_path / "p",
        )
        said = run("scenario", given, "--sites", sites, "--insecure", "-o", scenario)
        assert said.startswith("2 models of 4 blocks")
        run("plan", scenario, "--method", "exhaustive", "-o", plan)
        assert len(json.loads(plan.read_text())["pulls"]) == 4
        words = ["--plan", plan, "--site", "c3", "--sites", sites, "--scenario", scenario]
        report = json.loads(run("pull", *words, "--store", tmp_path / "c3", "--insecure", "--json"))
    assert (report["unplanned"], report["unneeded"]) == ([], [])
    blocks = {name: {one.digest for one in store.model(name).blocks} for name in "ab"}
    assert report["sources"]["c1"]["blobs"] >= len(blocks["a"])
    assert report["sources"]["data centre"]["blobs"] >= len(blocks["b"] - blocks["a"])
    pulled = Store.open(tmp_path / "c3")
    assert pulled.verify().ok
    assert [pulled.model(name).digest for name in "ab"] == [
        store.model(name).digest for name in "ab"
    ]


def test_a_template_in_yaml_becomes_numbers(store: Store, tmp_path: Path) -> None:
    """`2.0e13` is a text to YAML, and a number in what is written (JSON, which plans read)."""
    given, scenario = tmp_path / "t.yaml", tmp_path / "s.json"
    raw = json.dumps(template("a"))
    assert '"flop_per_s": ' in raw
    given.write_text(re.sub(r'"flop_per_s": [0-9.e+]+', '"flop_per_s": 2.0e13', raw))
    done = trunkline("scenario", given, "--store", store.path, "-o", scenario)
    assert done.returncode == 0, done.stderr
    assert json.loads(scenario.read_text())["data_centre"]["flop_per_s"] == 2e13
    assert trunkline("plan", scenario).returncode == 0


def test_sites_that_do_not_answer(store: Store, tmp_path: Path) -> None:
    """A site without a server is told and taken to hold nothing; a data centre without one, or a
    model that it lacks, ends the command in one line."""
    with serving(store.path) as centre:
        sites = {
            "format": "trunkline/sites/1",
            "data_centre": f"oci://{centre.host}/models",
            "sites": {"c1": "oci://127.0.0.1:1/models"},
        }
        path, given = tmp_path / "sites.json", tmp_path / "template.json"
        path.write_text(json.dumps(sites))
        given.write_text(json.dumps(template("a")))
        done = trunkline("scenario", given, "--sites", path, "--insecure", "--json")
        assert done.returncode == 0, done.stderr
        assert "note: c1 is taken to hold nothing: no answer from 127.0.0.1:1" in done.stderr
        assert json.loads(done.stdout)["sites"][0].get("resident", []) == []
        given.write_text(json.dumps(template("none")))
        done = trunkline("scenario", given, "--sites", path, "--insecure")
        assert (done.returncode, "/manifests/none: status 404" in done.stderr) == (2, True)
        given.write_text(json.dumps({**template("a"), "requests": [{"id": "r"}]}))
        done = trunkline("scenario", given, "--sites", path, "--insecure")
        assert (done.returncode, f"{given}: $.requests[0]" in done.stderr) == (2, True)
