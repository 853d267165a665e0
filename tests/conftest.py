"""What all tests share."""

from __future__ import annotations

import os
from itertools import count

import pytest

# The readline library, which pytest imports, sets this behind Python's back for child processes;
# commands print as where nobody has set it.
os.unsetenv("COLUMNS")
os.environ.pop("COLUMNS", None)

_NUMBERS = count()


@pytest.fixture(autouse=True)
def _own_configuration(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No test reads or writes the configuration of whoever runs it, or of another test."""
    folder = tmp_path_factory.getbasetemp() / "configurations" / str(next(_NUMBERS))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
