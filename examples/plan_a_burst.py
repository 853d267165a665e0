"""Plan a burst of requests, in Python: load a problem document, plan it, check the plan.

Two classifiers share a trunk of 8 MB; a third model shares nothing. Loading runs at 1 GB/s, a
batch takes 1 ms and 1 ms a task. Five requests wait, and their answers are due in 20 ms.
Whole-model loading has time for three, partial loading for all. The same from the command line:

    trunkline plan examples/problems/by-hand.json
"""

from pathlib import Path

import trunkline

problem = trunkline.load(Path(__file__).parent / "problems" / "by-hand.json")

for method in ("independent", "optimal"):
    plan = trunkline.plan(problem, method=method)
    print(f"\n{method}: {plan.served} of {plan.tasks} requests in time")
    for batch in plan.batches:
        print(
            f"  {batch.model:5} for {', '.join(batch.tasks)}: loads {batch.load_bytes / 1e6:.0f} "
            f"MB, done at {1000 * batch.finish_s:.0f} ms"
        )

# `check` recomputes everything from the definitions; it knows nothing of the planners.
plan = trunkline.plan(problem)
print("\nviolations of the optimal plan:", trunkline.check(problem, plan))

document = plan.to_dict()
document["batches"][1]["load_bytes"] = 0  # a plan that claims too little
print("and of one that claims too little:", *trunkline.check(problem, document), sep="\n  ")
