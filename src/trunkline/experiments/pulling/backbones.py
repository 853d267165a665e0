"""Parameters of some foundation models, layer by layer, from their published configurations.

All three are decoders of one shape (Touvron et al. 2023): an embedding, layers of attention with
grouped keys and values, a gated feed-forward part, two norms a layer, a norm and a head at the end;
no biases. A test compares the totals with the published numbers of parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Backbone:
    """A decoder's configuration, named as in its `config.json`.

    Attributes:
        hidden_size, intermediate_size, num_hidden_layers, vocab_size: as there.
        key_value_size: width of the keys: hidden_size * num_key_value_heads / num_attention_heads.
    """

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    vocab_size: int
    key_value_size: int

    @property
    def layer_parameters(self) -> tuple[int, ...]:
        """Parameters of the embedding, of each layer, and of the last norm with the head."""
        h = self.hidden_size
        attention = 2 * h * h + 2 * h * self.key_value_size
        layer = attention + 3 * h * self.intermediate_size + 2 * h
        embedding = self.vocab_size * h
        return (embedding, *[layer] * self.num_hidden_layers, h + embedding)

    @property
    def parameters(self) -> int:
        """Of the whole model."""
        return sum(self.layer_parameters)


BACKBONES: Final = {
    "tinyllama-1.1b": Backbone(2048, 5632, 22, 32000, 256),
    "llama-2-7b": Backbone(4096, 11008, 32, 32000, 4096),
    "mistral-7b": Backbone(4096, 14336, 32, 32000, 1024),
}
"""By name; the configurations are those published with the models."""
