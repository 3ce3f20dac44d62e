"""The language to answer in, from the Accept-Language header (RFC 9110, section 12.5.4)."""

from __future__ import annotations

from app.domain import Language

_MAX_HEADER_CHARS = 512


def accepted_language(header: str) -> Language | None:
    """The supported language that the client weighs most; None where it names none. The first wins a tie."""
    best: Language | None = None
    best_weight = 0.0
    for item in header[:_MAX_HEADER_CHARS].split(","):
        tag, _, parameter = item.strip().partition(";")
        language = _supported(tag.strip().lower().partition("-")[0])
        weight = weight_of(parameter)
        if language is not None and weight > best_weight:
            best, best_weight = language, weight
    return best


def _supported(primary: str) -> Language | None:
    if primary == "ko":
        return "ko"
    return "en" if primary == "en" else None


def weight_of(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0
