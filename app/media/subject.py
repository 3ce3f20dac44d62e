"""What is being decoded, and the errors it can end in: one place for every media code.

    <kind>_empty  <kind>_damaged                         InvalidInputError
    <kind>_unsupported                                   UnsupportedMediaError
    <kind>_too_large  <kind>_too_long  <kind>_too_many_pixels  <kind>_too_complex   PayloadTooLargeError

`kind` is image, audio or video; `field` in the params says which part of the request it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from app.errors import AppError, InvalidInputError, PayloadTooLargeError, UnsupportedMediaError

_ENCODER_PADDING_SECONDS = 0.25

MediaKind = Literal["image", "audio", "video"]


class WorkLimitError(Exception):
    """Decoding used up its share of time, reads or packets. Never leaves this package."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One medium of one request, named for the caller by `field` (for example `image[2]`)."""

    kind: MediaKind
    field: str

    def empty(self) -> InvalidInputError:
        return InvalidInputError(f"{self.kind}_empty", field=self.field)

    def damaged(self, reason: str) -> InvalidInputError:
        """`reason` is a word of ours or an exception's class name: never the file's content."""
        return InvalidInputError(f"{self.kind}_damaged", field=self.field, reason=reason)

    def invalid(self, suffix: str, **params: str | int | float) -> InvalidInputError:
        return InvalidInputError(f"{self.kind}_{suffix}", field=self.field, **params)

    def unsupported(self, what: str) -> UnsupportedMediaError:
        return UnsupportedMediaError(f"{self.kind}_unsupported", field=self.field, what=what)

    def too_large(self, limit_bytes: int) -> PayloadTooLargeError:
        return PayloadTooLargeError(f"{self.kind}_too_large", field=self.field, limit_bytes=limit_bytes)

    def too_long(self, limit_seconds: float) -> PayloadTooLargeError:
        return PayloadTooLargeError(f"{self.kind}_too_long", field=self.field, limit_seconds=limit_seconds)

    def too_many_pixels(self, limit_pixels: int) -> PayloadTooLargeError:
        return PayloadTooLargeError(f"{self.kind}_too_many_pixels", field=self.field, limit_pixels=limit_pixels)

    def too_complex(self, reason: str) -> PayloadTooLargeError:
        return PayloadTooLargeError(f"{self.kind}_too_complex", field=self.field, reason=reason)

    def check_size(self, data: bytes, limit_bytes: int) -> None:
        """Raises `<kind>_empty` or `<kind>_too_large`."""
        if not data:
            raise self.empty()
        if len(data) > limit_bytes:
            raise self.too_large(limit_bytes)

    def check_length(self, seconds: float, limit_seconds: float) -> None:
        """Raises `<kind>_too_long`. A quarter second is let pass: lossy encoders add a little silence."""
        if seconds > limit_seconds + _ENCODER_PADDING_SECONDS:
            raise self.too_long(limit_seconds)

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Everything that a library raises inside becomes `<kind>_damaged`; our own errors pass.

        The library's exception is dropped on purpose: its text can quote the file, and files name patients.
        """
        try:
            yield
        except AppError:
            raise
        except (WorkLimitError, MemoryError) as error:
            raise self.too_complex(type(error).__name__) from None
        except Exception as error:  # noqa: BLE001 - third-party decoders document no complete set of exceptions
            raise self.damaged(type(error).__name__) from None
