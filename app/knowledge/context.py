"""Findings that other words of the same text explain: an inhaler for COPD is no asthma, spotting in pregnancy no rash.

Read on normalised text; every repetition is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.knowledge.mention import Mention

_HEAD = re.compile(r"head|\bha\b|behind my eyes|occipital|migraine|skull|두통|머리|뒷골|골이|뒤통수")
_SWOLLEN_TONGUE = re.compile(
    r"\b(?:tongue|lips?|mouth|throat)\s(?:\w+\s){0,3}(?:swollen|swelling|swelled|swells|puffed|puffy|huge|ballooned)"
    r"|\b(?:swollen|swelling\sof\sthe|puffy|swelled)\s(?:\w+\s)?tongue"
    r"|(?:혀|입술|목구멍|목\s?안)(?:가|이|도|는|은|랑\s?입술이|와\s?입술이)?\s?(?:[가-힣]{1,6}\s){0,2}(?:붓|부어|부었|부은|부풀|퉁퉁)"
)
_INHALER = re.compile(r"inhaler|puffer|nebuli|흡입기")
_ASTHMA = re.compile(r"asthma|천식|ventolin|salbutamol|albuterol")
_OTHER_LUNGS = re.compile(r"\bcopd\b|emphysema|chronic bronchitis|bronchiectasis|만성\s?폐쇄성|폐기종|기관지\s?확장")
_SPOTTING = re.compile(r"점상\s?출혈")
_WOMB = re.compile(r"임신|산모|태아|주수|자궁|생리|질\s?(?:분비|출혈|초음파)|아기집")
_SKIN = re.compile(r"피부|다리|팔|손|발|몸|얼굴|배에|가슴|결막|입천장|구개|정강|종아리|허벅지|눈|발진|혈소판|열")
_HEART_STOPPED = re.compile(r"심장이?\s?멈|heart\s?(?:had\s|has\s)?stopp|heartbeat")
_PREGNANT = re.compile(
    r"임신|태아|유산|계류|아기집|산부인과|(?<!\d)\d{1,2}\s?주(?:차|에|쯤|때)|\bpregnan|miscarr|\bfo?etus|\bscan\sat|\bweeks\b"
)
_COLLAPSED = re.compile(r"쓰러|의식|맥박|숨을?\s?(?:안|못)|심폐|cpr|collapsed|unconscious|산모")
_OFTEN = re.compile(
    r"\b(?:several|few|many|couple\sof|two|three|four|five|six|\d{1,2})\stimes\s(?:a|per|each|every)\syear"
)
_SMARTS = re.compile(
    r"\s(?:when|while|as|on|if|after)\s(?:i|he|she|they|we|it|pee\w*|wee\w*|passing|urinat\w*|swallow\w*|wip\w*)\b"
)


def explained(text: str, mention: Mention) -> bool:
    """Whether the rest of `text` says that the mention is another thing."""
    own = text[mention.start : mention.end]
    match mention.finding_id:
        case "aphasia":
            return _SWOLLEN_TONGUE.search(text) is not None
        case "thunderclap_headache":
            return "maximal" in own and _HEAD.search(text) is None
        case "asthma_history":
            alone = _INHALER.search(own) is not None and _ASTHMA.search(own) is None
            return alone and _ASTHMA.search(text) is None and _OTHER_LUNGS.search(text) is not None
        case "petechiae":
            spotting = _SPOTTING.match(own) is not None
            return spotting and _WOMB.search(text) is not None and _SKIN.search(text) is None
        case "insect_bite":
            return own.endswith("sting") and _SMARTS.match(text, mention.end) is not None
        case "prolonged_standing":
            return own.endswith("설") and text.startswith("사", mention.end)
        case "pulselessness":
            stopped = _HEART_STOPPED.search(own) is not None
            return stopped and _PREGNANT.search(text) is not None and _COLLAPSED.search(text) is None
        case "seasonal_symptoms":
            return _OFTEN.search(text, max(0, mention.start - 12), mention.end) is not None
    return False


def unexplained(text: str, mentions: Iterable[Mention]) -> list[Mention]:
    return [mention for mention in mentions if not explained(text, mention)]
