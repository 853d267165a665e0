"""Signatures: what a forward returned, as the protocol has it."""

from __future__ import annotations

import torch

from trunkline.server.signature import named_outputs


def test_outputs_are_copies() -> None:
    """What a forward does later with tensors that it returned changes no answer."""
    buffer = torch.zeros(2, 3)
    alone = named_outputs(buffer)
    several = named_outputs({"rows": buffer[:1], "list": [buffer.T]})
    buffer.fill_(7)
    assert set(several) == {"rows", "list.0"}
    for one in (*alone.values(), *several.values()):
        assert not one.any()
