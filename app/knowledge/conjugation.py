"""Korean conjugation: every way in which a predicate stem can begin on the page.

아프- is written 아프(고), 아픈, 아플, 아픔, 아픕(니다), 아파, 아팠(다). What follows those beginnings never
changes them, so a matcher that knows the beginnings knows the verb. Rules: National Institute of Korean
Language, Standard Korean grammar, regular and irregular conjugation (ㅂ, ㅅ, ㄷ, ㅎ, 르, ㅡ, ㄹ, 하).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

_BASE = 0xAC00
_VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_FINALS = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
_LEADS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_CONTRACTED = {"ㅗ": "ㅘ", "ㅜ": "ㅝ", "ㅣ": "ㅕ", "ㅚ": "ㅙ"}
_B_REGULAR = frozenset("입잡씹뽑좁접업집꼽굽")
_S_IRREGULAR = frozenset("붓낫짓긋잇젓")
_D_IRREGULAR = frozenset("걷듣붇닫싣")
_H_IRREGULAR = frozenset("랗렇갛겋맣멓얗옇")
_LIKE_PARTICLES = frozenset("는은")
"""몸무게가 *는* 것 같다 reads as 몸무게*는*: not taken for a verb."""
_AFTER_DROPPED = ("는", "네", "니", "냐", "시", "세", "신", "실", "십", "셔", "셨", "더라")
"""A stem of one syllable loses ㄹ before these; 도 and 머 by themselves are a particle and the start of 머리."""
_H_FUSED = {"ㅏ": "ㅐ", "ㅓ": "ㅔ", "ㅑ": "ㅒ", "ㅕ": "ㅖ"}


class Syllable(NamedTuple):
    """Lead, vowel and final letter; a final of " " is none."""

    lead: str
    vowel: str
    final: str


def is_syllable(character: str) -> bool:
    return "가" <= character <= "힣"


def decompose(character: str) -> Syllable:
    index = ord(character) - _BASE
    return Syllable(_LEADS[index // 588], _VOWELS[index % 588 // 28], _FINALS[index % 28])


def compose(lead: str, vowel: str, final: str = " ") -> str:
    index = (_LEADS.index(lead) * 21 + _VOWELS.index(vowel)) * 28 + _FINALS.index(final)
    return chr(_BASE + index)


@lru_cache(maxsize=10_000)
def beginnings(stem: str) -> tuple[str, ...]:
    """Every beginning of the conjugated forms of `stem`, e.g. 가렵 -> 가렵, 가려우, 가려워 ...

    `stem` is the dictionary form without 다.

    Raises ValueError where the stem does not end in a Korean syllable.
    """
    if not stem or not is_syllable(stem[-1]):
        raise ValueError(f"{stem!r} does not end in a Korean syllable")
    head, last = stem[:-1], stem[-1]
    syllable = decompose(last)
    if syllable.final == " ":
        found = _open_stem(head, last, syllable)
    elif syllable.final == "ㄹ":
        bare = head + compose(syllable.lead, syllable.vowel)
        found = [head + compose(syllable.lead, syllable.vowel, final) for final in "ㄹㄴㅂ"]
        found = [form for form in found if form not in _LIKE_PARTICLES] + ([bare] if head else [])
        found += [] if head else [bare + ending for ending in _AFTER_DROPPED]
    else:
        found = _closed_stem(head, last, syllable)
    return tuple(dict.fromkeys([stem, *found]))


def _open_stem(head: str, last: str, syllable: Syllable) -> list[str]:
    lead, vowel, _ = syllable
    found = [head + compose(lead, vowel, final) for final in " ㄴㄹㅁㅂ"]
    if last == "하":
        return [*found, head + "해", head + "했"]
    if last == "르" and head and decompose(head[-1]).final == " ":
        return found + _reu_irregular(head)
    if vowel == "ㅡ":
        dark = ["ㅏ", "ㅓ"] if head and decompose(head[-1]).vowel in "ㅏㅗ" else ["ㅓ"]
        return found + [head + compose(lead, fused, final) for fused in dark for final in " ㅆ"]
    fused = _CONTRACTED.get(vowel, vowel)
    return found + [head + compose(lead, fused, final) for final in " ㅆ"]


def _reu_irregular(head: str) -> list[str]:
    """부르 -> 불러, 불렀; 마르 -> 말라, 말랐."""
    before = decompose(head[-1])
    doubled = head[:-1] + compose(before.lead, before.vowel, "ㄹ")
    vowel = "ㅏ" if before.vowel in "ㅏㅗ" else "ㅓ"
    return [doubled + compose("ㄹ", vowel, final) for final in " ㅆ"]


def _closed_stem(head: str, last: str, syllable: Syllable) -> list[str]:
    lead, vowel, final = syllable
    bare = head + compose(lead, vowel)
    if final == "ㅂ" and last not in _B_REGULAR:
        return [bare + ending for ending in ("우", "워", "운", "울", "움", "웠", "와", "왔")]
    if last in _S_IRREGULAR:
        return [bare + ending for ending in ("으", "은", "을", "음", "어", "었", "아", "았")]
    if last in _D_IRREGULAR:
        turned = head + compose(lead, vowel, "ㄹ")
        return [turned + ending for ending in ("으", "은", "을", "음", "어", "었")]
    if last in _H_IRREGULAR:
        open_forms = [head + compose(lead, vowel, ending) for ending in " ㄴㄹㅁㅂ"]
        return open_forms + [head + compose(lead, _H_FUSED[vowel], ending) for ending in " ㅆ"]
    return []
