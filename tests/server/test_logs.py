"""Logs: JSON lines, set up only on demand."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
from typing import Any

import pytest

from tests.server.still_engine import record
from trunkline.errors import Reason
from trunkline.server import logs
from trunkline.server.logs import LogObserver, log, set_up


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """What was logged."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_events_by_level() -> None:
    """Refusals are information, faults warnings, good batches only for debugging."""
    stream = io.StringIO()
    running = set_up(logging.DEBUG, stream)
    observer = LogObserver()
    observer.refused("a", Reason.DEADLINE)
    observer.refused("a", Reason.FAILED)
    observer.answered("a", 0.1, True)
    observer.answered("a", 0.2, False)
    observer.batch(record("a"))
    observer.batch(record("b", error="broken"))
    running.close()
    found = lines(stream)
    assert [(one["level"], one["event"]) for one in found] == [
        ("info", "refused"), ("warning", "refused"), ("info", "late"), ("debug", "batch"),
        ("warning", "batch_failed"),
    ]  # fmt: skip
    assert found[1]["reason"] == "failed"
    assert found[3]["compute_s"] == 0.03
    assert found[4]["error"] == "broken"


@pytest.mark.parametrize(
    "name", ["a\nb", '"}', "\x1b[31m", "\x9b2J", "\u2028", "\udc80", "x" * 999]
)
def test_names_break_no_line(name: str) -> None:
    """Whatever a client calls a model, it is one short line of plain ASCII."""
    stream = io.StringIO()
    running = set_up(logging.INFO, stream)
    LogObserver().refused(name, Reason.UNAVAILABLE)
    running.close()
    text = stream.getvalue()
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert all(" " <= one <= "~" for one in text[:-1])
    assert len(text) < 400
    found = lines(stream)[0]["model"]
    assert found == name or found.startswith("xxx")


def test_close_leaves_no_trace() -> None:
    """After `close` the loggers are as they were, and nothing more is written."""
    loggers = [logging.getLogger(name) for name in logs.NAMES]
    before = [(one.level, one.propagate, one.handlers[:]) for one in loggers]
    stream = io.StringIO()
    set_up(logging.DEBUG, stream).close()
    assert [(one.level, one.propagate, one.handlers[:]) for one in loggers] == before
    log(logging.ERROR, "after")
    assert not stream.getvalue()


def test_import_sets_nothing_up() -> None:
    """Importing the server gives no logger a handler."""
    code = (
        "import logging, trunkline.server.operations\n"
        "loggers = [logging.root, *map(logging.getLogger, logging.root.manager.loggerDict)]\n"
        "print([h for one in loggers if one.name.startswith(('root', 'trunkline', 'uvicorn'))"
        " for h in one.handlers])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_a_reader_that_stops_stops_nobody() -> None:
    """While nobody reads, the server goes on, and the next line says how many were lost."""

    class Stopped(io.StringIO):
        reading, arrived = threading.Event(), threading.Event()

        def write(self, text: str) -> int:
            self.arrived.set()
            self.reading.wait(30)
            return super().write(text)

    stream = Stopped()
    running = set_up(logging.INFO, stream, most_waiting=2)
    log(logging.INFO, "first")
    assert stream.arrived.wait(30)
    for i in range(10):
        log(logging.INFO, f"more-{i}")
    stream.reading.set()
    running._listener.queue.join()
    log(logging.INFO, "last")
    running.close()
    found = lines(stream)
    assert [one["event"] for one in found] == ["first", "more-0", "more-1", "last"]
    assert found[-1]["lines_dropped_before"] == 8


def test_exceptions_are_one_line() -> None:
    """A traceback stands within its line."""
    stream = io.StringIO()
    running = set_up(logging.INFO, stream)
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("failed")
    running.close()
    (found,) = lines(stream)
    assert found["logger"] == "uvicorn.error"
    assert "ValueError: why" in json.dumps(found)
