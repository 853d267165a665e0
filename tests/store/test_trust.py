"""Only factories that were named on this machine run."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trunkline.errors import InputError, StoreError, UntrustedFactoryError
from trunkline.experiments.demo import QUICK
from trunkline.experiments.variants import draw_variants
from trunkline.store import Architecture
from trunkline.store.building import load_callable
from trunkline.store.trust import (
    OWN,
    Call,
    distrust,
    remember,
    require_trust,
    trust,
    trust_file,
    trusted,
)


def factory(name: str = "mine:net", **kwargs: Any) -> Architecture:
    """A factory's architecture."""
    return Architecture("factory", factory=name, kwargs=kwargs)


def refused(architecture: Architecture, *also: str) -> bool:
    """Whether a model built so is refused."""
    try:
        require_trust(architecture, "m", also)
    except UntrustedFactoryError:
        return True
    return False


def test_nothing_is_trusted_until_it_is_named() -> None:
    """A factory is refused with the command that trusts it, and runs once it was named."""
    with pytest.raises(UntrustedFactoryError, match=r"'m' .*trunkline trust mine:net .*trust=\["):
        require_trust(factory(n=1), "m")
    trust(["mine:net"])
    assert not refused(factory(n=1))
    assert not refused(factory(n=[2]))
    assert refused(factory("mine:net2"))
    distrust(["mine:net"])
    assert refused(factory(n=1))
    assert not refused(factory(n=1), "mine:net")


def test_an_import_trusts_its_very_call() -> None:
    """Other arguments of a trusted call are refused; as JSON, 1, 1.0 and true are three."""
    assert remember(factory(n=1, act="x")) is None
    assert not refused(factory(act="x", n=1))
    for other in (factory(n=1), factory(n=2, act="x"), factory(n=1.0, act="x")):
        assert refused(other)
    assert refused(factory(n=True, act="x"))
    assert remember(factory(n=1, act="x")) is None
    assert trusted() == (Call("mine:net", {"n": 1, "act": "x"}),)
    assert "package.module:callable" in str(remember(factory("no factory")))
    assert len(trusted()) == 1
    trust(["mine:net"])  # takes the place of the call
    assert trusted() == (Call("mine:net"),)


@pytest.mark.parametrize("name", ["os:system", "xml.sax:parse", "builtins:eval"])
def test_the_standard_library_cannot_be_trusted(name: str) -> None:
    """It builds no modules, so nothing else is named either."""
    with pytest.raises(InputError, match=f"{name}.* standard library"):
        trust(["mine:net", name])
    assert trusted() == ()


def test_classes_of_transformers_need_no_trust() -> None:
    """They come from the installed library, whatever a config says."""
    assert not refused(Architecture("huggingface", config={}, class_name="BertModel"))


def test_the_demos_networks_are_trusted_and_nothing_beside_them() -> None:
    """Each name leads to a network of ours; what its module imports is not meant by it."""
    pytest.importorskip("torch")
    for name in OWN:
        assert load_callable(name).__module__ == "trunkline.experiments.networks"
        assert not refused(factory(name, num_classes=3))
        assert remember(factory(name)) is None
    assert trusted() == ()
    assert {one.factory for one in draw_variants(QUICK.per_network, seed=0)} <= OWN
    assert refused(factory("trunkline.experiments.networks:nn.Linear"))
    assert refused(factory("trunkline.cli:main"))


def test_the_list_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lies in the user's configuration, readable by nobody else; a relative place is ignored."""
    trust(["mine:net"])
    path = trust_file()
    assert path == Path(os.environ["XDG_CONFIG_HOME"]) / "trunkline" / "trusted.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["factories"] == [{"factory": "mine:net"}]
    monkeypatch.setenv("HOME", str(tmp_path))
    for place in ("", "relative/place"):
        monkeypatch.setenv("XDG_CONFIG_HOME", place)
        assert trust_file() == tmp_path / ".config" / "trunkline" / "trusted.json"
        assert trusted() == ()


@pytest.mark.parametrize(
    "content",
    [
        "{", "[]", "{}", '{"format": "trunkline/trust/1"}', "\xff",
        '{"format": "trunkline/trust/1", "factories": [1]}',
        '{"format": "trunkline/trust/1", "factories": [{"factory": "os"}]}',
        '{"format": "trunkline/trust/1", "factories": [{"factory": "a:b", "kwargs": 1}]}',
        '{"format": "trunkline/trust/1", "factories": [{"factory": "a:b", "more": 1}]}',
        '{"format": "trunkline/trust/1", "factories": null}',
        "[" * 100_000,
    ],
)  # fmt: skip
def test_a_corrupt_list_trusts_nothing(content: str) -> None:
    """It is named, nothing runs by it, and it is not written over."""
    path = trust_file()
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="latin-1")
    for use in (trusted, lambda: require_trust(factory(), "m"), lambda: trust(["mine:net"])):
        with pytest.raises(StoreError, match=r"trusted\.json"):
            use()
    assert "trusted.json" in str(remember(factory()))
    assert path.read_text(encoding="latin-1") == content
    require_trust(factory(), "m", ["mine:net"])  # who is named in the code needs no list


def test_names_are_checked_before_anything_is_written() -> None:
    """What is no factory's name is refused; taking off what is not there changes nothing."""
    with pytest.raises(InputError):
        trust(["mine:net", "os"])
    assert trusted() == ()
    trust(["a:b", "c:d"])
    with pytest.raises(StoreError, match="e:f is not on the list"):
        distrust(["a:b", "e:f"])
    assert [call.factory for call in trusted()] == ["a:b", "c:d"]


def test_a_list_that_cannot_be_written_fails_no_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no place for it, the reason is told, and the list is as it was."""
    monkeypatch.setenv("XDG_CONFIG_HOME", "/dev/null/nowhere")
    assert "Not a directory" in str(remember(factory()))
    assert refused(factory())
    with pytest.raises(StoreError, match="cannot write"):
        trust(["mine:net"])


def test_many_processes_add_to_the_list(tmp_path: Path) -> None:
    """None of what several processes add at once is lost."""
    code = (
        "import sys; from trunkline.store.trust import trust\n"
        "for i in range(20): trust([f'm{sys.argv[1]}:f{i}'])"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(i)]) for i in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    wanted = {f"m{i}:f{j}" for i in range(3) for j in range(20)}
    assert {call.factory for call in trusted()} == wanted
    assert [one.name for one in trust_file().parent.iterdir()] == ["trusted.json"]


@pytest.fixture
def hostile(tmp_path: Path, layered: Callable[..., Any]) -> Path:
    """A store as someone else made it, whose models would leave a file behind when they are
    built, or import a module that does."""
    from trunkline.store import InputSpec, Store, Tensors

    path = tmp_path / "elsewhere"
    store = Store.open(path, create=True)
    (tmp_path / "evil_module.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')\n")
    for name, architecture in {
        "system": factory("os:system", command=f"touch {tmp_path / 'called'}"),
        "module": factory("evil_module:net"),
        "nested": factory("trunkline.experiments.networks:nn.Linear", in_features=1),
    }.items():
        source = layered(1)
        store.add(name, Tensors(source.tensors, architecture, InputSpec((8,))))
    # Whatever lies in the store itself, the list that counts is the user's.
    listed = {"format": "trunkline/trust/1", "factories": [{"factory": "os:system"}]}
    (path / ".trunkline" / "trusted.json").write_text(json.dumps(listed))
    return path


@pytest.mark.parametrize("model", ["system", "module", "nested"])
def test_a_store_from_elsewhere_runs_no_code(
    hostile: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is asked of the runtime and the store, nothing is imported or called."""
    pytest.importorskip("torch")
    from trunkline.runtime import Runtime
    from trunkline.runtime.measure import measure
    from trunkline.store import Store

    monkeypatch.chdir(tmp_path)
    store = Store.open(hostile)
    uses: list[Callable[[Runtime], object]] = [
        lambda runtime: runtime.prepare(model),
        lambda runtime: runtime.switch(model),
        lambda runtime: runtime.stored(model),
        lambda runtime: runtime.module(model),
        lambda runtime: runtime.tensors(model),
        lambda runtime: runtime.infer(model, {}),
        lambda runtime: measure(store, [model]),
    ]
    for use in uses:
        with Runtime(store) as runtime, pytest.raises(UntrustedFactoryError):
            use(runtime)
    assert store.verify().ok
    assert len(store.inventory().models) == 3
    assert not (tmp_path / "called").exists()
    assert not (tmp_path / "imported").exists()


def test_trust_does_not_make_a_builder_of_everything(hostile: Path, tmp_path: Path) -> None:
    """Even named by the user, a function of the standard library is not called."""
    pytest.importorskip("torch")
    from trunkline.errors import ArchitectureError
    from trunkline.runtime import Runtime
    from trunkline.store import Store

    with Runtime(Store.open(hostile), trust=["os:system"]) as runtime:
        with pytest.raises(ArchitectureError, match="standard library"):
            runtime.switch("system")
        with pytest.raises(InputError, match=r"package\.module:callable"):
            Runtime(Store.open(hostile), trust=["os"])
    assert not (tmp_path / "called").exists()
