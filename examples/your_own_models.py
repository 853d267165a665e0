"""Your own models from Python: import two fine-tuned variants of a network, switch between them.

The network is the one of text_classifiers.py. Variant "topic" keeps the lower four of the
backbone's six layers, variant "news" five. The second variant costs only its own layers, on disk
and to load, and its answers are those of a normally loaded module, bit by bit.
"""

import tempfile

import torch
from text_classifiers import WORDS, backbone, fine_tune

from trunkline.runtime import Runtime, state_dict_source
from trunkline.store import Architecture, InputSpec, Store


def main() -> None:
    start = backbone()
    variants = {"topic": fine_tune(start, 4, seed=1), "news": fine_tune(start, 5, seed=2)}

    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(folder, create=True)
        built_by = Architecture("factory", factory="text_classifiers:classifier")
        for name, module in variants.items():
            source = state_dict_source(
                module.state_dict(), architecture=built_by, input=InputSpec((16,), "int64", WORDS)
            )
            report = store.add(name, source)
            print(
                f"imported {name}: {report.bytes_in / 1e6:.1f} MB, of which "
                f"{report.bytes_new / 1e6:.1f} MB were new"
            )

        question = torch.randint(WORDS, (2, 16))
        # What a store says of factories is code that its author chose: say which ones you know.
        with Runtime(store, trust=[built_by.factory]) as runtime:
            for name in variants:
                runtime.prepare(name)  # builds the module, which takes longer than any load
            for name in ("topic", "news", "topic"):
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
