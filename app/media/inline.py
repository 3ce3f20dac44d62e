"""Media inside JSON: base64 or a `data:` URI. A path or a URL is refused by name; nothing is opened or fetched."""

from __future__ import annotations

import base64
import binascii
import re
from typing import cast, get_args

from app.errors import InvalidInputError, UnsupportedMediaError
from app.media.sniff import is_mp3_header
from app.media.subject import MediaKind, Subject

_WHITESPACE = str.maketrans("", "", " \t\r\n")
_URLSAFE = str.maketrans("-_", "+/")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,31}:")
_FILE_NAME = re.compile(r"[^\s]{1,1024}[./\\][^\s/\\.]{1,64}")
_DATA_HEADER = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?P<params>(?:;[^,;]*)*)", re.IGNORECASE)
_MAX_DATA_HEADER = 256
_MAX_REFERENCE = 2048
_SHORTEST_MP3 = 256
_PIECE_CHARS = 1 << 20
"""Decoded at once: one call holds the interpreter, and with it every other request, until it is done."""
_NEUTRAL_TYPES = frozenset({"application/octet-stream", "binary/octet-stream"})
_EXTRA_TYPES: dict[MediaKind, frozenset[str]] = {
    "image": frozenset({"application/dicom"}),
    "audio": frozenset({"application/ogg"}),
    "video": frozenset(),
}


def decode_inline(value: str, *, max_bytes: int, field: str) -> bytes:
    """The bytes that `value` carries: standard or URL-safe base64, padded or not, wrapped lines allowed.

    `field` is `image`, `audio` or `video`, with or without an index (`image[2]`); ValueError for another one.
    Raises InvalidInputError `media_reference_not_allowed` for a path or URL, `media_base64_invalid`,
    `media_data_uri_invalid`, `media_data_uri_not_base64`, `<kind>_empty`; UnsupportedMediaError
    `media_type_not_accepted` for a data URI of another kind; PayloadTooLargeError `<kind>_too_large`, before decoding.
    """
    subject = _subject(field)
    text = value.strip()
    if text[:5].lower() == "data:":
        text = _data_payload(text, subject)
    elif _is_reference(text):
        raise InvalidInputError("media_reference_not_allowed", field=field)
    return _decode_base64(text, max_bytes, subject)


def _subject(field: str) -> Subject:
    kind = field.split("[", 1)[0]
    if kind not in get_args(MediaKind):
        raise ValueError(f"not a media field: {field}")
    return Subject(cast(MediaKind, kind), field)


def _data_payload(text: str, subject: Subject) -> str:
    """What follows the comma of a base64 data URI whose type suits the field (RFC 2397)."""
    comma = text.find(",", 0, _MAX_DATA_HEADER)
    match = _DATA_HEADER.fullmatch(text, 0, comma) if comma > 0 else None
    if match is None:
        raise InvalidInputError("media_data_uri_invalid", field=subject.field)
    if match["params"].rpartition(";")[2].strip().lower() != "base64":
        raise InvalidInputError("media_data_uri_not_base64", field=subject.field)
    declared = (match["type"] or "application/octet-stream").lower()
    fits = declared.startswith(f"{subject.kind}/") or declared in _EXTRA_TYPES[subject.kind]
    if not fits and declared not in _NEUTRAL_TYPES:
        raise UnsupportedMediaError("media_type_not_accepted", field=subject.field, accepted=f"{subject.kind}/*")
    return text[comma + 1 :]


def _is_reference(text: str) -> bool:
    """True for what names a file or a host. Base64 may begin with `/` too: then only JPEG or MP3 can follow."""
    head = text[:_MAX_REFERENCE].lstrip()
    if _SCHEME.match(head) or head.startswith(("\\", "~", ".")):
        return True
    if head.startswith("/"):
        return not _opens_media(head)
    return len(text) <= _MAX_REFERENCE and _FILE_NAME.fullmatch(head) is not None and "." in head


def _opens_media(head: str) -> bool:
    try:
        first = base64.b64decode(head[:8].translate(_URLSAFE), validate=True)
    except (binascii.Error, ValueError):
        return False
    if first.startswith(b"\xff\xd8\xff"):
        return "." not in head
    return is_mp3_header(first[:4]) and len(head) >= _SHORTEST_MP3 and "." not in head


def _decode_base64(text: str, max_bytes: int, subject: Subject) -> bytes:
    longest = -(-max_bytes // 3) * 4
    if len(text) > longest + longest // 8 + _MAX_REFERENCE:
        raise subject.too_large(max_bytes)
    compact = text.translate(_WHITESPACE)
    if not compact:
        raise subject.empty()
    if len(text) - len(compact) > len(compact) // 8 + 64:
        raise InvalidInputError("media_base64_invalid", field=subject.field)
    body = compact.rstrip("=")
    if len(body) * 3 // 4 > max_bytes:
        raise subject.too_large(max_bytes)
    if len(compact) != len(body) and (len(compact) % 4 or len(compact) - len(body) > 2):
        raise InvalidInputError("media_base64_invalid", field=subject.field)
    return _strict_base64(body, subject)


def _strict_base64(body: str, subject: Subject) -> bytes:
    """`body` has no padding and no whitespace. Both alphabets are taken, a mixture of them is not."""
    if "-" in body or "_" in body:
        if "+" in body or "/" in body:
            raise InvalidInputError("media_base64_invalid", field=subject.field)
        body = body.translate(_URLSAFE)
    padded = body + "=" * (-len(body) % 4)
    pieces = (padded[start : start + _PIECE_CHARS] for start in range(0, len(padded), _PIECE_CHARS))
    try:
        return b"".join(binascii.a2b_base64(piece, strict_mode=True) for piece in pieces)
    except ValueError:  # binascii.Error, or characters beyond ASCII
        raise InvalidInputError("media_base64_invalid", field=subject.field) from None
