"""Metrics of streams."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.server.streams.streaming import Clock, layout_of
from trunkline.errors import RefusedError
from trunkline.server.metrics import Metrics
from trunkline.server.streams.counting import StreamMetrics
from trunkline.server.streams.transfers import StreamLimits, Transfers
from trunkline.server.streams.wish import Wish
from trunkline.server.tally import Tally


def test_what_is_counted() -> None:
    """Of two that are open one is read and has got 100 bytes; one was refused for its deadline, one
    since the server was full."""
    transfers = Transfers(StreamLimits(1000.0, most=2), Clock())
    with pytest.raises(RefusedError):
        transfers.open(layout_of([1000]), Wish(deadline_s=0.5))
    first = transfers.open(layout_of([1000]), Wish())
    transfers.open(layout_of([1000]), Wish())
    with pytest.raises(RefusedError):
        transfers.open(layout_of([1000]), Wish())
    metrics = Metrics(Tally())
    metrics.include(StreamMetrics(transfers))
    with transfers.reading(first, 0):
        transfers.sent(first, 100, 100)
        families = list(text_string_to_metric_families(metrics.exposition().decode()))
    found = {
        (one.name, *one.labels.values()): one.value for family in families for one in family.samples
    }
    assert found["trunkline_streams_open",] == 2
    assert found["trunkline_streams_sending",] == 1
    assert found["trunkline_streams_opened_total",] == 2
    assert found["trunkline_stream_bytes_total",] == 100
    assert found["trunkline_streams_refused_total", "deadline"] == 1
    assert found["trunkline_streams_refused_total", "queue_full"] == 1
