"""The set-up of a checkout: what the lock promises, and the decisions of tools/bootstrap.py."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The bootstrap, for a checkout in an empty folder with a space in its name."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "tools/bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    checkout = tmp_path / "a checkout"
    checkout.mkdir()
    (checkout / "requirements.lock").write_text(LOCK)
    (checkout / "pyproject.toml").write_text("")
    venv = checkout / ".venv"
    for name, value in {
        "ROOT": checkout,
        "VENV": venv,
        "VENV_PYTHON": venv / "bin/python",
        "STAMP": venv / ".trunkline-setup",
        "LOCK": checkout / "requirements.lock",
        "PYPROJECT": checkout / "pyproject.toml",
    }.items():
        monkeypatch.setattr(module, name, str(value))
    monkeypatch.setattr(module, "FOREIGN", [])
    return module


def normal(requirement: str) -> str:
    """The normalised name of a requirement (PEP 503)."""
    name = re.match(r"[\w.-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def test_lock_pins_every_package_by_hash() -> None:
    """Every entry of the lock is one exact version with at least one sha256 digest."""
    entries = [entry for entry in re.split(r"\n(?=\w)", LOCK) if not entry.startswith("#")]
    assert entries
    for entry in entries:
        assert re.match(r"[\w.-]+==\S+", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


def test_lock_names_no_address() -> None:
    """The lock holds no address to fetch from, so it installs from whatever index is configured."""
    assert "://" not in LOCK
    assert not re.search(r"^--?\w*(index|find-links|url)", LOCK, re.MULTILINE)


def test_lock_leaves_torch_and_accelerator_libraries_out() -> None:
    """Torch, whose right build depends on the machine, and CUDA's packages are not in the lock."""
    names = {normal(line) for line in LOCK.splitlines() if re.match(r"\w", line)}
    assert not [n for n in names if re.match(r"(torch|triton|nvidia-.*|cuda-.*)$", n)]


def test_lock_covers_what_the_project_asks_for() -> None:
    """Every direct dependency of the extras that make test and make demo use is in the lock."""
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = list(PROJECT["project"]["dependencies"]) + PROJECT["dependency-groups"]["setup"]
    for extra in ("runtime", "hf", "demo", "dev"):
        wanted += extras[extra]
    names = {normal(line) for line in LOCK.splitlines() if re.match(r"\w", line)}
    assert {normal(r) for r in wanted} - names == {"torch", "trunkline"}


def test_torch_of_the_set_up_is_of_the_supported_range(bootstrap: ModuleType) -> None:
    """The bootstrap's range of torch is pyproject's, and the version it installs lies in it."""
    low, high = ("{}.{}".format(*bound) for bound in bootstrap.TORCH_RANGE)
    assert f"torch>={low},<{high}" in PROJECT["project"]["optional-dependencies"]["runtime"]
    assert bootstrap.torch_fits(bootstrap.TORCH)


@pytest.mark.parametrize(
    ("version", "fits"),
    [("2.13.0+cpu", True), ("2.6.0", True), ("2.5.1", False), ("2.14.0", False), ("", False)],
)
def test_torch_already_there(bootstrap: ModuleType, version: str, fits: bool) -> None:
    """An installed torch is kept exactly when its version is in the range >=2.6,<2.14."""
    assert bootstrap.torch_fits(version) is fits


def test_supported_pythons_are_those_of_the_project(bootstrap: ModuleType) -> None:
    """The bootstrap's first and last Python are the bounds of requires-python."""
    first, (major, minor) = bootstrap.PYTHONS[0], bootstrap.PYTHONS[-1]
    bounds = ">={}.{},<{}.{}".format(*first, major, minor + 1)
    assert PROJECT["project"]["requires-python"] == bounds


def test_bootstrap_reads_under_old_pythons() -> None:
    """The bootstrap has no syntax newer than Python 3.6 and imports the standard library only."""
    source = (ROOT / "tools/bootstrap.py").read_text()
    tree = ast.parse(source, feature_version=(3, 6))
    imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert imported <= set(sys.stdlib_module_names)
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]


def test_settings_of_pip_reach_uv(bootstrap: ModuleType, tmp_path: Path) -> None:
    """Links, indexes and certificates of pip become uv's variables; absent folders are left out."""
    there, absent = str(tmp_path), str(tmp_path / "absent")
    settings = {
        "find-links": [there, f"{there} {absent}"],
        "extra-index-url": [f"file://{there} file://{absent}"],
        "index-url": ["https://first.invalid", "https://second.invalid"],
        "cert": ["/certificates.crt"],
        "timeout": ["10"],
    }
    assert bootstrap.translated(settings) == {
        "UV_FIND_LINKS": there,
        "UV_INDEX": f"file://{there}",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_DEFAULT_INDEX": "https://second.invalid",
        "SSL_CERT_FILE": "/certificates.crt",
    }


def test_stamp_changes_with_the_lock_and_the_place(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finished set-up counts as up to date only with the same files in the same place."""
    before = bootstrap.wanted_stamp()
    assert bootstrap.wanted_stamp() == before
    Path(bootstrap.LOCK).write_text(LOCK + "\n")
    changed = bootstrap.wanted_stamp()
    assert changed != before
    monkeypatch.setattr(bootstrap, "ROOT", str(Path(bootstrap.ROOT).parent))
    assert bootstrap.wanted_stamp() not in (before, changed)


@pytest.mark.parametrize("state", ["nothing", "a file", "empty", "a dangling link"])
def test_unusable_environments_are_removed(bootstrap: ModuleType, state: str) -> None:
    """What stands where `.venv` belongs and is no environment is not adopted, and goes away."""
    venv = Path(bootstrap.VENV)
    if state == "a file":
        venv.touch()
    elif state == "empty":
        venv.mkdir()
    elif state == "a dangling link":
        venv.symlink_to(venv.parent / "absent")
    assert not bootstrap.adoptable(bootstrap.supported())
    if state != "nothing":
        bootstrap.remove_venv()
    assert not venv.is_symlink()
    assert not venv.exists()


def test_environment_is_adopted_only_when_whole(bootstrap: ModuleType) -> None:
    """An environment is adopted; with a package's file cut short it is not."""
    version = "{}.{}".format(*sys.version_info)
    base = bootstrap.SELF
    subprocess.run([base, "-m", "venv", "--without-pip", bootstrap.VENV], check=True)
    assert bootstrap.adoptable([version])
    assert not bootstrap.adoptable(["3.0"])
    packages = Path(bootstrap.VENV) / "lib" / f"python{version}" / "site-packages"
    (packages / "whole-1.dist-info").mkdir()
    (packages / "whole-1.dist-info" / "METADATA").write_text("Name: whole\nVersion: 1\n")
    assert not bootstrap.adoptable([version])  # no list of its files: killed before the end
    (packages / "whole.py").write_text("x = 1\n")  # 6 bytes
    (packages / "whole-1.dist-info" / "RECORD").write_text("whole.py,sha256=unused,6\n")
    assert bootstrap.adoptable([version])
    (packages / "whole.py").write_text("x =")
    assert not bootstrap.adoptable([version])


def test_missing_things_are_told_in_one_line(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a usable Python and without uv the exit status is 1 and the message one line."""
    monkeypatch.setattr(bootstrap, "SELF", "/absent/python")
    monkeypatch.setenv("PATH", "/absent")
    assert bootstrap.main([]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "Python 3.11 to 3.13 is needed" in lines[0]
