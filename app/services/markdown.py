"""Pieces of Markdown that hold foreign values: what stands in a cell can neither end it nor become markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

_MAX_CHARS = 160


def code_span(value: Any) -> str:
    """The value as inline code on one line, cut where it is very long."""
    line = " ".join(str(value).split()).replace("`", "'").replace("|", "\\|")
    shown = line if len(line) <= _MAX_CHARS else line[:_MAX_CHARS] + "…"
    return f"`{shown}`" if shown else "` `"


def number(value: float) -> str:
    """Whole numbers with separators, others to four digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are Markdown already."""
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines])
