"""The little language in which surface forms are written in the lexicon.

    chest (pain|ache)       either alternative, in place: "chest pain", "chest ache"
    (left|) leg pain        an empty alternative makes the word optional
    가슴 아프~               a word that ends in ~ is a predicate stem: every conjugation is meant (아파, 아픈 ...)

Spaces separate words; how matching treats what may stand between them is for `english.py` and `korean.py` to say.
"""

from __future__ import annotations

import re
from itertools import product

MAX_EXPANSIONS = 5000
_GROUP = re.compile(r"\(([^()]*)\)")


class FormError(ValueError):
    """A form that cannot be read; the message is one line."""


def expand(form: str) -> tuple[str, ...]:
    """Every plain form that `form` stands for, in order, without repeats. Raises FormError."""
    pieces = _GROUP.split(form)
    if any(mark in piece for piece in pieces[::2] for mark in "()|"):
        raise FormError(f"unbalanced or nested group in {form!r}")
    options = [piece.split("|") if index % 2 else [piece] for index, piece in enumerate(pieces)]
    count = 1
    for choices in options:
        count *= len(choices)
    if count > MAX_EXPANSIONS:
        raise FormError(f"{count} alternatives in {form!r}, more than {MAX_EXPANSIONS}")
    plain = dict.fromkeys(" ".join("".join(parts).split()) for parts in product(*options))
    if "" in plain:
        raise FormError(f"an empty alternative in {form!r}")
    return tuple(plain)
