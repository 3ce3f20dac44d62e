"""English side of the extraction: tokens, light inflection, and forms matched word by word.

Matching walks a prefix tree of stems. Between two words of a form the text may hold a few words that carry no finding
("pain in the *left side of my* chest"), and a negator, which is remembered ("my chest does *not* hurt").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from app.knowledge.mention import Mention
from app.knowledge.trie import Node
from app.knowledge.vocabulary import (
    ABBREVIATED,
    AUXILIARIES,
    CHART_HEADS,
    CONTRACTIONS,
    DROPPED,
    IRREGULAR,
    NEGATORS,
    SKIPPABLE,
)

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?[0-9]*|[0-9]+(?:\.[0-9]+)?")
_JOINING = frozenset({"", "-", "'", '"'})
_VOWEL = re.compile(r"[aeiouy]")
_MAX_SKIPS = 4
_MAX_STEPS = 64
"""Bound on the states visited from one word: keeps the walk linear in the text whatever the lexicon says."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word: its stem, its span in the normalised text, and the break between it and the word before it."""

    stem: str
    word: str
    start: int
    end: int
    gap: str
    """'' for none, else ',' '.' '/' ...; anything but '' stops a match."""


class Match(NamedTuple):
    """A form that ends before token `end`."""

    weight: int
    end: int
    finding_id: str
    negated: bool


def tokenize(text: str) -> list[Token]:
    """Words of lower-case `text`; contractions are taken apart ("don't" -> do, not), possessive 's is dropped."""
    tokens: list[Token] = []
    previous_end = 0
    for match in _WORD.finditer(text):
        gap = _gap(text[previous_end : match.start()])
        start, end = match.span()
        previous_end = end
        if gap and tokens and (tokens[-1].word in ABBREVIATED if gap == "." else _is_chart_head(tokens[-1], gap)):
            gap = ""
        for word in _split(match.group()):
            tokens.append(Token(stem(word), word, start, end, gap))
            gap = ""
    return tokens


def _is_chart_head(token: Token, gap: str) -> bool:
    """Charts put the complaint first: "pain, chest" is chest pain."""
    return gap == "," and token.start == 0 and token.word in CHART_HEADS


def _split(word: str) -> tuple[str, ...]:
    known = CONTRACTIONS.get(word)
    if known is not None:
        return known
    if "'" not in word:
        return (word,)
    head, _, tail = word.partition("'")
    if tail == "t":
        return (head.removesuffix("n"), "not")
    return (head,)


def _gap(between: str) -> str:
    """The strongest punctuation in `between`; '' where it is only spaces or a joining mark; 'x' for other scripts."""
    marks = between.replace(" ", "").replace("\t", "").replace("\r", "")
    if marks in _JOINING:
        return ""
    for strong in ".!?;\n":
        if strong in marks:
            return "."
    for mark in marks:
        if mark in ",:/+&()":
            return mark
    return "x"


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """A key that the inflected forms of a word share (not a word itself): ache, aches, aching, ached -> ach."""
    irregular = IRREGULAR.get(word)
    if irregular is not None:
        word = irregular
    if len(word) >= 5:
        word = word.replace("ae", "e").replace("oe", "e").replace("our", "or")
    word = _strip_suffix(word)
    if len(word) > 3 and word.endswith("e"):
        word = word[:-1]
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    return word[:-1] + "i" if len(word) > 2 and word.endswith("y") else word


def _strip_suffix(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        word = word[:-1]
    if word.endswith("ing") and len(word) > 5 and _VOWEL.search(word[:-3]):
        return word[:-3]
    if word.endswith("ed") and not word.endswith("eed") and len(word) > 4 and _VOWEL.search(word[:-2]):
        return word[:-2]
    return word


def compile_form(form: str) -> tuple[str, ...]:
    """The stems of a plain form, without the words that matching ignores."""
    spelled = [word for found in _WORD.findall(form.lower()) for word in _split(found)]
    kept = [word for word in spelled if word not in DROPPED]
    return tuple(stem(word) for place, word in enumerate(kept) if place == 0 or word not in AUXILIARIES)


class EnglishMatcher:
    """Finds the forms of a lexicon in tokens."""

    def __init__(self, forms: Sequence[tuple[str, str]]) -> None:
        """`forms`: (finding id, plain form)."""
        self._root = Node()
        self.collisions: list[tuple[str, str, str]] = []
        """(form, finding that has it, finding that also claims it)."""
        for finding_id, form in forms:
            stems = compile_form(form)
            owner = self._root.insert(stems, finding_id, len(stems))
            if owner != finding_id:
                self.collisions.append((form, owner, finding_id))

    def mentions(self, tokens: Sequence[Token]) -> list[Mention]:
        found: list[Mention] = []
        first_words = self._root.children
        for index, token in enumerate(tokens):
            node = first_words.get(token.stem)
            if node is not None:
                found.extend(self._longest_from(tokens, index, node))
        return found

    def _longest_from(self, tokens: Sequence[Token], index: int, first: Node) -> list[Mention]:
        """The longest form that starts at `index`, if one does."""
        best = None if first.finding_id is None else Match(first.weight, index + 1, first.finding_id, False)
        stack = [(first, index + 1, 0, False)]
        steps = 0
        while stack and steps < _MAX_STEPS:
            steps += 1
            node, position, skips, negated = stack.pop()
            if position == len(tokens) or tokens[position].gap or not node.children:
                continue
            token = tokens[position]
            if token.word in DROPPED or token.word in AUXILIARIES:
                stack.append((node, position + 1, skips, negated))
            elif skips < _MAX_SKIPS and (token.word in SKIPPABLE or token.word in NEGATORS):
                stack.append((node, position + 1, skips + 1, negated or token.word in NEGATORS))
            child = node.children.get(token.stem)
            if child is not None:
                stack.append((child, position + 1, skips, negated))
                if child.finding_id is not None and (best is None or child.weight > best.weight):
                    best = Match(child.weight, position + 1, child.finding_id, negated)
        if best is None:
            return []
        start, end = tokens[index].start, tokens[best.end - 1].end
        return [Mention(best.finding_id, start, end, best.weight, "latin", best.negated)]
