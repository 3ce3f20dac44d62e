"""The exception tree. Knows no HTTP: `api/problems.py` maps each class to one status.

AppError
├── MalformedRequestError       the bytes are not the JSON or multipart that they claim to be
├── SlowRequestError            the body did not arrive in time
├── InvalidInputError           the request is well formed but cannot be used
├── PayloadTooLargeError        over a stated limit of bytes, pixels, seconds, frames or characters
├── UnsupportedMediaError       a media type that is not read here
├── AuthenticationError         no or wrong API key
├── ForbiddenError              a key that is known, and may not do this
├── NotFoundError               an id that is not known
├── ConflictError               the request contradicts what is there: a reused Idempotency-Key, a run that is over
│   └── LeaseLostError          a worker writes to a training run that is not its own any more
├── OverloadedError             the queue is full; try again later
├── DeadlineError               the answer did not come within the deadline
├── NotReadyError               models are still loading
├── StorageError                the database cannot take the row (disk full, locked for too long)
└── ArtifactError               a model folder, knowledge file or setting that must not be served

`code` is stable and documented in docs/API.md; `params` fill the message. Neither ever holds patient text.
"""

from __future__ import annotations


class AppError(Exception):
    """Base of every expected failure. `code` selects the message in the caller's language."""

    def __init__(self, code: str, **params: str | int | float) -> None:
        super().__init__(code)
        self.code = code
        self.params = params

    def __str__(self) -> str:
        detail = ", ".join(f"{key}={value}" for key, value in self.params.items())
        return f"{self.code} ({detail})" if detail else self.code


class MalformedRequestError(AppError):
    """The bytes are not the JSON or multipart that they claim to be."""


class SlowRequestError(AppError):
    """The body did not arrive in time."""


class InvalidInputError(AppError):
    """The request is well formed but cannot be used."""


class PayloadTooLargeError(AppError):
    """Over a stated limit; `params` name the limit."""


class UnsupportedMediaError(AppError):
    """A media type that is not read here."""


class AuthenticationError(AppError):
    """No API key, or a wrong one."""


class ForbiddenError(AppError):
    """A caller who is known, and may not do this."""


class NotFoundError(AppError):
    """An id that is not known."""


class ConflictError(AppError):
    """The request contradicts what is there, such as an Idempotency-Key that was used for a different request."""


class LeaseLostError(ConflictError):
    """A worker writes to a training run that another one has taken up, or that is over. Nothing was written."""

    def __init__(self, run_id: str) -> None:
        super().__init__("lease_lost", run_id=run_id)


class OverloadedError(AppError):
    """The queue is full. `retry_after_s` is in `params`."""


class DeadlineError(AppError):
    """The answer did not come within the deadline."""


class NotReadyError(AppError):
    """Models are still loading or failed to load."""


class StorageError(AppError):
    """The database cannot take the row now."""


class ArtifactError(AppError):
    """A model folder, knowledge file or setting that must not be served; `reason` is one line."""
