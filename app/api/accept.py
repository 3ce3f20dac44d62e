"""Markdown or JSON, from the Accept header (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from app.api.language import weight_of

_MAX_HEADER_CHARS = 512


def prefers_markdown(header: str) -> bool:
    """Whether the client weighs text/markdown above application/json; JSON where it does not care."""
    weights = _weights(header)
    markdown = _weight(weights, "text/markdown", "text/*")
    return markdown > _weight(weights, "application/json", "application/*")


def _weights(header: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for item in header[:_MAX_HEADER_CHARS].split(","):
        media_type, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = next((part for part in parameters if part.startswith("q=")), "")
        found.setdefault(media_type, weight_of(quality))
    return found


def _weight(weights: dict[str, float], *most_specific_first: str) -> float:
    return next((weights[name] for name in (*most_specific_first, "*/*") if name in weights), 0.0)
