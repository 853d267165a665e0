"""What the registry's tests share: a registry, and references to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.registries import DockerRegistry, docker_registry
from trunkline.store import Store, Tensors
from trunkline.store.registry import Patience, Repository, Transport


@pytest.fixture(autouse=True)
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's configuration, empty, and not that of whoever runs the tests."""
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder / "config.json"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """A docker-registry without passwords."""
    with docker_registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture
def repository(registry: DockerRegistry, tmp_path: Path) -> Callable[..., Repository]:
    """A repository of the registry, of this test's own unless it is named."""

    def get(name: str = "") -> Repository:
        own = "".join(c for c in tmp_path.name.lower() if c.isalnum())
        return connect(registry.host, name or f"tests/{own}")

    return get


def connect(host: str, name: str = "models", **patience: float) -> Repository:
    """A repository over plain HTTP that is asked again at once."""
    quick = Patience(**{"first_s": 0.0, "read_s": 5.0, **patience})  # type: ignore[arg-type]
    return Repository(Transport(host, insecure=True, patience=quick), name)


@pytest.fixture
def other(tmp_path: Path) -> Store:
    """A second, empty store."""
    return Store.open(tmp_path / "other", create=True)


@pytest.fixture
def base_and_variant(store: Store, layered: Callable[..., Tensors]) -> Store:
    """The store with a model of four layers and a variant that shares three of them."""
    store.add("base", layered(1, 2, 3, 4, size=64))
    store.add("variant", layered(1, 2, 3, 9, size=64))
    return store
