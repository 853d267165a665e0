"""Writing files whole or not at all, and finding out beforehand whether one can be written."""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from trunkline.errors import InputError

_DESCRIPTORS: Final = ("/dev/fd/", "/dev/std", "/proc/")
"""Paths that stand for something that is open already (`/dev/stdout`): written to, not replaced."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path beside `path` (with its suffix) to write to; what is there at the end of the `with`
    block becomes `path`, at once and whole.

    If the block fails, or is interrupted, or the disk is full, a file that was at `path` is as it
    was. A symbolic link stays one, and a device or a pipe is written to directly.

    Raises:
        InputError: it cannot be written; the message names the path and why.
    """
    path = Path(path)
    try:
        if _is_direct(path):
            yield path
            return
        target = Path(os.path.realpath(path))
        temporary = target.parent / f".trunkline-{secrets.token_hex(8)}{target.suffix}"
        try:
            temporary.touch(exist_ok=False)
            mode = (target if target.exists() else temporary).stat().st_mode
            yield temporary
            _sync(temporary)
            temporary.chmod(stat.S_IMODE(mode))  # some writers make private files
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        with suppress(OSError):  # not every file system syncs folders
            _sync(target.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def write_json(path: str | Path, document: Any) -> None:
    """Write a document as JSON (InputError if it cannot be written)."""
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_writable(path: str | Path) -> None:
    """Refuse a path that no file can be written to, before any work is done for it.

    Raises:
        InputError: it is a folder, its folder is not there, or there is no permission.
    """
    path = Path(path)
    try:
        if _is_direct(path):
            return
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise InputError(f"{path}: cannot be written: it is a folder")
        if not target.parent.is_dir():
            raise InputError(f"{path}: cannot be written: there is no folder {target.parent}")
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise InputError(f"{path}: cannot be written: no permission to write in its folder")
        if target.exists() and not os.access(target, os.W_OK):
            raise InputError(f"{path}: cannot be written: the file there is protected")
    except OSError as error:  # a name that is too long, links in a circle
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None


def same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two paths lead to one file, there or not."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)


def _is_direct(path: Path) -> bool:
    """Whether a path is a device, a pipe, or something open already."""
    if os.path.abspath(path).startswith(_DESCRIPTORS):
        return True
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _sync(path: Path) -> None:
    """Wait until what was written is on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
