"""In which order models use their blocks: watched once for each architecture, so that streams send
them in that order."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from trunkline.errors import TrunklineError
from trunkline.runtime import Runtime
from trunkline.runtime.inputs import generated, reason
from trunkline.store import StoredModel
from trunkline.store.building import UNEXPECTED

log = logging.getLogger(__name__)


def learn_orders(runtime: Runtime, models: Iterable[StoredModel], limit_s: float) -> None:
    """Watch a forward of one model of every architecture whose order the store does not know.

    The order is that of a real forward of weights that are here; nothing that a client says counts.
    A model that does not run on a generated input keeps the order of its manifest.

    Args:
        limit_s: no other architecture is begun after so long; what is left has its turn when the
            server is started next.
    """
    ends, refused = time.monotonic() + limit_s, set()
    for model in models:
        if model.input is None or model.architecture is None:
            continue
        if model.architecture.key in refused or runtime.store.orders.knows(model):
            continue
        if time.monotonic() > ends:
            log.warning("the order of use is not known of model %r and others", model.name)
            return
        try:
            runtime.verify(model.name)
            batch = generated(model.input, 0)[None]
            runtime.infer_while_loading(model.name, batch, at_once=True)
        except TrunklineError as error:
            log.warning("the order of use is not known: %s", error)
        except UNEXPECTED as error:  # a forward may raise anything
            log.warning("the order of use is not known of %r: %s", model.name, reason(error))
            refused.add(model.architecture.key)
