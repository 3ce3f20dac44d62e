"""Korean negation: it comes after what it denies ("가슴 통증은 없고"), so the text behind a mention is read.

Tails are matched on normalised text that keeps its spaces. Every repetition in the patterns is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.knowledge.mention import Mention
from app.knowledge.particles import NEGATION_ADVERBS, TAIL_NOUNS, TAIL_PARTICLES, UNCEASING
from app.knowledge.words import words


def _any(alternatives: Iterable[str]) -> str:
    return "(?:" + "|".join(alternatives) + ")"


_ADVERBS = rf"(?:{_any(NEGATION_ADVERBS)}\s?){{0,2}}"
_ABSENT = r"없(?!어지지|지\s?않|진\s?않|지는\s?않|는\s?(?:건|것은|게|것이)\s?아니|애)"
_DONE = words("하 해 했 함 합 한 나(?!아) 났 난 날 납 생 느 있 아프 아파 아픈 아픕 보 걸 먹 마 피")
_NOT_BEING = rf"(?:아니(?!라\s?도)|아닙|아닌|아녜|아녀|아님|안\s?{_any(_DONE)})"
_REFUSED = (
    r"(?:부인|음성|무(?=[\s,.)\]]|$)|(?:[:=]\s?)(?:없|무|no\b|none|neg|음성|아니)"
    r"|한\s?줄|정상(?=[\s,.)]|이[었에고라며]|입|임|범위|체온|$)(?!이?\s?아니)|(?:no|none|neg|negative|denied|denies|nl|wnl)\b)"
)
_CEASED = "(?:사라졌|사라진|사라지고|없어졌|없어진|없어지고)"
_NOT_DOING = (
    rf"(?:여|어|아|려|해|이)?\s?(?!{_any(UNCEASING)})[가-힣]{{0,4}}?(?:지|진|질)(?:는|도|를|가)?\s?"
    rf"{_any(NEGATION_ADVERBS)}?\s?(?:않|못|안\s?[하해했])"
)
_NOT_BECAUSE = r"(?:서가|서는)\s?아니"
_RATHER = r"다?기\s?보다는?"
_DENIED = _any(["전혀(?=요)", _ABSENT, _NOT_BEING, _REFUSED, _CEASED, _NOT_DOING, _NOT_BECAUSE, _RATHER])
_ENDING = r"(?:다는|다\s?그런|는|은|던|을|이|기|기는|긴|거나|한|신|으신|시던|[아어여해]\s?본)?"
_TAIL = re.compile(
    rf"(?!는데\s){_ENDING}\s{{0,2}}(?:{_any(TAIL_NOUNS)}\s?){{0,4}}{_any(TAIL_PARTICLES)}?\s{{0,2}}{_ADVERBS}{_DENIED}"
)
_TESTED = re.compile(
    r"\s?(?:테스트|반응|검사|키트)(?![^.\n]{0,24}(?:양성|두\s?줄))[^.\n]{0,24}?(?:음성|(?<![가-힣])한\s?줄)"
)
_ABSENT_ALL = rf"\s?{_ADVERBS}(?:없(?!어지)|안\s?나|아니(?!라\s?도)|아닙|아니에요)"
_ALTERNATIVE = re.compile(
    rf"(?:이나|나|(?<=이나)|(?<=[가-힣]나))\s[가-힣]{{1,6}}(?:\s[가-힣]{{1,5}}){{0,3}}(?:\s같은\s?(?:건|것은|거는|게)|은|는|도|(?=\s?없음))?{_ABSENT_ALL}"
    rf"|거나\s(?:[가-힣]{{1,7}}\s){{0,3}}[가-힣]{{1,7}}\s?(?:건|것은|것도|거는|적은|적도|적이|데는|데가|일은|일이|증상은){_ABSENT_ALL}"
    rf"|거나\s(?!(?:[가-힣]{{1,6}}\s){{0,3}}{_any(UNCEASING)})(?:[가-힣]{{1,6}}\s){{0,3}}[가-힣]{{1,6}}지(?:는|도)?\s?(?:않|못)"
    r"|(?<=갑자기)\s(?:[가-힣]{1,7}\s){1,5}(?:적|일)(?:은|도|이)?\s?없"
    rf"|(?:,\s?[가-힣]{{1,6}}(?:\s[가-힣]{{1,6}})?){{1,4}}\s같은\s?(?:건|것은|것도|거는|게){_ABSENT_ALL}"
    r"|지도\s(?:[가-힣]{1,6}\s){0,2}[가-힣]{1,6}지도\s?(?:않|못)"
    r"|(?:\s?[·/]\s?[가-힣a-z]{1,8}(?:\s[가-힣]{1,6})?){1,4}\s?(?:모두\s|다\s)?(?:없음|부인|음성|\(-\))"
)
"""Denied with something that is no finding of the lexicon: 류마티스*나 통풍 같은 건 없어요*, 오심*·조짐 없음*."""
_CONNECTORS = words(
    "이나 나 과 와 이랑 랑 도 및 또는 혹은 거나 하거나 이거나 증상 통증 증세 다른 그리고 든지 이든 든 or and nor"
)
_LINK = re.compile(rf"\s{{0,2}}(?:(?:{_any(_CONNECTORS)}|[,·/、+&ㆍ])\s{{0,2}}){{0,4}}")
_LISTED = re.compile(
    r"\s?(?:이|가|은|는|도|을|를)?\s?[가-힣]{1,4}(?:거나|든지)\s{1,2}|\s[가-힣]{1,4}(?<!으)나\s|\s?[·/]\s?[가-힣]{1,5}\s"
    r"|\s?것\s?,\s?|\s?(?:및|이나|또는|혹은)\s[가-힣]{1,4}\s"
)
"""A word of the list stands between: 두통*이 심하거나* 눈이 침침한 건 없어요, 흉통 *및 야간* 흉통 없음."""
_LONGEST_LINK = 14
_ASKED = re.compile(
    r"(?:이|은|는)?요?\s?\?\s?(?:(?:아니|아뇨|그런|그건),?\s?(?:거|건|것은|것)?\s?)?(?:전혀|절대|아니[요에,.]|아뇨|없[어습음]|아닙)"
)
"""환청이요? 전혀요."""
_SIGNS = re.compile(
    r"(?:,\s?(?!특이|특별|이상|다른|기타|별다)[가-힣]{1,6}){1,5}\s(?:징후|소견|증거)(?:은|는|이|도)?"
    r"\s?(?:없음|없고|없습니다|부인)"
)
_REPEATED = frozenset({"압통", "발적", "운동통", "수포음", "천명음", "과민"})
"""Signs of an examination, which names where they are: one found, one not."""
_COMMA = re.compile(r"\s?,\s?")
_CHART_ABSENT = re.compile(r"\s?(?:은|는|도)?\s?(?:없음|부인|음성|관찰되지|\(-\))")
_QUALIFIED = re.compile(
    r"(?:(?:심한|경미한|경한|중등도의?|약간의|극심한|지속적인|간헐적인|반복되는|악화되는|새로운)\s"
    r"|(?<![가-힣])\d{1,3}\s?(?:일|주|개월|년|시간|달)\s?(?:전부터|째|간)(?:의|\s지속된)?\s)(?:[가-힣]{1,6}\s)?[가-힣]{1,6}$"
)
_GUARDING = re.compile("반발통|반발압통|근성방어|복부강직|강직|근긴장|머피징후|종괴|cva압통|늑골척추각압통")


_NOT = re.compile(r"(?:(?:^|[,.!?\n]|[가-힣](?:은|는|이|가|도|을|를|로|서|데|고|며|만|엔|에|게))\s|^)안\s?$")
_NOUN_GOES_ON = re.compile(r"(?:이|가|은|는|을|를|도|의|과|와|에|증|통)(?:\s|$)")


def denied_before(text: str, start: int, end: int) -> bool:
    """Whether 안 stands before a verb: 얼굴은 *안* 가려워요, but not 입 안 물집."""
    return _NOT.search(text[max(0, start - 6) : start]) is not None and _NOUN_GOES_ON.match(text, end) is None


def denied_with_signs(text: str, start: int, end: int) -> bool:
    """Whether a chart denies it with signs that are no findings of the lexicon: 결막 *창백*, 부종, 출혈 징후 없음."""
    return _SIGNS.match(text, end) is not None and _qualified(text, start, end) is None


def _qualified(text: str, start: int, end: int) -> re.Match[str] | None:
    return _QUALIFIED.search(text[max(0, start - _LONGEST_LINK) : end])


def denied_after(text: str, end: int) -> bool:
    """Whether the text from `end` on denies the mention that ends there."""
    return any(pattern.match(text, end) is not None for pattern in (_TAIL, _TESTED, _ALTERNATIVE, _ASKED))


def said_before_list(text: str, mention: Mention, following: Mention) -> bool:
    """Whether the first of a list stands by itself, said before what a chart denies: 치골상부 *압통*, CVA *압통* 없음.

    It has a quality or a time of its own (*심한* 두통, 발열 없음), or the next repeats what it is of another place.
    A list of bare nouns is denied whole.
    """
    if _COMMA.fullmatch(text, mention.end, following.start) is None:
        return False
    if _qualified(text, mention.start, mention.end) is not None:
        return True
    own, other = text[mention.start : mention.end].split(), text[following.start : following.end].split()
    if len(own) > 1 and own[-1] == "압통" and _GUARDING.fullmatch("".join(other)) is not None:
        return True
    return (
        len(own) > 1
        and len(other) > 1
        and own[-1] == other[-1]
        and own[-1] in _REPEATED
        and _CHART_ABSENT.match(text, following.end) is not None
    )


def linked(text: str, end: int, start: int) -> bool:
    """Whether only list connectors stand between a mention that ends at `end` and the next, at `start`."""
    if not 0 <= start - end <= _LONGEST_LINK:
        return False
    return _LINK.fullmatch(text, end, start) is not None or _LISTED.fullmatch(text, end, start) is not None
