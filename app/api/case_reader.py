"""A parsed JSON or multipart body to a `CaseRequest`: fields checked, text cleaned, media still encoded files.

Runs on a thread: a body may be tens of megabytes. Says what language the caller asked for as soon as it can be read, so
that also the refusal of a bad body is worded in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.api.body import parse_json
from app.api.multipart import Part, parse_multipart
from app.api.schemas import MAX_IMAGES, AnalyzeRequest, PatientRequest
from app.api.text import clean
from app.api.validation import FieldError, ValidationFailedError, validate
from app.domain import CaseRequest, Language, Patient
from app.errors import AppError, InvalidInputError, MalformedRequestError, PayloadTooLargeError
from app.media import MediaLimits, decode_inline
from app.services.decoding import image_field
from app.services.language import detect_language

_FILES = ("image", "audio", "video")
_FIELDS = ("text", *_FILES, "language", "explain", "patient")
_BOOLEANS = (b"true", b"false")
_NFC_GROWTH = 4
"""No text shrinks by more than this when it is composed: a longer one need not be looked at."""


@dataclass(frozen=True, slots=True)
class InputLimits:
    max_text_chars: int
    media: MediaLimits


@dataclass(frozen=True, slots=True)
class CaseReading:
    """A case or the reason why there is none; `language` is what the body asked for, where it could be read."""

    language: Language | None
    outcome: CaseRequest | AppError

    def require(self) -> CaseRequest:
        """The case, or the reason why there is none, raised."""
        if isinstance(self.outcome, AppError):
            raise self.outcome
        return self.outcome


def read_json_case(body: bytes, limits: InputLimits) -> CaseReading:
    """Never raises an AppError: it is in the reading."""
    language: Language | None = None
    try:
        value = parse_json(body)
        language = _readable_language(value)
        return _reading(_case_of_json(validate(AnalyzeRequest, value), limits))
    except AppError as error:
        return CaseReading(language, error)


def read_multipart_case(content_type: str, body: bytes, limits: InputLimits) -> CaseReading:
    """Never raises an AppError: it is in the reading."""
    language: Language | None = None
    try:
        parts = [part for part in parse_multipart(content_type, body) if not part.is_blank_file]
        language = next((_language(part.data) for part in parts if part.name == "language"), None)
        _check_parts(parts)
        return _reading(_case_of_parts(parts, limits))
    except AppError as error:
        return CaseReading(language, error)


def explain_in_query(values: Sequence[str]) -> bool | None:
    """What the query parameter `explain`, given so often, asks for; None where it is not there.

    ValidationFailedError.
    """
    if len(values) > 1:
        raise ValidationFailedError([FieldError("/explain", "field_repeated")])
    if any(value not in {"true", "false"} for value in values):
        raise ValidationFailedError([FieldError("/explain", "not_a_boolean")])
    return values[0] == "true" if values else None


def clean_text(text: str | None, max_chars: int, *, at: str = "/text") -> str | None:
    """The text cleaned; None where nothing is left of it.

    ValidationFailedError for a null character, PayloadTooLargeError over `max_chars`.
    """
    if text is None:
        return None
    if len(text) > max_chars * _NFC_GROWTH:
        raise PayloadTooLargeError("text_too_long", limit=max_chars)
    if "\x00" in text:
        raise ValidationFailedError([FieldError(at, "null_character")])
    cleaned = clean(text)
    if len(cleaned) > max_chars:
        raise PayloadTooLargeError("text_too_long", limit=max_chars)
    return cleaned or None


def _reading(case: CaseRequest) -> CaseReading:
    if case.text is None and not case.images and case.audio is None and case.video is None:
        raise InvalidInputError("case_empty")
    asked = case.language or (detect_language(case.text) if case.text else None)
    return CaseReading(asked, replace(case, language=asked))


def _case_of_json(request: AnalyzeRequest, limits: InputLimits) -> CaseRequest:
    media = limits.media
    given = request.image or ()
    images = tuple(
        decode_inline(value, max_bytes=media.max_image_bytes, field=image_field(index, len(given)))
        for index, value in enumerate(given)
    )
    audio, video = request.audio, request.video
    return CaseRequest(
        text=clean_text(request.text, limits.max_text_chars),
        images=images,
        audio=None if audio is None else decode_inline(audio, max_bytes=media.max_audio_bytes, field="audio"),
        video=None if video is None else decode_inline(video, max_bytes=media.max_video_bytes, field="video"),
        patient=Patient() if request.patient is None else request.patient.to_domain(),
        language=request.language,
        explain=bool(request.explain),
    )


def _case_of_parts(parts: Sequence[Part], limits: InputLimits) -> CaseRequest:
    by_name = {part.name: part for part in parts}
    text = by_name.get("text")
    patient = by_name.get("patient")
    language = by_name.get("language")
    return CaseRequest(
        text=None if text is None else clean_text(_utf8(text), limits.max_text_chars),
        images=tuple(bytes(part.data) for part in parts if part.name == "image"),
        audio=bytes(by_name["audio"].data) if "audio" in by_name else None,
        video=bytes(by_name["video"].data) if "video" in by_name else None,
        patient=Patient() if patient is None else _patient(patient),
        language=None if language is None else _language(language.data),
        explain="explain" in by_name and by_name["explain"].data == b"true",
    )


def _check_parts(parts: Sequence[Part]) -> None:
    """Known names, each once, images up to their number; ValidationFailedError."""
    wrong: list[FieldError] = []
    names = [part.name for part in parts]
    if any(name not in _FIELDS for name in names):
        wrong.append(FieldError("", "field_unknown", {"known": ", ".join(_FIELDS)}))
    wrong += [FieldError(f"/{name}", "field_repeated") for name in _FIELDS if name != "image" and names.count(name) > 1]
    if names.count("image") > MAX_IMAGES:
        wrong.append(FieldError("/image", "too_long", {"limit": MAX_IMAGES}))
    language = next((part for part in parts if part.name == "language"), None)
    if language is not None and _language(language.data) is None:
        wrong.append(FieldError("/language", "not_a_choice", {"choices": "en or ko"}))
    if any(part.name == "explain" and part.data not in _BOOLEANS for part in parts):
        wrong.append(FieldError("/explain", "not_a_boolean"))
    if wrong:
        raise ValidationFailedError(wrong)


def _patient(part: Part) -> Patient:
    try:
        value = parse_json(bytes(part.data))
    except MalformedRequestError:
        raise ValidationFailedError([FieldError("/patient", "not_json")]) from None
    return validate(PatientRequest, value, at="/patient").to_domain()


def _utf8(part: Part) -> str:
    try:
        return part.data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValidationFailedError([FieldError(f"/{part.name}", "not_utf8")]) from None


def _language(data: bytes | bytearray) -> Language | None:
    if data == b"ko":
        return "ko"
    return "en" if data == b"en" else None


def _readable_language(value: object) -> Language | None:
    given = value.get("language") if isinstance(value, dict) else None
    return _language(given.encode()) if isinstance(given, str) else None
