"""Structured logs: one JSON object a line, written by the standard `logging`.

Nothing is set up at import: `set_up` is for the command. Of what a client sent, only the name of
the model appears, shortened.
"""

from __future__ import annotations

import json
import logging
import queue
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from typing import Any, Final, TextIO

from trunkline.errors import Reason
from trunkline.server.work import BatchRecord, LoadRecord
from trunkline.units import shorten

NAMES: Final = ("trunkline", "uvicorn")
"""The loggers that `set_up` sends to stderr."""
LONGEST_NAME: Final = 128
LONGEST_ERROR: Final = 300
_FAULTS: Final = frozenset({Reason.FAILED, Reason.UNAVAILABLE})

_LOGGER: Final = logging.getLogger("trunkline.server")


def log(level: int, event: str, **fields: Any) -> None:
    """Log an event of the server: a word, and what is to be known of it."""
    if _LOGGER.isEnabledFor(level):
        _LOGGER.log(level, event, extra={"fields": fields})


class LogObserver:
    """An observer that logs refusals, failures and late answers, and batches for debugging."""

    def received(self, model: str) -> None:
        """Not logged: what becomes of the request is."""

    def answered(self, model: str, wait_s: float, in_time: bool) -> None:
        """Logged if late."""
        if not in_time:
            log(logging.INFO, "late", model=shorten(model, LONGEST_NAME), wait_s=wait_s)

    def refused(self, model: str, reason: Reason) -> None:
        """A warning where the model or the machine is at fault."""
        level = logging.WARNING if reason in _FAULTS else logging.INFO
        log(level, "refused", model=shorten(model, LONGEST_NAME), reason=reason.value)

    def batch(self, record: BatchRecord) -> None:
        """For debugging, or a warning if it failed."""
        if not record.error and not _LOGGER.isEnabledFor(logging.DEBUG):
            return
        log(
            logging.WARNING if record.error else logging.DEBUG,
            "batch_failed" if record.error else "batch",
            model=shorten(record.model, LONGEST_NAME),
            requests=record.requests,
            samples=record.samples,
            bytes_moved=record.bytes_moved,
            bytes_asked=record.bytes_asked,
            load_s=max(0.0, record.load_end_s - record.load_begin_s),
            compute_s=max(0.0, record.compute_end_s - record.compute_begin_s),
            planned_load_s=record.planned_load_s,
            planned_compute_s=record.planned_compute_s,
            decision_s=record.decision_s,
            **({"error": shorten(record.error, LONGEST_ERROR)} if record.error else {}),
        )

    def loaded(self, record: LoadRecord) -> None:
        """Not logged."""

    def decided(self, seconds: float, waiting: int) -> None:
        """Not logged."""


class JsonLines(logging.Formatter):
    """A record as one line of JSON in ASCII: no name or message can break or colour a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, Mapping):
            line |= {key: _rounded(value) for key, value in fields.items() if key not in line}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class Logs:
    """Logging as `set_up` left it, until `close`. A thread of its own writes the lines, so that
    nobody waits for whoever reads them; lines that find the queue full are counted instead."""

    def __init__(self, level: int, stream: TextIO, most_waiting: int) -> None:
        writer = logging.StreamHandler(stream)
        writer.setFormatter(JsonLines())
        waiting: queue.Queue[logging.LogRecord] = queue.Queue(most_waiting)
        self._handler = _Dropping(waiting)
        self._listener = QueueListener(waiting, writer)
        self._before = [
            (logger, logger.level, logger.propagate, logger.handlers[:])
            for logger in map(logging.getLogger, NAMES)
        ]
        for logger, *_ in self._before:
            logger.handlers[:] = [self._handler]
            logger.setLevel(level)
            logger.propagate = False
        self._listener.start()

    def close(self) -> None:
        """Write what waits, and leave the loggers as they were."""
        for logger, level, propagate, handlers in self._before:
            logger.handlers[:] = handlers
            logger.setLevel(level)
            logger.propagate = propagate
        self._listener.stop()


def set_up(
    level: int = logging.INFO, stream: TextIO | None = None, most_waiting: int = 10_000
) -> Logs:
    """Send the server's logs, and uvicorn's, to stderr as JSON lines. For a command, not a library.

    Args:
        level: what is less grave is left out.
        stream: stderr if None.
        most_waiting: lines that may wait to be written.
    """
    return Logs(level, sys.stderr if stream is None else stream, most_waiting)


class _Dropping(QueueHandler):
    """Puts records into a queue, or drops them where it is full and says so in the next."""

    dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        if self.dropped:
            fields = getattr(record, "fields", {})
            record.fields = {**fields, "lines_dropped_before": self.dropped}
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1
        else:
            self.dropped = 0


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value
