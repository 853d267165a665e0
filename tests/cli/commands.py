"""Commands as a test calls them."""

from __future__ import annotations

import contextlib
import io
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from trunkline.cli import main

Run = Callable[..., tuple[int, str, str]]
"""Runs a command: exit status, output, errors."""


def trunkline(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command line, as its entry point runs it."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    words = [str(argument) for argument in arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
    return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())


def runner(capsys: pytest.CaptureFixture[str]) -> Run:
    """The same, through pytest's own capture."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()  # of what was said before
        with pytest.raises(SystemExit) as ended:
            main([str(one) for one in arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call
