"""Uncertain or certain? "I might have a fever", "열이 있는 것 같기도 해요".

Read around a mention and inside its clause only, over a bounded distance: linear in the text.
"""

from __future__ import annotations

import re

from app.knowledge.mention import Mention

_LEAD = 48
_TAIL = 32

_BREAK = re.compile(
    r"[.,;!?\n]|\b(?:but|because|since|though|although|however|so)\b|\band\s(?:i|now|then|he|she|my|this|it)\b"
    r"|(?:고|며|데|지만|아서|어서|여서|니까)(?=[\s,])"
)
_KNOWING = r"(?:(?:really|quite|exactly|entirely|too|so|even|totally)\s)?"
_EN_BEFORE = re.compile(
    r"\b(?:might|may(?=\s(?:have|be|also|possibly|well|just|even|still)\b)|could(?=\s(?:have|be|also|possibly)\b)|maybe"
    r"|perhaps|possibl[ey]|possibility of|probabl[ey]|suspect(?:ed|s|ing)?|suspicio(?:n|us)|questionable"
    rf"|(?:not|isn't|aren't|wasn't|never)\s{_KNOWING}(?:sure|certain)\s(?:if|whether)|unsure\s(?:if|whether)"
    rf"|(?:can't|cannot|can not|couldn't|could not|hard to|difficult to)\s{_KNOWING}(?:tell|say)\s(?:if|whether)"
    rf"|(?:don't|dont|do not|doesn't|does not)\s{_KNOWING}know\s(?:if|whether)|wonder(?:s|ing)?\s(?:if|whether)"
    r"|(?:i|we|she|he)\s(?:think|thinks|guess|suppose|believe)|seems?\s(?:like|to\shave))\b"
)
_EN_AFTER = re.compile(
    r"\s?(?:\(\?\)|(?:is|are|was|were)\s(?:only\s)?(?:possible|suspected|uncertain|unclear|questionable|not\scertain)\b"
    r"|(?:cannot|can't|could\snot)\sbe\s(?:ruled\sout|excluded)|,?\s?(?:maybe|perhaps|possibly|i\sguess|i\ssuppose)\s?"
    r"(?:[.,;!?\n]|$))"
)
_KO_BEFORE = re.compile(r"(?<![가-힣])(?:아마도?|혹시나?|어쩌면)\s")
_KO_AFTER = re.compile(
    r"(?:것|거|게)(?:도|은|이)?\s?같(?!은\s)|듯(?:해|하|합|한|했|싶)|지도\s?몰|일\s?수도?\s?있|수도\s?있|의심|의증|가능성|추정"
    r"|지(?:는|도|를)?\s?(?:(?:아닌지|없는지|안\s?[가-힣]{1,3}지)(?:는|도)?\s?)?(?:잘|정확히|확실히)?\s?(?:모르|모름|애매|불확실|불분명)"
    r"|(?:나|가)\s?(?:봐요|봅니다|보네|싶)|[을를일할]\s?(?:거예요|거에요|겁니다|것입니다)"
)
_KO_MAY_BE = re.compile(r"일\s?수(?:도|는)?\s?있")
_KO_LIKENED = re.compile(
    "맞은|뚫|찌르|찌를|조이|조여|쥐어|타는|터질|터지|누르|눌리|짓누|찢|막히|막힐|쪼개|깨질|깨지|끊어|빠질|빠지|돌아가|도는|뽑히"
)
"""As if: 가슴이 찢어지는 것 같아요 is no doubt."""
_KO_ASKING = re.compile("왜|언제|어디|어떻게|얼마나|무엇|뭣|뭐|무슨|이유|원인")
_FINAL_L = 8
"""Place of ㄹ among the finals of a Hangul syllable."""


def is_uncertain(text: str, mention: Mention, limit: int) -> bool:
    """Whether `text` only supposes the mention. `limit`: where the next mention starts; nothing after it is read."""
    before = _clause_before(text, mention.start)
    if _EN_BEFORE.search(before) is not None or _KO_BEFORE.search(before) is not None:
        return True
    return _EN_AFTER.match(text, mention.end) is not None or _doubted_after(text, mention, limit, before)


def _clause_before(text: str, start: int) -> str:
    before = text[max(0, start - _LEAD) : start]
    breaks = [match.end() for match in _BREAK.finditer(before)]
    return before[breaks[-1] :] if breaks else before


def _doubted_after(text: str, mention: Mention, limit: int, before: str) -> bool:
    if _KO_MAY_BE.search(text, max(mention.start, mention.end - 4), mention.end + 5) is not None:
        return True
    end = min(limit, mention.end + _TAIL)
    broken = _BREAK.search(text, mention.end, end)
    doubt = _KO_AFTER.search(text, mention.end, broken.start() if broken else end)
    if doubt is None:
        return False
    leading = text[mention.start : doubt.start()]
    if _KO_LIKENED.search(leading) or _KO_ASKING.search(before) or _KO_ASKING.search(leading):
        return False
    return not (doubt.group().endswith("같") and _is_prospective(text, mention, doubt.start()))


def _is_prospective(text: str, mention: Mention, doubt: int) -> bool:
    """토할 것 같아요: what is about to happen is felt, not doubted."""
    return not text[mention.end : doubt].strip() and (ord(text[mention.end - 1]) - ord("가")) % 28 == _FINAL_L
