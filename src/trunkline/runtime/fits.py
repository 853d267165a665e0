"""From what loads and forwards took to lines: V for loading, beta and mu for computing."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from trunkline.errors import ProfileError
from trunkline.links import LineFit, Stage, fit_line
from trunkline.runtime.profile import ComputingFit, LoadingFit, input_label, weights_label
from trunkline.store import StoredModel

LEAST_SIZES = 4
"""With fewer batch sizes than this, none is left out of the line."""
NOTED_ERROR = 0.25
"""A batch size that is off the line by more than this part is told of."""


def fit_loading(loads: Sequence[tuple[int, float]]) -> LoadingFit:
    """The line through loads of (bytes, seconds); loads of nothing don't count.

    Raises:
        ProfileError: nothing was loaded.
    """
    moved = [(size, seconds) for size, seconds in loads if size > 0]
    if not moved:
        raise ProfileError("the models have no weights to load")
    sizes = [float(size) for size, _ in moved]
    fit = fit_line(sizes, [seconds for _, seconds in moved])
    if fit.slope_s <= 0:  # all of one size, or too small for the bytes to show
        fit = LineFit(0.0, statistics.median(s / b for b, s in moved), 0.0, len(moved))
    error = statistics.median(abs(fit.seconds(size) - s) / s for size, s in moved)
    stage = Stage(1.0 / fit.slope_s, fit.intercept_s)
    return LoadingFit(stage, error, len(moved), int(min(sizes)), int(max(sizes)))


def fit_computing(
    key: str,
    model: StoredModel,
    seconds: Mapping[int, Sequence[float]],
    peaks: Mapping[int, int],
    notes: list[str],
) -> ComputingFit:
    """beta and mu from the medians; the error is that of single forwards.

    Args:
        key: `computing_key` of the models that the entry is for.
        model: one of them.
        seconds: batch size -> what its forwards took.
        peaks: batch size -> peak bytes.
        notes: takes a note of every batch size that is far off the line.
    """
    label = model.architecture.label if model.architecture else key
    medians = {size: statistics.median(times) for size, times in seconds.items()}
    fit = line_over_batches(medians)
    for size, median in medians.items():
        if abs(fit.seconds(size) - median) > NOTED_ERROR * median:
            notes.append(
                f"{label}: a batch of {size} takes {median * 1e3:.3g} ms, the line through the "
                f"batch sizes says {fit.seconds(size) * 1e3:.3g}"
            )
    points = [(size, s) for size, times in seconds.items() for s in times]
    memory = fit_line(list(peaks), [max(1, peak) for peak in peaks.values()])
    return ComputingFit(
        key=key,
        label=label,
        seconds_per_batch=fit.intercept_s,
        seconds_per_task=fit.slope_s,
        median_relative_error=statistics.median(abs(fit.seconds(b) - s) / s for b, s in points),
        bytes_per_batch=memory.intercept_s,
        bytes_per_task=memory.slope_s,
        seconds=medians,
        peak_bytes=peaks,
        input=input_label(model.input) if model.input else "",
        weights=weights_label(model),
    )


def line_over_batches(medians: Mapping[int, float]) -> LineFit:
    """The line through batch sizes; without the smallest where the others lie on one and it does
    not (kernels take another way for a single image, often twice as fast as the line says)."""
    sizes, seconds = list(medians), list(medians.values())
    whole = fit_line(sizes, seconds)
    if len(sizes) < LEAST_SIZES:
        return whole
    rest = fit_line(sizes[1:], seconds[1:])
    straight = rest.median_relative_error < whole.median_relative_error / 2
    return rest if straight else whole
