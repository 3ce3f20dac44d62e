"""Korean side of the extraction: forms matched syllable by syllable on text without its spaces.

Spacing in typed Korean is free ("가슴통증", "가슴 통증"), nouns carry particles and predicates carry endings. So a
form is a path of syllables; between its words the text may hold a particle and a few adverbs ("가슴*이 너무*
아파요"), and an adverb of negation, which is remembered ("열이 *안* 나요"). Predicates are compiled into all their
beginnings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise, product

from app.knowledge.conjugation import beginnings, decompose, is_syllable
from app.knowledge.mention import Mention
from app.knowledge.particles import ADVERBS, CONNECTORS, EXTENDERS, NOUN_TAILS, PARTICLES, PREFIXES
from app.knowledge.trie import Node

GAP = " "
"""The edge of the tree that stands for what may come between two words."""
_MAX_STEPS = 96
_LONGEST_LINK = 5
_NEGATIONS = ("안", "못")


class CompactText:
    """The text without spaces. `positions[i]` is where character i stands in the normalised text."""

    def __init__(self, text: str) -> None:
        self.positions = [index for index, character in enumerate(text) if character not in " \t\r"]
        self.text = "".join([text[index] for index in self.positions])
        self.full = text

    def starts_word(self, index: int) -> bool:
        """True where a space, punctuation or another script stands before character `index`."""
        if index == 0 or self.positions[index] != self.positions[index - 1] + 1:
            return True
        return is_syllable(self.text[index - 1]) != is_syllable(self.text[index])

    def follows_space(self, index: int) -> bool:
        return 0 < index < len(self.positions) and self.positions[index] != self.positions[index - 1] + 1

    def word_end(self, index: int) -> int:
        """Index after the last character of the spaced word that character `index` - 1 belongs to."""
        end = index
        while end < len(self.text) and not self.follows_space(end) and is_syllable(self.text[end]):
            end += 1
            if end - index > _LONGEST_LINK:
                break
        return end


def compile_form(form: str) -> Iterator[tuple[tuple[str, ...], int, bool]]:
    """(path of syllables and GAPs, number of syllables, ends in a predicate) for every conjugation of a plain form."""
    words = form.split()
    spelled = [beginnings(word[:-1]) if word.endswith("~") else (word,) for word in words]
    for choice in product(*spelled):
        path = tuple(GAP.join(choice))
        yield path, sum(map(len, choice)), words[-1].endswith("~")


def _by_first(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    return {word[0]: tuple(sorted({other for other in words if other[0] == word[0]})) for word in words}


_EXTENDERS, _PARTICLES, _ADVERBS = _by_first(EXTENDERS), _by_first(PARTICLES), _by_first(ADVERBS)
_DURATION = re.compile(
    r"(?:[0-9]{1,3}|한두|두세|서너|한|두|세|네|다섯|여섯|몇|수)(?:시간|분|일|주일|주|달|개월|년|번|차례)"
    r"(?:째|간|동안|정도|넘게|이상|전부터|전에|만에|사이에|안에|안으로|씩)?"
)
_MANNER = re.compile(
    r"(?:([가-힣]{1,3})\1(?:하게|거리게)?"
    r"|(?:찢어질|깨질|터질|끊어질|빠질|부서질|쪼개질|떨어질|뽑힐|죽을|미칠|타는|불타는|찢는|찌르는|쑤시는|쥐어짜는|조이는|누르는|도려내는"
    r"|칼로베는|칼로찌르는|바늘로찌르는|송곳으로찌르는|망치로때리는|두들겨맞은|전기오는|불나는)(?:듯이|듯|것처럼|것같이|정도로|만큼))"
)
"""How: mimetic words that say themselves twice (벌렁벌렁, 쿡쿡), and what pain is likened to (끊어질 듯이)."""
_LINKING = frozenset([*_EXTENDERS, *_PARTICLES, *_ADVERBS, *_NEGATIONS, *"0123456789한두서세네다여몇수"])
"""The first syllables of everything that may come between two words of a form."""
_AND = ("고", "며", "면서", "거나")
_BOUND_NOUNS = ("지", "것", "게", "데", "거", "적", "편", "느낌", "듯")
_MOST_SHARED = 3
_LONGEST_WORD = 9
_CONNECTOR = re.compile(f"(?:{'|'.join(sorted([*CONNECTORS, *PREFIXES], key=len, reverse=True))})$")
_TEN_TIMES = re.compile(
    "(?<=열)(?:번|명|개|시간|시|살|가지|달|차례|걸음|군데|사람|흘|손가락|발가락|바퀴|알|잔|병|층|[이을]?받)"
)
"""열 is fever, but also ten: 열 번 is ten times; and 열 받다 is anger."""
_TEN_AND = re.compile("(?<=열)(?:한|두(?!통|드)|세|네|다섯|여섯|일곱|여덟|아홉|댓|몇)")
"""Eleven and more, in one word: 열두 살, but 열 두통 is fever and a headache."""
_NUMERALS = frozenset("두세네섯몇열0123456789")
"""두 *배*로 붓고 is twice as much."""
_SPLIT_ADVERBS = frozenset("다더막좀꽉확쭉또늘잘후전")
"""Words of their own where a space follows: 커튼을 *다* 쳤어요 is not 다쳤어요."""
_NOUN_TAIL = re.compile("|".join(sorted(NOUN_TAILS, key=len, reverse=True)))


_OTHER_WORDS = {"목": "발손길", "속": "계지연약접소", "변": "소", "배": "담"}
"""Syllables that are another word after these: 소*변*, 계*속*, 발*목*."""


class KoreanMatcher:
    """Finds the forms of a lexicon in text."""

    def __init__(self, forms: Sequence[tuple[str, str]]) -> None:
        """`forms`: (finding id, plain form)."""
        self._root = Node()
        self.collisions: list[tuple[str, str, str]] = []
        for finding_id, form in forms:
            for path, weight, open_ended in compile_form(form.lower()):
                owner = self._root.insert(path, finding_id, weight, open_ended=open_ended)
                if owner != finding_id:
                    self.collisions.append((form, owner, finding_id))

    def mentions(self, text: str) -> list[Mention]:
        compact = CompactText(text)
        links = Links(compact)
        found: list[Mention] = []
        first = self._root.children
        for index, (character, following) in enumerate(pairwise(compact.text + " ")):
            node = first.get(character)
            if node is None or not (following in node.children or GAP in node.children or node.finding_id):
                continue
            if index and compact.text[index - 1] in _OTHER_WORDS.get(character, "") and not compact.starts_word(index):
                continue
            if _is_particle_or_number(compact, index):
                continue
            nouns: list[tuple[Node, int]] = []
            best = self._longest_from(compact, links, index, node, nouns)
            if best is not None:
                found.append(best)
            if nouns and compact.starts_word(index):
                found.extend(mention for noun, end in nouns for mention in _shared(compact, links, noun, end))
        return found

    def _longest_from(
        self, compact: CompactText, links: Links, index: int, first: Node, nouns: list[tuple[Node, int]]
    ) -> Mention | None:
        """The longest form that starts at `index`, if one does. Adds to `nouns` where a predicate may follow."""
        shortest: int | None = None
        best: tuple[Node, int, bool] | None = None
        stack = [(first, index + 1, False)]
        steps = 0
        text, size = compact.text, len(compact.text)
        alone = text[index] in _SPLIT_ADVERBS and compact.follows_space(index + 1)
        while stack and steps < _MAX_STEPS:
            steps += 1
            node, position, negated = stack.pop()
            if node.finding_id is not None and (best is None or (node.weight, position) > (best[0].weight, best[1])):
                shortest = shortest or _shortest_weight(compact, index)
                ends = node.open_ended or node.weight > 2 or _noun_may_end(compact, position)
                if node.weight >= shortest and ends and not _cuts_latin(compact, index, position):
                    best = (node, position, negated)
            gap = node.children.get(GAP)
            if gap is not None:
                nouns.append((gap, position))
                for end, turned in links.after(position):
                    child = gap.children.get(text[end]) if end < size else None
                    if child is not None:
                        stack.append((child, end + 1, negated or turned))
            if position < size:
                child = node.children.get(text[position])
                if child is not None and not (alone and position == index + 1):
                    stack.append((child, position + 1, negated))
        if best is None or best[0].finding_id is None:
            return None
        node, end, negated = best
        span = compact.positions[index], compact.positions[end - 1] + 1
        return Mention(best[0].finding_id, *span, node.weight, "hangul", negated)


def _shared(compact: CompactText, links: Links, noun: Node, end: int) -> Iterator[Mention]:
    """Later predicates of a noun that is named once: in 배가 아프고 *더부룩해요* the belly is bloated, too.

    `noun`: where the forms go on after it, once a particle or a space is passed. The span is that of the predicate,
    and the weight none: what the predicate says by itself goes before it.
    """
    place = end if compact.follows_space(end) else end + 1
    for _ in range(_MOST_SHARED):
        starts = [start for start, _ in links.after(end) if start >= place]
        following = next((after for start in reversed(starts) if (after := _and_after(compact, start))), None)
        if following is None:
            return
        end = place = following
        for start, negated in links.after(end):
            found = _predicate(compact, noun, start)
            if found is not None:
                node, last = found
                span = compact.positions[start], compact.positions[last - 1] + 1
                yield Mention(node.finding_id or "", *span, 0, "hangul", negated)


def _and_after(compact: CompactText, start: int) -> int | None:
    """Where the one word at `start` ends, if it says that another predicate follows (아프고)."""
    limit = min(start + _LONGEST_WORD, len(compact.text))
    end = next((place for place in range(start + 1, limit) if compact.follows_space(place)), None)
    return end if end is not None and compact.text.endswith(_AND, start + 1, end) else None


def _predicate(compact: CompactText, noun: Node, start: int) -> tuple[Node, int] | None:
    """The longest predicate at `start` that makes a form with the noun: where it ends in the tree and in the text."""
    best: tuple[Node, int] | None = None
    node: Node | None = noun
    for place in range(start, len(compact.text)):
        node = node.children.get(compact.text[place]) if node is not None else None
        if node is None:
            break
        if node.finding_id is not None and node.open_ended:
            best = node, place + 1
    return None if best is None or _describes_a_noun(compact, best[1]) else best


def _describes_a_noun(compact: CompactText, end: int) -> bool:
    """Whether the predicate that ends there belongs to a noun of its own: 노란 눈곱, but not 아픈 지 사흘."""
    if decompose(compact.text[end - 1]).final != "ㄴ" or not compact.follows_space(end):
        return False
    return not compact.text.startswith(_BOUND_NOUNS, end)


def _is_particle_or_number(compact: CompactText, index: int) -> bool:
    """Whether what looks like a noun is none: the particle of 쪽*이* 아파요 is no tooth, 두 *배*로 no belly."""
    character = compact.text[index]
    if character == "이":
        return not compact.starts_word(index) and compact.follows_space(index + 1)
    is_counted = character == "배" and index > 0 and compact.text[index - 1] in _NUMERALS
    return is_counted and compact.text[index + 1 : index + 2] in ("로", "나")


def _cuts_latin(compact: CompactText, start: int, end: int) -> bool:
    """Whether a form in Latin letters would be cut out of a word: the STE of an ECG is not that of a step."""

    def inside(place: int) -> bool:
        if not 0 < place < len(compact.text) or compact.follows_space(place):
            return False
        return all(character.isascii() and character.isalpha() for character in compact.text[place - 1 : place + 1])

    return inside(start) or inside(end)


def _shortest_weight(compact: CompactText, index: int) -> int:
    """How many syllables a form needs to count here: fewer at the start of a word than in the middle of one."""
    if compact.starts_word(index):
        return 1
    before = compact.text[max(0, index - _LONGEST_LINK) : index]
    return 3 if _CONNECTOR.search(before) else 4


def _noun_may_end(compact: CompactText, end: int) -> bool:
    """A noun of one or two syllables counts only where the word ends, or goes on as nouns do: 열이, but not 열쇠."""
    if _TEN_TIMES.match(compact.text, end) is not None:
        return False
    if not compact.follows_space(end) and _TEN_AND.match(compact.text, end) is not None:
        return False
    if end >= len(compact.text) or compact.follows_space(end) or not is_syllable(compact.text[end]):
        return True
    return _NOUN_TAIL.match(compact.text, end) is not None


class Links:
    """What may come between two words of a form, found once for each position of a text."""

    def __init__(self, compact: CompactText) -> None:
        self._compact = compact
        self._known: dict[int, list[tuple[int, bool]]] = {}

    def after(self, position: int) -> list[tuple[int, bool]]:
        """Where the next word may start, and whether an adverb of negation was passed on the way there."""
        known = self._known.get(position)
        if known is None:
            known = self._known[position] = self._ends(position)
        return known

    def _ends(self, position: int) -> list[tuple[int, bool]]:
        compact, text = self._compact, self._compact.text
        manner = _MANNER.match(text, position)
        if manner is None and text[position : position + 1] not in _LINKING:
            return [(position, False)]
        ends = [position]
        _extend(ends, text, _EXTENDERS, 0)
        _extend(ends, text, _PARTICLES, 0)
        nouns = len(ends)
        _extend(ends, text, _ADVERBS, 0)
        if len(ends) > nouns:
            _extend(ends, text, _ADVERBS, nouns)
        ends.extend(match.end() for start in ends[:] if (match := _MANNER.match(text, start)))
        ends.extend(match.end() for start in ends[:] if (match := _DURATION.match(text, start)))
        distinct = dict.fromkeys(ends)
        spaced = compact.follows_space(position)
        negated = [end + 1 for end in distinct if text.startswith(_NEGATIONS, end) and (end > position or spaced)]
        return [(end, False) for end in distinct] + [(end, True) for end in negated]


def _extend(ends: list[int], text: str, words: dict[str, tuple[str, ...]], since: int) -> None:
    """Adds the ends of every one of `words` (by first syllable) that begins at one of `ends[since:]`."""
    for start in ends[since:]:
        candidates = words.get(text[start : start + 1], ())
        ends.extend(start + len(word) for word in candidates if text.startswith(word, start))
