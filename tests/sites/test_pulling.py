"""A site carries out its part of a plan over real HTTP: who is asked, and what if he fails."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import trunkline
from tests.server.distribution.store_servers import layered, make_store, serving
from tests.store.registry.hostile import Registry, die, lie, on, registry, status
from trunkline.pulling.plan import Choice, Pull, PullingPlan
from trunkline.store import Store
from trunkline.store.registry import Patience


class World:
    """A data centre with the models `a` (layers 1 2 3) and `b` (1 2 4), sites c1 (holds `a`) and
    c2 (holds nothing), and c3, which pulls."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        both = {"a": layered(1, 2, 3, size=100), "b": layered(1, 2, 4, size=100)}
        self.far = make_store(folder / "far", both)
        self.centre = stack.enter_context(registry(self.far))
        c1 = make_store(folder / "c1", {"a": both["a"]})
        self.c1: Registry = stack.enter_context(registry(c1))
        self.c2 = stack.enter_context(serving(make_store(folder / "c2", {}).path))
        self.path = folder / "c3"

    def digest(self, model: str, layer: int) -> str:
        """The digest of a model's block."""
        return self.far.model(model).blocks[layer].digest

    def write(self, name: str, document: dict[str, Any]) -> Path:
        """A document's file."""
        path = self.folder / name
        path.write_text(json.dumps(document))
        return path

    def plan(self, models: str, *pulls: str) -> Path:
        """A plan by which c3 serves some models and pulls some blocks."""
        choices = tuple(Choice(f"r{n}", "c3", model) for n, model in enumerate(models))
        listed = tuple(Pull("c3", block) for block in pulls)
        made = PullingPlan("m", 1.0, 1.0, True, 0.0, choices, listed)
        return self.write("plan.json", made.to_dict())

    def sites(self, **more: Any) -> Path:
        """Where everybody is."""
        return self.write(
            "sites.json",
            {
                "format": "trunkline/sites/1",
                "data_centre": f"oci://{self.centre.host}/models",
                "sites": {
                    "c1": f"oci://{self.c1.host}/models",
                    "c2": f"oci://{self.c2.host}/models",
                    "c3": "oci://127.0.0.1:1/models",
                },
                **more,
            },
        )

    def pull(self, plan: Path, *more: object, sites: Path | None = None) -> Any:
        """`trunkline pull --plan` at c3: its result, the JSON it printed as `report`."""
        return trunkline(
            *("pull", "--plan", plan, "--site", "c3", "--sites", sites or self.sites()),
            *("--store", self.path, "--insecure", "--json", *more),
        )

    def report(self, plan: Path, sites: Path | None = None) -> dict[str, Any]:
        """The report of a pull that succeeds, after which the store is right."""
        done = self.pull(plan, sites=sites)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout) | {"said": done.stderr}
        store = Store.open(self.path)
        assert store.verify().ok
        for name in store.names():
            assert store.model(name).digest == self.far.model(name).digest
        return found


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world, with little patience."""
    monkeypatch.setattr("trunkline.sites.pulling.SHORT", Patience(1, read_s=2.0))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with ExitStack() as stack:
        yield World(tmp_path, stack)


def test_the_nearest_holder_first(world: World) -> None:
    """Blocks that a site holds come from it, the others from the data centre, each once; a second
    pull fetches no blob."""
    blocks = [world.digest("b", n) for n in range(3)]
    report = world.report(world.plan("b", *blocks))
    b = world.far.model("b")
    # c1 has layers 1 and 2, and trunkline.json; the data centre the rest: layer 4, index, config
    sources = report["sources"]
    assert set(sources) == {"c1", "data centre"}
    assert sources["c1"]["bytes"] >= b.blocks[0].size + b.blocks[1].size
    assert not any(world.centre.asks_for(one) for one in blocks[:2])
    assert len(world.centre.asks_for(blocks[2])) == 1
    assert (report["unplanned"], report["unneeded"], report["lost"]) == ([], [], {})
    again = world.report(world.plan("b", *blocks))
    assert (again["sources"], again["models"][0]["unchanged"]) == ({}, True)


def test_the_document_orders(world: World) -> None:
    """A site that `nearest` does not name is not asked."""
    report = world.report(world.plan("b"), sites=world.sites(nearest={"c3": ["c2"]}))
    assert set(report["sources"]) == {"data centre"}
    assert not world.c1.asked


@pytest.mark.parametrize(
    ("fault", "lost"),
    [
        (die(0.5), False),
        (lie, False),
        (status(404), False),
        (status(401), True),
        (status(500), True),
        (status(503, Retry_After="100"), True),
    ],
)
def test_a_holder_that_fails(world: World, fault: Any, lost: bool) -> None:
    """Whatever a neighbour does, the data centre has the last word and the store is right; one that
    refuses is given up on, with the reason."""
    world.c1.fault = on("/blobs/", fault)
    report = world.report(world.plan("b"))
    assert report["sources"]["data centre"]["blobs"] >= 3
    assert ("c1" in report["lost"]) == lost
    assert ("note: c1 was given up on: GET http://" in report["said"]) == lost


def test_a_holder_that_is_not_there(world: World) -> None:
    """A site without a server costs a note."""
    sites = json.loads(world.sites().read_text())
    sites["sites"]["c1"] = "oci://127.0.0.1:1/models"
    report = world.report(world.plan("b"), sites=world.write("more.json", sites))
    assert set(report["sources"]) == {"data centre"}
    assert "refused" in report["lost"]["c1"]


def test_manifests_by_digest_come_from_sites(world: World) -> None:
    """Where the document names a model's digest, a site that has it all is enough, even while the
    data centre is down; by tag the data centre alone can tell."""
    world.centre.fault = on("", status(404))
    digest = world.far.model("a").digest
    models = {"a": f"oci://{world.centre.host}/models@{digest}"}
    done = world.pull(world.plan("a"))
    assert done.returncode == 2
    assert "/manifests/a: status 404" in done.stderr
    report = world.report(world.plan("a"), sites=world.sites(models=models))
    assert set(report["sources"]) == {"c1"}


def test_one_model_that_fails(world: World) -> None:
    """The others are pulled all the same; the command says which failed, and ends with 2."""
    world.centre.fault = on("/manifests/a$", status(404))
    done = world.pull(world.plan("ab"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert re.search(r"/manifests/a: status 404.*\(1 of 2 models failed\)", done.stderr)
    store = Store.open(world.path)
    assert store.names() == ["b"]
    assert store.verify().ok


def test_plan_and_site_differ(world: World) -> None:
    """Blocks that the plan took to be there are fetched, those that no model needs are not, and
    both are told."""
    report = world.report(world.plan("a", world.digest("a", 0), world.digest("b", 2)))
    assert report["unplanned"] == sorted(world.digest("a", n) for n in (1, 2))
    assert report["unneeded"] == [world.digest("b", 2)]
    assert "2 blocks more than the plan lists" in report["said"]
    assert not Store.open(world.path).blob_path(world.digest("b", 2)).exists()


def test_bad_input(world: World) -> None:
    """What cannot be carried out ends in one line and status 2, before anything is fetched."""
    good, sites = world.plan("a"), world.sites()
    named = world.write("named.json", json.loads(world.plan("a", "b1").read_text()))
    other = world.write("other.json", {"format": "trunkline/loading-plan/1"})
    for words, expected in (
        (["--plan", named, "--site", "c3", "--sites", sites], "block 'b1' is no digest"),
        (["--plan", world.plan("a"), "--site", "c9", "--sites", sites], "has a site 'c9'"),
        (["--plan", other, "--site", "c3", "--sites", sites], "$.format"),
        (["--plan", good, "--site", "c3", "--sites", good], "$.format"),
        (["--plan", good, "--site", "c3", "--sites", sites, "--scenario", good], "$.format"),
        (["--plan", good, "--site", "c3"], "--plan needs --site ID and --sites FILE"),
        (["--plan", good, "--site", "c3", "--sites", sites, "oci://h/r:t"], "says which models"),
        (["--sites", sites, "oci://h/r:t"], "--sites is for pulls by a plan"),
        ([], "give either oci://HOST/REPO:TAG or --plan FILE"),
    ):
        done = trunkline("pull", *words, "--store", world.path, "--insecure")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert expected in done.stderr
    assert not world.centre.asked
