"""The most memory that one forward allocates at a time, beside the weights.

On the host: PyTorch's own record of what its allocator hands out and takes back, so activations and
the work space that kernels ask PyTorch for. What a kernel allocates by itself is not in it. On CUDA
the allocator's peak.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from trunkline.runtime.runtime import Runtime


def peak_bytes(runtime: Runtime, name: str, batch: torch.Tensor) -> int:
    """Peak bytes that `runtime.infer(name, batch)` allocates; the model is resident."""
    runtime.infer(name, batch)  # one-time work space is none of the batch's
    if runtime.device.type == "cuda":
        before = torch.cuda.memory_allocated(runtime.device)
        torch.cuda.reset_peak_memory_stats(runtime.device)
        runtime.infer(name, batch)
        runtime.synchronize()
        return max(0, torch.cuda.max_memory_allocated(runtime.device) - before)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it would announce itself on standard error
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as recorded:
        runtime.infer(name, batch)
    with tempfile.TemporaryDirectory(prefix="trunkline-") as folder:
        path = Path(folder) / "trace.json"
        recorded.export_chrome_trace(str(path))
        return _highest(json.loads(path.read_text(encoding="utf-8"))["traceEvents"])


def _highest(events: list[dict[str, Any]]) -> int:
    """The highest level of the running sum of allocations and releases."""
    level = highest = 0
    changes = [event for event in events if event.get("name") == "[memory]"]
    for event in sorted(changes, key=lambda event: float(event["ts"])):
        level += int(event["args"]["Bytes"])
        highest = max(highest, level)
    return highest
