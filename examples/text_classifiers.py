"""Ten text classifiers fine-tuned from one backbone: weights to try Trunkline on.

    python text_classifiers.py FOLDER          # writes ten .safetensors files, 50 MB each

All of them keep the backbone's embedding of 30,000 words and some of its lower layers as they are;
the layers above, and the head, are their own. (A few random steps stand in for the fine-tuning, so
their answers mean nothing.) `classifier` is the function that builds the module:

    trunkline import news.safetensors --factory text_classifiers:classifier --input 16:int64:30000
"""

import copy
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

WORDS = 30_000
WIDTH = 256
LAYERS = 6

FROZEN = {
    "intent": 6, "language": 6, "mood": 6, "irony": 6, "news": 5, "spam": 5, "stance": 5,
    "topic": 4, "toxic": 4, "urgent": 2,
}  # fmt: skip
"""Each variant's frozen lower layers, of six; the embedding is frozen in all of them."""


class Classifier(nn.Module):
    """A transformer encoder over words, their mean, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, words: Tensor) -> Tensor:
        """(n, length) numbers of words -> (n, 5) logits."""
        logits: Tensor = self.head(self.encoder(self.words(words)).mean(1))
        return logits


def classifier() -> nn.Module:
    """The factory: what the store remembers is its name, never code."""
    return Classifier()


def backbone() -> nn.Module:
    """The network that all variants start from, the same one each time."""
    torch.manual_seed(0)
    return classifier().eval()


def fine_tune(start: nn.Module, frozen: int, seed: int) -> nn.Module:
    """A variant: the embedding and the lower `frozen` layers untouched, the rest moved a little."""
    torch.manual_seed(seed)
    variant = copy.deepcopy(start)
    with torch.no_grad():
        for part in [*variant.encoder.layers[frozen:], variant.head]:
            for parameter in part.parameters():
                parameter.add_(0.01 * torch.randn_like(parameter))
    return variant


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    start = backbone()
    for seed, (name, frozen) in enumerate(FROZEN.items(), start=1):
        path = folder / f"{name}.safetensors"
        save_file(fine_tune(start, frozen, seed).state_dict(), path)
        print(f"{path}: {frozen} of {LAYERS} layers as in the backbone")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        main(Path(sys.argv[1]))
    else:
        print(__doc__)
