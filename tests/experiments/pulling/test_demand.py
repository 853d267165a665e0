"""Demands from recorded traces."""

from __future__ import annotations

import pytest

from trunkline.errors import InputError
from trunkline.experiments.pulling.demand import read_tokens

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def test_tokens_are_those_of_both_directions(tmp_path):
    """A request's demand is its context and what is generated."""
    path = tmp_path / "AzureLLMInferenceTrace_conv.csv"
    lines = "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n"
    path.write_text(HEADER + lines)
    assert read_tokens(path) == (418.0, 505.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column 'ContextTokens'"),
        ("arrival_s,model\n", "no column 'ContextTokens'"),
        (HEADER, "has no requests"),
        (HEADER + "2023-11-16,many,1\n", "line 2, column 'ContextTokens': a number"),
        (HEADER + "2023-11-16,1.5,1\n", "line 2, column 'ContextTokens': a whole number"),
        (HEADER + "2023-11-16,1\n", "line 2: 2 values for 3 columns"),
    ],
)
def test_what_is_no_trace_is_refused(tmp_path, text, said):
    """The message names the file, the line and the column."""
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"trace\.csv: ") as error:
        read_tokens(path)
    assert said in str(error.value)
