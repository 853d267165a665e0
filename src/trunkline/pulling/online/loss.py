"""The loss of serving a request: of its accuracy and its delay, between 0 and 1."""

from __future__ import annotations

import numpy as np

from trunkline.pulling.online.context import Floats


def serving_loss(
    accuracy: Floats | float, delay_s: Floats | float, weight: float, norm_s: float
) -> Floats:
    """xi (-ln accuracy) + (1 - xi) delay/norm, clipped to [0, 1].

    Args:
        accuracy: of the model for the request; 0 (no answer) gives 1 unless xi is 0.
        delay_s: from the request to its answer.
        weight: xi, 0 to 1.
        norm_s: the delay that counts as 1.
    """
    surprise = -np.log(np.maximum(accuracy, 1e-300))
    return np.clip(weight * surprise + (1.0 - weight) * np.asarray(delay_s) / norm_s, 0.0, 1.0)
