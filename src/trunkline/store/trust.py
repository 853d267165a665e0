"""Which factories may run: those that a user named on this machine.

A store says how a model is built: `package.module:callable` and arguments. Building runs that code,
and whoever made the store chose it; `os:system` is a name like any other. So what a store says is
never enough: a factory runs only if it was named here, by importing a model with it, by
`trunkline trust`, or to the `Runtime`.

The list is a file of the user, `$XDG_CONFIG_HOME/trunkline/trusted.json` (`~/.config` by default).
It is not in the store, where it would be copied along with it and could be forged. An import trusts
the very call, arguments included; `trunkline trust` trusts a factory with any arguments.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from trunkline.errors import InputError, StoreError, TrunklineError, UntrustedFactoryError
from trunkline.store.architecture import Architecture, check_factory_name
from trunkline.store.reading import reason
from trunkline.units import shorten

FORMAT: Final = "trunkline/trust/1"

OWN: Final = frozenset(
    f"trunkline.experiments.networks:{name}"
    for name in ("digits_net", "resnet18", "resnet34", "resnet50")
)
"""The demo's networks, which come with this package."""

MAX_FILE_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Call:
    """Something that is trusted: a factory with these arguments, or with any if they are None."""

    factory: str
    kwargs: Mapping[str, Any] | None = field(default=None, hash=False)

    def allows(self, architecture: Architecture) -> bool:
        """Whether this is how the architecture is built."""
        if self.factory != architecture.factory:
            return False
        return self.kwargs is None or _same(self.kwargs, architecture.kwargs)

    def __str__(self) -> str:
        return self.factory if self.kwargs is None else _architecture(self).label


def require_trust(architecture: Architecture, model: str, also: Collection[str] = ()) -> None:
    """Refuse a model whose factory nobody has named on this machine.

    A class of Transformers needs no trust: only code of the installed library runs.

    Args:
        also: factories that are trusted with any arguments, besides those of the list.

    Raises:
        UntrustedFactoryError: it was not named; the message says how to.
        StoreError: the list cannot be read.
    """
    factory = architecture.factory
    if architecture.kind != "factory" or factory in OWN or factory in also:
        return
    if not any(call.allows(architecture) for call in trusted()):
        raise UntrustedFactoryError(
            f"model {shorten(model)!r} is built by {architecture.label}, which was not named on "
            "this machine. A factory is code, and whoever made the store chose it. If you know it: "
            f"trunkline trust {factory} (in Python: Runtime(store, trust=[{factory!r}]))"
        )


def factory_names(names: Iterable[str]) -> frozenset[str]:
    """The names of factories (InputError if one is no `package.module:callable`)."""
    found = frozenset([names] if isinstance(names, str) else names)
    for name in found:
        check_factory_name(name)
    return found


def trust_file() -> Path:
    """Where the list is (StoreError if the user has no home directory)."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(base):
        return Path(base) / "trunkline" / "trusted.json"
    try:
        return Path.home() / ".config" / "trunkline" / "trusted.json"
    except RuntimeError as error:
        raise StoreError(f"no place for the list of trusted factories: {error}") from None


def trusted() -> tuple[Call, ...]:
    """The list, empty if there is none (StoreError naming the file if it cannot be read)."""
    path = trust_file()
    try:
        raw = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise StoreError(f"cannot read {path}: {reason(error)}") from None
    return _parse(raw, path) if raw else ()


def trust(factories: Iterable[str]) -> None:
    """Trust factories with any arguments.

    Raises:
        InputError: a name that is no `package.module:callable`, or one of Python's standard
            library, which builds no modules.
        StoreError: the list cannot be read or written.
    """
    names = factory_names(factories)
    for name in sorted(names):
        if name.partition(":")[0].partition(".")[0] in sys.stdlib_module_names:
            raise InputError(
                f"factory {shorten(name)!r} comes from Python's standard library, which builds no "
                "modules; it stays refused"
            )
    with _changing() as known:
        known[:] = [call for call in known if call.factory not in names]
        known += [Call(name) for name in sorted(names)]


def distrust(factories: Iterable[str]) -> None:
    """Take factories off the list, with whatever arguments.

    Raises:
        StoreError: one is not on the list, or the list cannot be read or written; nothing is
            changed then.
    """
    gone = set(factories)
    with _changing() as known:
        for factory in sorted(gone - {call.factory for call in known}):
            raise StoreError(f"{shorten(factory)} is not on the list of trusted factories")
        known[:] = [call for call in known if call.factory not in gone]


def remember(architecture: Architecture) -> str | None:
    """Trust the very call of an architecture that the user has just named.

    Returns why it could not be put on the list, None if it is there (or needs not be). That is no
    reason to fail: whoever runs the model is told how to trust it.
    """
    try:
        require_trust(architecture, "")
    except UntrustedFactoryError:
        pass
    except TrunklineError as error:
        return str(error)
    else:
        return None
    try:
        check_factory_name(str(architecture.factory))
        with _changing() as known:
            known.append(Call(str(architecture.factory), dict(architecture.kwargs)))
    except TrunklineError as error:
        return str(error)
    return None


@contextmanager
def _changing() -> Iterator[list[Call]]:
    """The list, to be changed in the `with` block; written at its end, whole or not at all."""
    path = trust_file()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # given back by close
            known = list(trusted())
            before = list(known)
            yield known
            if known != before:
                _write(path, known)
        finally:
            os.close(folder)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {reason(error)}") from None


def _write(path: Path, calls: Iterable[Call]) -> None:
    entries = [
        {"factory": call.factory}
        if call.kwargs is None
        else {"factory": call.factory, "kwargs": call.kwargs}
        for call in calls
    ]
    text = json.dumps({"format": FORMAT, "factories": entries}, indent=1) + "\n"
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _parse(raw: bytes, path: Path) -> tuple[Call, ...]:
    try:
        if len(raw) > MAX_FILE_BYTES:
            raise ValueError(f"{len(raw)} bytes, limit {MAX_FILE_BYTES}")
        document = json.loads(raw)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT!r}")
        return tuple(_call(entry) for entry in document["factories"])
    except (ValueError, KeyError, TypeError, RecursionError, TrunklineError) as error:
        raise StoreError(
            f"{path}, the list of trusted factories, is corrupt: {error}; mend or delete it"
        ) from None


def _call(entry: Any) -> Call:
    match entry:
        case {"factory": str(factory), **rest} if rest.keys() <= {"kwargs"}:
            check_factory_name(factory)
            kwargs = rest.get("kwargs")
            if kwargs is None or isinstance(kwargs, dict):
                return Call(factory, kwargs)
    raise ValueError(f"{shorten(repr(entry))} is no factory")


def _architecture(call: Call) -> Architecture:
    return Architecture("factory", factory=call.factory, kwargs=call.kwargs or {})


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether arguments are equal as JSON: `1`, `1.0` and `true` are three."""
    return json.dumps(dict(one), sort_keys=True) == json.dumps(dict(other), sort_keys=True)
