"""What the status page shows of a moment, as a JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from trunkline.server.sharing import Sharing
from trunkline.server.tally import Counts
from trunkline.server.work import BatchRecord, Engine, ServedModel, Snapshot

BATCH_SECONDS: Final = 12.0
"""How far back the page's timeline goes."""
BATCH_MOST: Final = 240
LONGEST_TEXT: Final = 300


def status(
    engine: Engine,
    snapshot: Snapshot,
    sharing: Sharing,
    counts: Counts,
    batches: Sequence[BatchRecord],
) -> dict[str, Any]:
    """The document: bytes, and seconds before the moment of the snapshot (`*_ago_s`)."""
    shared, own = sharing.resident(snapshot.resident)
    return {
        "ready": engine.ready,
        "live": engine.live,
        "draining": snapshot.draining,
        "device": snapshot.device,
        "computing": snapshot.computing,
        "loading": snapshot.loading,
        "stuck": snapshot.stuck,
        "library": sharing.key,
        "memory": {
            "budget_bytes": snapshot.memory_bytes,
            "resident_bytes": snapshot.resident_bytes,
            "resident_blocks": len(snapshot.resident),
            "shared_bytes": shared,
            "own_bytes": own,
            "whole_bytes": sum(model.resident_bytes for model in snapshot.models),
        },
        "requests": _requests(counts, snapshot),
        "models": [_model(model, sharing) for model in snapshot.models],
        "batches": [_batch(record, snapshot.now_s) for record in batches],
        "timeline_s": BATCH_SECONDS,
    }


def _requests(counts: Counts, snapshot: Snapshot) -> dict[str, Any]:
    return {
        "received": counts.received,
        "in_time": counts.in_time,
        "late": counts.late,
        "refused": {reason.value: count for reason, count in counts.refused.items()},
        "in_flight": counts.in_flight,
        "waiting": sum(model.waiting for model in snapshot.models),
        "batches": counts.batches,
        "failed_batches": counts.failed,
        "bytes_moved": counts.bytes_moved,
        "bytes_asked": counts.bytes_asked,
        "recent": [[one.ago, one.in_time, one.late, one.refused] for one in counts.recent],
    }


def _model(model: ServedModel, sharing: Sharing) -> dict[str, Any]:
    # A model that holds a block twice has it once in memory: the library counts it once.
    whole = sharing.library.model_bytes[sharing.library.index(model.name)]
    return {
        "name": model.name,
        "state": model.state.value,
        "reason": model.reason[:LONGEST_TEXT],
        "bytes": whole,
        "shared_bytes": whole - sharing.own_bytes[model.name],
        "resident_bytes": model.resident_bytes,
        "waiting": model.waiting,
    }


def _batch(record: BatchRecord, now_s: float) -> dict[str, Any]:
    return {
        "model": record.model,
        "requests": record.requests,
        "samples": record.samples,
        "bytes_moved": record.bytes_moved,
        "bytes_asked": record.bytes_asked,
        "load_ago_s": [now_s - record.load_begin_s, now_s - record.load_end_s],
        "compute_ago_s": [now_s - record.compute_begin_s, now_s - record.compute_end_s],
        "planned_s": record.planned_load_s + record.planned_compute_s,
        "error": record.error[:LONGEST_TEXT],
    }
