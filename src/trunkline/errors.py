"""The one tree of errors that Trunkline raises on purpose.

Every message names the value, the rule it breaks, and the place (a path inside a document, a file,
a digest). The command line prints the message of any `TrunklineError` and exits with status 2;
anything else that escapes is a bug.
"""

from __future__ import annotations

from enum import StrEnum


class TrunklineError(Exception):
    """Base of every error that Trunkline raises on purpose."""


class DocumentError(TrunklineError, ValueError):
    """A document that cannot be used.

    Attributes:
        path: where in the document, as a JSON path (`$.models[3].blocks[0]`).
        problem: what is wrong there, without the path.
        source: the file it came from, or None for a dict.
    """

    def __init__(self, path: str, problem: str, source: str | None = None) -> None:
        self.path = path
        self.problem = problem
        self.source = source
        whole = source and path == "$"  # the file's name says it already
        super().__init__(
            ": ".join(part for part in (source, "" if whole else path, problem) if part)
        )


class PlanningError(TrunklineError):
    """A planner cannot answer what it was asked."""


class UnknownMethodError(PlanningError, ValueError):
    """No method of that name exists for this kind of problem."""


class UnsupportedProblemError(PlanningError, ValueError):
    """The method exists but does not cover this problem (its structure, its size, or a field)."""


class AccessError(PlanningError):
    """A learner wants to read more of a request's features than it may."""


class StoreError(TrunklineError):
    """Something is wrong with a store, or with what was to be put in it."""


class NotInStoreError(StoreError, KeyError):
    """No such model or block in the store."""

    def __str__(self) -> str:  # KeyError would show the repr
        return str(self.args[0])


class StoreBusyError(StoreError):
    """Another process holds the store's lock."""


class WeightsFormatError(StoreError, ValueError):
    """A weights file that is not what its format demands (or is a format that is refused)."""


class CorruptBlobError(StoreError):
    """A blob whose length or content does not match its digest."""


class RemoteError(TrunklineError):
    """Another machine refuses, cannot be reached, or breaks the protocol.

    Attributes:
        status: of its HTTP response, None if there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class UnavailableError(RemoteError):
    """It may answer another time: a lost connection, status 429 or 5xx.

    Attributes:
        retry_after_s: when it asks to be asked again, None if it does not say.
    """

    def __init__(
        self, message: str, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, status)
        self.retry_after_s = retry_after_s


class RegistryError(RemoteError):
    """A registry refuses, cannot be reached, or breaks the protocol."""


class RegistryUnavailableError(UnavailableError, RegistryError):
    """A registry that may answer another time."""


class StreamError(RemoteError):
    """A model that is being streamed does not come as promised, or the server refuses."""


class StreamUnavailableError(UnavailableError, StreamError):
    """A server of streams that may answer another time."""


class ArchitectureError(TrunklineError, ValueError):
    """Weights and architecture do not fit, or an architecture cannot be built."""


class UntrustedFactoryError(ArchitectureError):
    """A store names code that nobody on this machine has named."""


class MemoryBudgetError(TrunklineError):
    """A model does not fit in the memory budget."""


class ProfileError(TrunklineError):
    """A profile lacks what is asked of it, or a measurement failed."""


class InputError(TrunklineError, ValueError):
    """An input (a tensor file, a list of tasks, an option) that cannot be used."""


class Reason(StrEnum):
    """Why a request was not answered."""

    DEADLINE = "deadline"
    """It could not be answered in time any more, and was never begun."""
    LATE = "late"
    """Its batch was begun in time and did not end in time."""
    QUEUE_FULL = "queue_full"
    DRAINING = "draining"
    """The server is stopping."""
    UNAVAILABLE = "unavailable"
    """The model cannot be served now: a damaged blob, a full disk, a forward that hangs."""
    FAILED = "failed"
    """The model's forward raised, or returned NaN."""
    CANCELLED = "cancelled"
    """The client went away before its batch began."""


class RefusedError(TrunklineError):
    """A request that the server will not answer now.

    Attributes:
        reason: why.
        retry_after_s: when it may be worth another try, None if that is not known.
    """

    def __init__(self, reason: Reason, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_s = retry_after_s


class ModelFailedError(TrunklineError):
    """A model's own fault: its forward raised, or returned NaN. The model goes on being served."""


class UnknownModelError(TrunklineError, KeyError):
    """No model of that name is served."""

    def __str__(self) -> str:  # KeyError would show the repr
        return str(self.args[0])


class HttpError(TrunklineError):
    """An HTTP request that is refused before any model is asked.

    Attributes:
        status: of the response.
        headers: that the response carries beside the usual ones.
    """

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
