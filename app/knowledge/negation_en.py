"""English negation: which words stand in the scope of a negator, and what may deny a finding after it was named.

The scope of a negator opens to its right and closes at the end of the clause, as in NegEx (Chapman et al., J Biomed
Inform 2001), with the rules that patients' own words need: "no cough, but fever", "not only", "it won't go away".
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from typing import Literal

from app.knowledge.english import Token
from app.knowledge.vocabulary import NEGATORS

Scope = Literal["list", "local"]
"""`list` runs across commas ("no fever, cough or chills"); `local` ends at the first."""

_TERMINATORS = frozenset(
    "but however although though except yet because since while whereas despite besides apart if then so which until unless only".split()
)
_RESTART = frozenset(
    """i my he she it there we patient pt has have had feel feels reports complains presents developed now severe bad
    terrible constant persistent worsening mild some positive also started woke came""".split()
)
_AUXILIARIES = frozenset("do did does have has had am is are was were think believe".split())
_LIST_NEGATORS = frozenset("no never without denies denied deny denying neither nor none negative absent".split())
_LIST_VERBS = frozenset(
    "have had having feel feeling felt notice noticed experience experienced experiencing get got suffer report any think".split()
)
_INERT_AFTER: dict[str, frozenset[str]] = {
    "not": frozenset(
        """only just sure certain know known stop stopped stopping go going gone better improve improved improving help helped
        helping helps work working relieve relieved resolve resolved resolving subside subsided subsiding ease easing
        remember tell disappear disappearing disappeared settle settling let respond responding""".split()
    ),
    "no": frozenset(
        "relief improvement better idea doubt matter change help wonder response different one's reason apparent obvious".split()
    ),
    "without": frozenset(
        "relief help improvement treatment reason cause warning effort exertion success medication apparent obvious".split()
    ),
    "never": frozenset("such go goes went stop stops stopped ends ended end".split()),
}
_MODALS = frozenset("can could will would".split())
_COMPARES = frozenset("such like this worse".split())
_TROUBLES = frozenset("problem problems issue issues trouble difficulty difficulties".split())
_DENIED_AFTER = frozenset("absent negative denied none resolved gone disappeared subsided".split())
_COPULAS = frozenset("is are was were has have had been be now also all completely already totally both".split())
_AFTER_MARK = re.compile(r"\s*[:=]\s*(?:no|none|neg|negative|absent|denied|nil|0|x)\b")


def negated_tokens(tokens: Sequence[Token], inert: Set[int]) -> list[bool]:
    """For each token, whether it stands in the scope of a negator. `inert`: negators that belong to a finding ("no appetite")."""
    flags: list[bool] = []
    scope: Scope | None = None
    for index, token in enumerate(tokens):
        if scope is not None and _closes(tokens, index, scope):
            scope = None
        if token.word in NEGATORS and index not in inert:
            scope = _opened(tokens, index, scope)
            flags.append(False)
            continue
        flags.append(scope is not None)
    return flags


def _closes(tokens: Sequence[Token], index: int, scope: Scope) -> bool:
    token = tokens[index]
    if token.gap in (".", "x") or token.word in _TERMINATORS:
        return True
    if token.gap == ",":
        return scope == "local" or token.word in _RESTART
    before = tokens[index - 1]
    if token.word == "with":
        return before.word not in _TROUBLES
    if before.word in ("and", "plus") and token.word in _RESTART:
        return True
    return token.word == "i" and before.word not in _AUXILIARIES


def _opened(tokens: Sequence[Token], index: int, scope: Scope | None) -> Scope | None:
    """The scope after the negator at `index`; unchanged where the negator denies nothing that follows it."""
    word = tokens[index].word
    following = [token.word for token in tokens[index + 1 : index + 6]]
    content = next((word for word in following if word not in ("really", "quite", "a", "the", "any", "my", "been")), "")
    if content in _INERT_AFTER.get(word, ()):
        return scope
    if word == "not" and index > 0 and tokens[index - 1].word in _MODALS:
        return scope
    if word in ("never", "not") and _COMPARES.intersection(following) and content != "like":
        return scope
    if word in _LIST_NEGATORS or content in _LIST_VERBS:
        return "list"
    return "local"


def denied_after(text: str, tokens: Sequence[Token], last: int) -> bool:
    """Whether what follows token `last` denies it: "fever: no", "chest pain is absent", "the rash has gone"."""
    if _AFTER_MARK.match(text, tokens[last].end):
        return True
    for token in tokens[last + 1 : last + 5]:
        if token.gap:
            return False
        if token.word in _DENIED_AFTER:
            return True
        if token.word not in _COPULAS:
            return False
    return False
