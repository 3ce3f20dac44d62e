"""Clinical findings in a text: which, said or denied, and where they stand.

normalise -> mentions of both languages -> longest wins -> whose? -> said or denied? -> one result per finding
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from app.domain import Finding
from app.knowledge import negation_en, negation_ko
from app.knowledge.english import EnglishMatcher, Token, tokenize
from app.knowledge.experiencer import others_findings
from app.knowledge.forms import expand
from app.knowledge.korean import KoreanMatcher
from app.knowledge.mention import Mention, keep_longest
from app.knowledge.normalise import NormalisedText, normalise
from app.knowledge.schema import FindingEntry
from app.knowledge.vocabulary import NEGATORS


class Extractor:
    """Compiles a lexicon once; reading a text is linear in its length and changes nothing here."""

    def __init__(self, findings: Mapping[str, FindingEntry]) -> None:
        self._broader = all_broader(findings)
        self._is_history = {entry.id: entry.kind in ("history", "exposure") for entry in findings.values()}
        self._english = EnglishMatcher(list(_plain_forms(findings, "en")))
        self._korean = KoreanMatcher(list(_plain_forms(findings, "ko")))

    @property
    def collisions(self) -> list[tuple[str, str, str]]:
        """Forms that two findings claim, neither a case of the other: (form, the one that has it, the other)."""
        both = dict.fromkeys(self._english.collisions + self._korean.collisions)
        return [(form, owner, other) for form, owner, other in both if other not in self._broader[owner]]

    def extract(self, text: str) -> tuple[Finding, ...]:
        """One finding per lexicon id, in text order; said once and denied once is said."""
        source = normalise(text)
        tokens = tokenize(source.text)
        mentions = keep_longest([*self._english.mentions(tokens), *self._korean.mentions(source.text)])
        mentions = _without_stolen_negators(tokens, mentions)
        denied = _denied(source.text, tokens, mentions)
        others = others_findings(source.text, mentions, self._is_history)
        best: dict[str, Finding] = {}
        for mention, is_denied in zip(mentions, denied, strict=True):
            if mention in others:
                continue
            known = best.get(mention.finding_id)
            if known is None or (not known.present and not is_denied):
                best[mention.finding_id] = _finding(source, mention, present=not is_denied)
        return tuple(sorted(best.values(), key=lambda finding: finding.start))


def _plain_forms(findings: Mapping[str, FindingEntry], language: str) -> Iterator[tuple[str, str]]:
    """(finding id, plain form). Special cases come before what they are cases of, so that a shared form is theirs."""
    broader = all_broader(findings)
    for entry in sorted(findings.values(), key=lambda entry: -len(broader[entry.id])):
        for form in entry.forms.en if language == "en" else entry.forms.ko:
            for plain in expand(form):
                yield entry.id, plain


def all_broader(findings: Mapping[str, FindingEntry]) -> dict[str, frozenset[str]]:
    """For each finding, everything that it is a special case of, at any distance."""

    def above(finding_id: str) -> frozenset[str]:
        direct = findings[finding_id].broader
        return frozenset(direct).union(*(above(next_id) for next_id in direct))

    return {finding_id: above(finding_id) for finding_id in findings}


def _finding(source: NormalisedText, mention: Mention, *, present: bool) -> Finding:
    start, end = source.span(mention.start, mention.end)
    return Finding(mention.finding_id, present, source.original[start:end], start, end)


def _denied(text: str, tokens: Sequence[Token], mentions: Sequence[Mention]) -> list[bool]:
    """For each mention, in order, whether the text denies it."""
    before = _denied_before(tokens, mentions)
    after = _denied_after(text, tokens, mentions)
    signs = _charted(text, mentions)
    return [
        signs[index] is False or (signs[index] is None and (before[index] or after[index] or mention.inner_negation))
        for index, mention in enumerate(mentions)
    ]


def _without_stolen_negators(tokens: Sequence[Token], mentions: Sequence[Mention]) -> list[Mention]:
    """Drops "no sensitivity" (numbness) in "no sensitivity to light": the negator is that of the longer finding."""
    negators = {token.start for token in tokens if token.word in NEGATORS}
    return [
        mention
        for mention, following in zip_longest(mentions, mentions[1:])
        if following is None or following.start >= mention.end or mention.start not in negators
    ]


def _denied_before(tokens: Sequence[Token], mentions: Sequence[Mention]) -> list[bool]:
    """English: the mention starts in the scope of a negator that is not part of a mention itself."""
    starts = [token.start for token in tokens]
    inside: set[int] = set()
    firsts: list[int | None] = []
    for mention in mentions:
        first, last = bisect_left(starts, mention.start), bisect_left(starts, mention.end)
        firsts.append(first if first < last else None)
        if not mention.inner_negation:
            inside.update(range(first, last))
    flags = negation_en.negated_tokens(tokens, inside)
    return [first is not None and flags[first] for first in firsts]


def _denied_after(text: str, tokens: Sequence[Token], mentions: Sequence[Mention]) -> list[bool]:
    """Both languages: denied by what follows, directly or as part of a list whose last member is.

    The list is what Korean needs: in "열이나 기침은 없어요" one 없어요 denies both.
    """
    starts = [token.start for token in tokens]
    denied = [False] * len(mentions)
    for index in range(len(mentions) - 1, -1, -1):
        mention = mentions[index]
        last = bisect_left(starts, mention.end) - 1
        english = mention.script == "latin" and last >= 0 and negation_en.denied_after(text, tokens, last)
        denied[index] = english or negation_ko.denied_after(text, mention.end)
        if not denied[index] and index + 1 < len(mentions):
            following = mentions[index + 1]
            in_list = denied[index + 1] or following.inner_negation
            denied[index] = in_list and negation_ko.linked(text, mention.end, following.start)
    return denied


def _charted(text: str, mentions: Sequence[Mention]) -> list[bool | None]:
    """Signs as in a chart, "fever/chill (-/+)": True or False where one is given."""
    signs: list[bool | None] = [None] * len(mentions)
    for index, mention in enumerate(mentions):
        marks = negation_ko.marks_after(text, mention.end)
        position = index
        for sign in reversed(marks):
            signs[position] = sign
            if position == 0 or not negation_ko.linked(text, mentions[position - 1].end, mentions[position].start):
                break
            position -= 1
    return signs
