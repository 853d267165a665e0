"""Popularity of models in Alibaba's GenTD26 trace."""

from __future__ import annotations

import pytest

from trunkline.errors import InputError
from trunkline.experiments.pulling.gentd26 import Variant, read_variants, shares

DESCRIBED = "predict_type,exec_time_seconds,checkpoint_model_version_id,lora_args\n"
PUBLISHED = "gmt_create,predict_type,checkpoint_model_version_id,num_lora\n"


def test_base_and_adapters_as_described(tmp_path):
    """Adapters are named in a list, as Python or as JSON writes it; their order is no matter."""
    path = tmp_path / "lora_request_trace.csv"
    path.write_text(
        DESCRIBED
        + "t,22.0,base1,\"[{'modelVersionId': 'b', 'scale': 1.0}, {'modelVersionId': 'a'}]\"\n"
        + 't,22.0,base1,"[{""modelVersionId"": ""a""}, {""modelVersionId"": ""b""}]"\n'
        + "t,9.0,base1,[]\n"
        + "t,9.0,base2,NULL\n"
        + "t,9.0,,[]\n"
    )
    assert read_variants(path) == {
        Variant("base1", ("a", "b"), 2): 2,
        Variant("base1", (), 0): 1,
        Variant("base2", (), 0): 1,
    }


def test_base_and_number_of_adapters_as_published(tmp_path):
    """Where only the number of adapters stands, they are counted and not named."""
    path = tmp_path / "lora_request_trace.csv"
    path.write_text(PUBLISHED + "2024-11-15 16:57:50,t,M0000,0\n" + "2024-11-15,t,M0003,1\n" * 3)
    counts = read_variants(path)
    assert counts == {Variant("M0003", (), 1): 3, Variant("M0000", (), 0): 1}
    assert shares(counts, 2) == (0.75, 0.25)
    assert shares(counts, 1) == (1.0,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("timestamp,value\n", "no column 'checkpoint_model_version_id'"),
        ("checkpoint_model_version_id\nM0\n", "no column 'lora_args' or 'num_lora'"),
        (PUBLISHED, "has no requests that name their model"),
        (PUBLISHED + "d,t,NULL,0\n", "has no requests that name their model"),
        (PUBLISHED + "d,t,M0,many\n", "line 2, column 'num_lora': a number"),
        (DESCRIBED + "t,1.0,M0,{}\n", "line 2, column 'lora_args': a list"),
        (DESCRIBED + "t,1.0,M0,__import__('os')\n", "line 2, column 'lora_args': a list"),
        (DESCRIBED + "t,1.0,M0,[3]\n", "a list of objects with modelVersionId"),
        (DESCRIBED + "t,1.0,M0,[{}]\n", "a list of objects with modelVersionId"),
    ],
)
def test_what_is_no_such_trace_is_refused(tmp_path, text, said):
    """The message names the file, the line and the column."""
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_variants(path)
    assert str(path) in str(error.value)
    assert said in str(error.value)
