"""A network of GPT-2's size that classifies texts, in plain PyTorch.

The layers and their shapes are those of GPT-2 small (Radford et al. 2019): 12 blocks, width 768, 12
heads, 1,024 positions, 50,257 tokens; a linear layer on the last position's state replaces the
language model's head, as fine-tuned classifiers have it. 124.4 million parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

TOKENS, POSITIONS, WIDTH, HEADS, BLOCKS = 50257, 1024, 768, 12, 12


class Block(nn.Module):
    """Self-attention and a feed-forward network, each after a normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(WIDTH)
        self.c_attn = nn.Linear(WIDTH, 3 * WIDTH)
        self.c_proj = nn.Linear(WIDTH, WIDTH)
        self.ln_2 = nn.LayerNorm(WIDTH)
        self.mlp_fc = nn.Linear(WIDTH, 4 * WIDTH)
        self.mlp_proj = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(n, t, width) -> (n, t, width)."""
        n, t, _ = x.shape
        heads = self.c_attn(self.ln_1(x)).view(n, t, 3 * HEADS, WIDTH // HEADS).transpose(1, 2)
        query, key, value = heads.chunk(3, dim=1)
        seen = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.c_proj(seen.transpose(1, 2).reshape(n, t, WIDTH))
        gelu = nn.functional.gelu(self.mlp_fc(self.ln_2(x)), approximate="tanh")
        y: Tensor = x + self.mlp_proj(gelu)
        return y


class Classifier(nn.Module):
    """Token numbers to logits."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.wte = nn.Embedding(TOKENS, WIDTH)
        self.wpe = nn.Embedding(POSITIONS, WIDTH)
        self.h = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.ln_f = nn.LayerNorm(WIDTH)
        self.score = nn.Linear(WIDTH, num_classes, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, t) -> (n, classes)."""
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1], device=tokens.device))
        logits: Tensor = self.score(self.ln_f(self.h(x))[:, -1])
        return logits


def gpt2(num_classes: int = 10) -> Classifier:
    """The network, 498 MB in fp32."""
    return Classifier(num_classes)
