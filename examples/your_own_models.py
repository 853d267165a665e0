"""Your own models: import two fine-tuned variants of a network, switch between them.

The network is a small transformer encoder. Variant "letters" keeps the backbone's lower half,
variant "digits" its lower three quarters; both have a new head. (A few random steps stand in for
the fine-tuning.) The second variant costs only its own layers, on disk and to load, and its
answers are those of a normally loaded module, bit by bit.
"""

import copy
import tempfile

import torch
from torch import nn

from trunkline.runtime import Runtime, state_dict_source
from trunkline.store import Architecture, InputSpec, Store


def encoder(width: int = 256, layers: int = 8, classes: int = 10) -> nn.Module:
    """The factory: what the store remembers is its name and arguments, never code."""
    layer = nn.TransformerEncoderLayer(width, nhead=4, dim_feedforward=4 * width, batch_first=True)
    stack = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
    return nn.Sequential(stack, nn.Flatten(), nn.Linear(16 * width, classes))


def fine_tune(backbone: nn.Module, frozen: int, seed: int) -> nn.Module:
    """A variant: the lower `frozen` encoder layers untouched, everything above moved a little."""
    torch.manual_seed(seed)
    variant = copy.deepcopy(backbone).eval()
    with torch.no_grad():
        for part in [*variant[0].layers[frozen:], variant[2]]:
            for parameter in part.parameters():
                parameter.add_(0.01 * torch.randn_like(parameter))
    return variant


def main() -> None:
    torch.manual_seed(0)
    backbone = encoder()
    variants = {"letters": fine_tune(backbone, 4, seed=1), "digits": fine_tune(backbone, 6, seed=2)}

    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(folder, create=True)
        # The text is "module:callable"; a script run directly is called __main__.
        built_by = Architecture("factory", factory=f"{encoder.__module__}:encoder")
        for name, module in variants.items():
            source = state_dict_source(
                module.state_dict(), architecture=built_by, input=InputSpec((16, 256))
            )
            report = store.add(name, source)
            print(
                f"imported {name}: {report.bytes_in / 1e6:.1f} MB, of which "
                f"{report.bytes_new / 1e6:.1f} MB were new"
            )

        question = torch.randn(2, 16, 256)
        # What a store says of factories is code that its author chose: say which ones you know.
        with Runtime(store, trust=[built_by.factory]) as runtime:
            for name in ("letters", "digits", "letters"):
                switch = runtime.switch(name)
                answer = runtime.infer(name, question)
                with torch.inference_mode():
                    expected = variants[name](question)
                print(
                    f"switched to {name}: moved {switch.bytes_moved / 1e6:.1f} MB in "
                    f"{1000 * switch.seconds:.1f} ms; answers equal those of the normally loaded "
                    f"module: {torch.equal(answer, expected)}"
                )


if __name__ == "__main__":
    main()
