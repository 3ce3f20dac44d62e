"""Finds the condition that somebody names: an ICD-10 code, an id, a name or a synonym in either language."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from app.knowledge.schema import Condition

_ICD = re.compile(r"^[A-Z][0-9]{2}(?:\.?[0-9A-Z]{1,4})?$")
_IGNORED = re.compile(r"[\W_]+")
MAX_NAME = 200
"""Longer than any name: not looked up."""


class ConditionIndex:
    """A name that two conditions share belongs to neither."""

    def __init__(self, conditions: Mapping[str, Condition]) -> None:
        self._names = _unambiguous((key(name), entry.id) for entry in conditions.values() for name in _names(entry))
        own = {
            key(name): entry.id for entry in conditions.values() for name in (entry.id, entry.name.en, entry.name.ko)
        }
        self._names.update(own)
        self._codes = _unambiguous((entry.icd10, entry.id) for entry in conditions.values())
        self._categories = _unambiguous((entry.icd10[:3], entry.id) for entry in conditions.values())

    def match(self, text: str) -> str | None:
        """The condition's id, or None where nothing or more than one thing is meant."""
        if len(text) > MAX_NAME:
            return None
        code = unicodedata.normalize("NFKC", text).strip().upper()
        if _ICD.match(code):
            return self._by_code(code)
        return self._names.get(key(text))

    def _by_code(self, code: str) -> str | None:
        """The exact code, else its three-character category where a single condition is in it."""
        dotted = code if "." in code or len(code) == 3 else f"{code[:3]}.{code[3:]}"
        return self._codes.get(dotted) or self._categories.get(code[:3])


def key(name: str) -> str:
    """What two spellings of a name share: NFKC, case-folded, without spaces and punctuation."""
    return _IGNORED.sub("", unicodedata.normalize("NFKC", name).casefold())


def _names(entry: Condition) -> tuple[str, ...]:
    return (entry.id, entry.name.en, entry.name.ko, *entry.synonyms.en, *entry.synonyms.ko)


def _unambiguous(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    owners: dict[str, set[str]] = {}
    for name, condition_id in pairs:
        owners.setdefault(name, set()).add(condition_id)
    return {name: next(iter(ids)) for name, ids in owners.items() if name and len(ids) == 1}
