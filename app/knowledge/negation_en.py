"""English negation: which words stand in the scope of a negator, and what may deny a finding after it was named.

The scope of a negator opens to its right and closes at the end of the clause, as in NegEx (Chapman et al., J Biomed
Inform 2001), with the rules that patients' own words need: "no cough, but fever", "not only", "it won't go away".
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from typing import Literal

from app.knowledge import vocabulary as vocab
from app.knowledge.english import Token

Scope = Literal["list", "local", "word"]
"""`list` runs across commas ("no fever, cough or chills"); `local` ends at the first; `word` holds one."""

_AFTER_MARK = re.compile(
    r"\s*[:=?]\s*(?:no(?!\s(?:idea|clue|one|doubt|matter))|none|neg|negative|absent|denied|nil|0|x)\b"
)
_LOOK_AHEAD, _LOOK_AHEAD_TEST = 5, 8
_TEST = frozenset({"test", "tests", "kit", "screen", "swab", "strip"})


def negated_tokens(tokens: Sequence[Token], inside: Set[int]) -> list[bool]:
    """For each token, whether it stands in the scope of a negator.

    `inside`: tokens that belong to a finding: a negator among them ("no appetite") denies nothing else.
    """
    flags: list[bool] = []
    scope: Scope | None = None
    for index in range(len(tokens)):
        if scope is not None and _closes(tokens, index, scope):
            scope = None
        if _is_negator(tokens, index) and (index not in inside or tokens[index].word == "nothing"):
            scope = _opened(tokens, index, scope, inside)
            flags.append(False)
            continue
        flags.append(scope is not None)
        scope = None if scope == "word" else scope
    return flags


def _is_negator(tokens: Sequence[Token], index: int) -> bool:
    word = tokens[index].word
    if word == "nothing":
        return index + 1 < len(tokens) and _is_nothing_wrong(tokens, index + 1)
    if word in vocab.HARDLY:
        return index + 1 < len(tokens) and tokens[index + 1].word == "any"
    return word in vocab.NEGATORS


def _is_nothing_wrong(tokens: Sequence[Token], place: int) -> bool:
    """Whether "nothing" denies what follows ("nothing is numb", "nothing hurts"), unlike "nothing is helping"."""
    if tokens[place].gap or tokens[place].word not in vocab.NOTHING_DOES:
        return False
    return place + 1 == len(tokens) or tokens[place + 1].word not in vocab.NOTHING_HELPS


def _closes(tokens: Sequence[Token], index: int, scope: Scope) -> bool:
    token = tokens[index]
    if token.gap in (".", "x") or token.word in vocab.TERMINATORS:
        return True
    if token.gap == ",":
        return scope == "local" or token.word in vocab.RESTARTS
    before = tokens[index - 1]
    if token.word == "with":
        return before.word not in vocab.TROUBLES
    if before.word in ("and", "plus") and token.word in vocab.RESTARTS:
        return True
    return token.word == "i" and before.word not in vocab.ASKING


def _opened(tokens: Sequence[Token], index: int, scope: Scope | None, inside: Set[int]) -> Scope | None:
    """The scope after the negator at `index`; unchanged where the negator denies nothing that follows it."""
    word = tokens[index].word
    if word == "non":
        return scope or "word"
    if word in ("negative", "absent") and index and index + 1 < len(tokens) and tokens[index + 1].gap == ",":
        return scope
    following = [token.word for token in tokens[index + 1 : index + 1 + _LOOK_AHEAD]]
    if word == "never" and "so" in following[:2]:
        return scope
    place = next((place for place, word in enumerate(following) if word not in vocab.PASSED), None)
    content = following[place] if place is not None else ""
    is_finding = place is not None and index + 1 + place in inside
    if content in vocab.INERT_AFTER.get(word, ()) and not is_finding:
        return scope
    if word == "not" and index > 0 and tokens[index - 1].word in vocab.MODALS:
        return scope
    if word in ("never", "not") and vocab.COMPARING.intersection(following) and not is_finding:
        return scope
    if word == "without" and not _names_alternatives(tokens, index):
        return "local"
    if word in vocab.LIST_NEGATORS or content in vocab.LIST_VERBS:
        return "list"
    return "local"


def _names_alternatives(tokens: Sequence[Token], index: int) -> bool:
    """Whether "or" or "nor" follows in the sentence: "without fever, cough or rash" goes on past its commas."""
    for token in tokens[index + 1 :]:
        if token.gap == ".":
            return False
        if token.word in ("or", "nor"):
            return True
    return False


def _turns(tokens: Sequence[Token], index: int) -> bool:
    """Whether "gone" says what became of it, not that it left: "the lump has gone hard"."""
    if tokens[index].word != "gone" or index + 1 == len(tokens) or tokens[index + 1].gap:
        return False
    return tokens[index + 1].word in vocab.TURNED


def denied_after(text: str, tokens: Sequence[Token], last: int) -> bool:
    """Whether what follows token `last` denies it: "fever: no", "chest pain is absent", "the rash has gone"."""
    if _AFTER_MARK.match(text, tokens[last].end):
        return True
    following = tokens[last + 1 : last + 1 + _LOOK_AHEAD_TEST]
    is_test = bool(following) and not following[0].gap and following[0].word in _TEST
    for place, token in enumerate(following):
        if token.gap or (place >= _LOOK_AHEAD and not is_test):
            return False
        if token.word in vocab.DENIED_AFTER:
            return not _turns(tokens, last + 1 + place)
        if token.word not in vocab.COPULAS and not (is_test and token.word in vocab.TESTS):
            return False
    return False
