"""Clinical findings in a text: which, with what status, for how long, and where they stand.

normalise -> mentions of both languages -> longest wins -> whose? -> denied? past? uncertain? -> one result per finding
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from app.domain import Finding, FindingQualifier, FindingStatus
from app.knowledge import charting, laboratory, measured, negation_en, negation_ko
from app.knowledge.certainty import is_uncertain
from app.knowledge.context import unexplained
from app.knowledge.durations import Durations
from app.knowledge.english import EnglishMatcher, Token, tokenize
from app.knowledge.experiencer import Owner, others_findings
from app.knowledge.forms import expand
from app.knowledge.idioms import without_idioms
from app.knowledge.korean import KoreanMatcher
from app.knowledge.mention import Mention, keep_longest
from app.knowledge.normalise import NormalisedText, normalise
from app.knowledge.past import is_past
from app.knowledge.schema import FindingEntry
from app.knowledge.vocabulary import NEGATORS

_RANK: dict[FindingStatus, int] = {"present": 0, "uncertain": 1, "absent": 2, "past": 3, "family": 4}
"""Which status stands where a finding is told of twice: said once and denied once is said."""

_QUALITIES = frozenset({"sudden_onset", "tearing_pain"})
"""Said in the middle of another finding, they hold beside it."""
_ALONE = "tonsillar_exudate"
"""Its denial in a chart ends no list: 인두 발적, 편도 삼출 없음."""
_QUALIFIERS: dict[FindingStatus, FindingQualifier] = {"uncertain": "uncertain", "past": "past", "family": "family"}


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
        """One finding per lexicon id, in text order. What a relative has not, and what is nobody's, is left out."""
        source = normalise(text)
        tokens = tokenize(source.text)
        read = [*self._english.mentions(tokens), *self._korean.mentions(source.text)]
        said = [*charting.mentions(source.text), *measured.mentions(source.text), *laboratory.mentions(source.text)]
        every = read + [mention for mention in said if mention.finding_id in self._is_history]
        mentions = keep_longest(every)
        mentions = _without_stolen_negators(tokens, mentions)
        mentions = unexplained(source.text, without_idioms(source.text, mentions, self._is_history))
        statuses = self._statuses(source.text, tokens, mentions)
        durations = Durations(source.text)
        best: dict[str, Finding] = {}
        for mention, status in [*zip(mentions, statuses, strict=True), *_onsets(every, mentions, statuses)]:
            if status is None:
                continue
            finding = self._finding(source, mention, status, durations)
            known = best.get(mention.finding_id)
            if known is None or _rank(finding) < _rank(known):
                best[mention.finding_id] = finding
        return tuple(sorted(best.values(), key=lambda finding: finding.start))

    def _statuses(self, text: str, tokens: Sequence[Token], mentions: Sequence[Mention]) -> list[FindingStatus | None]:
        """For each mention, in order; None for what is not told of the patient or of a relative."""
        denied = _denied(text, tokens, mentions)
        others = others_findings(text, mentions, self._is_history)
        statuses: list[FindingStatus | None] = [None] * len(mentions)
        following: Mention | None = None
        for index in range(len(mentions) - 1, -1, -1):
            mention = mentions[index]
            status = self._status(text, mention, following, others.get(mention), is_denied=denied[index])
            if status == "present" and following is not None and statuses[index + 1] == "uncertain":
                linked = mention.script == "hangul" and negation_ko.linked(text, mention.end, following.start)
                status = "uncertain" if linked else status
            statuses[index] = status
            following = mention
        return statuses

    def _status(
        self, text: str, mention: Mention, following: Mention | None, owner: Owner | None, *, is_denied: bool
    ) -> FindingStatus | None:
        if owner is not None:
            return "family" if owner == "family" and not is_denied else None
        if is_denied or mention.stated == "absent":
            return "absent"
        if is_past(text, mention, history=self._is_history[mention.finding_id]):
            return "past"
        limit = len(text) if following is None else max(following.start, mention.end)
        is_doubted = mention.stated == "uncertain" or (mention.stated is None and is_uncertain(text, mention, limit))
        return "uncertain" if is_doubted else "present"

    def _finding(
        self, source: NormalisedText, mention: Mention, status: FindingStatus, durations: Durations
    ) -> Finding:
        start, end = source.span(mention.start, mention.end)
        has_had = status == "past" and self._is_history[mention.finding_id]
        return Finding(
            mention.finding_id,
            status in ("present", "uncertain") or has_had,
            source.original[start:end],
            start,
            end,
            _QUALIFIERS.get(status),
            durations.of(mention.start, mention.end) if status in ("present", "uncertain") else None,
        )


def _onsets(
    every: Sequence[Mention], kept: Sequence[Mention], statuses: Sequence[FindingStatus | None]
) -> Iterator[tuple[Mention, FindingStatus | None]]:
    """How something began, said in the middle of it ("다리가 *갑자기* 차가워졌어요"): as true as what it is said of."""
    starts = [mention.start for mention in kept]
    for onset in every:
        if onset.finding_id in _QUALITIES and (index := bisect_right(starts, onset.start) - 1) >= 0:
            around = kept[index]
            if around is not onset and onset.end <= around.end and statuses[index] in ("present", "uncertain"):
                yield onset, statuses[index]


def _rank(finding: Finding) -> tuple[bool, int]:
    return not finding.present, _RANK[finding.status]


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


def _denied(text: str, tokens: Sequence[Token], mentions: Sequence[Mention]) -> list[bool]:
    """For each mention, in order, whether the text denies it."""
    before = _denied_before(tokens, mentions)
    after = _denied_after(text, tokens, mentions)
    signs = charting.signs(text, mentions)
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
        if mention.script == "hangul" and not denied[index]:
            denied[index] = negation_ko.denied_before(text, mention.start, mention.end)
            denied[index] |= negation_ko.denied_with_signs(text, mention.start, mention.end)
        if not denied[index] and index + 1 < len(mentions):
            following = mentions[index + 1]
            in_list = (denied[index + 1] or following.inner_negation) and following.finding_id != _ALONE
            in_list = in_list and mention.stated is None and negation_ko.linked(text, mention.end, following.start)
            begins = not index or not negation_ko.linked(text, mentions[index - 1].end, mention.start)
            denied[index] = in_list and not (begins and negation_ko.said_before_list(text, mention, following))
    return denied
