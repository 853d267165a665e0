"""How long a request can wait: `parameters.timeout`, a header, or the server's default."""

from __future__ import annotations

import re
from typing import Final

from trunkline.errors import InputError
from trunkline.server.protocol import Parameters
from trunkline.server.work import Limits

TIMEOUT_HEADER: Final = "Trunkline-Timeout-Ms"

_MILLISECONDS: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)


def timeout_s(parameters: Parameters, header: str | None, limits: Limits) -> float:
    """The seconds from a request's arrival to its deadline.

    The parameter `timeout` is a whole number of microseconds, as Triton's clients send it; the
    header `Trunkline-Timeout-Ms` is in milliseconds. The shorter one holds if both come, and the
    default if none does or `timeout` is 0. Nothing waits longer than the longest.

    Raises:
        InputError: either is no such number, or negative.
    """
    asked = [
        found for found in (_parameter(parameters.get("timeout")), _header(header)) if found
    ] or [limits.default_timeout_s]
    return min(*asked, limits.longest_timeout_s)


def _parameter(value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InputError(
            "parameter 'timeout': a whole number of microseconds of at least 0, got "
            f"{str(value)[:40]!r}"
        )
    return min(value, 10**15) / 1e6


def _header(value: str | None) -> float | None:
    if value is None:
        return None
    if not _MILLISECONDS.fullmatch(value):
        raise InputError(f"{TIMEOUT_HEADER}: a number of milliseconds, got {value[:40]!r}")
    return float(value) / 1e3
