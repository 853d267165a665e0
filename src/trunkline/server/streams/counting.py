"""Prometheus metrics of streams, read at every scrape."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trunkline.errors import Reason
from trunkline.server.streams.transfers import Transfers


class StreamMetrics(Collector):
    """Shows what the transfers count."""

    def __init__(self, transfers: Transfers) -> None:
        self._transfers = transfers

    def collect(self) -> Iterator[Metric]:
        """The metrics."""
        counts = self._transfers.counts
        yield GaugeMetricFamily(
            "trunkline_streams_open", "Streams that are open.", len(self._transfers)
        )
        yield GaugeMetricFamily(
            "trunkline_streams_sending", "Streams that are being read.", self._transfers.sending
        )
        yield CounterMetricFamily(
            "trunkline_streams_opened", "Streams that were opened.", counts.opened
        )
        yield CounterMetricFamily(
            "trunkline_stream_bytes", "Bytes sent in streams, headers included.", counts.bytes
        )
        refused = CounterMetricFamily(
            "trunkline_streams_refused",
            "Streams that were not opened, by reason.",
            labels=["reason"],
        )
        refused.add_metric([Reason.DEADLINE.value], counts.refused_deadline)
        refused.add_metric([Reason.QUEUE_FULL.value], counts.refused_full)
        yield refused
