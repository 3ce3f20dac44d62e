"""Words that look like a finding and tell of none: figures of speech, things, and what is only likened to something.

"겁나 가려워요" is no fear, "a blister pack" no blister, "말도 못 하게 아파요" no loss of speech; and who was swollen
"like a bee sting" was not stung. Read on normalised text; every repetition is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from app.knowledge.mention import Mention

_IDIOMS = re.compile(
    r"(?<![가-힣])(?:겁나게?\s(?=[가-힣])(?!하)"
    r"|말도\s?못\s?(?:하게|할\s?(?:정도|만큼))"
    r"|눈물이?\s?핑\s?(?:돌|도|돕|돈))"
    r"|[가-힣](?:는지|은지|을지|인지)(?:도|를|는)?\s?(?:정확히\s|잘\s)?기억이?\s?(?:안\s?나|나지\s?않|못|없|가물)"
    r"|화상\s?(?:센터|icu|전문|중환자)|\bburns?\s(?:centre|center|unit|icu)"
    r"|실금\s?(?:처럼|같은|같이)"
    r"|\bmuddl\w+\s(?:through|along)|\bon\sthe\sedge\sof|\btakes?\sthe\sedge\soff"
    r"|\bfell\s(?:asleep|out\swith|behind|pregnant|in\slove|apart)|\bfall(?:s|ing)?\s(?:asleep|behind|off\sme)"
    r"|\balcohol\s(?:rub|gel|hand\s?gel|wipes?|swabs?|sanitis\w+|sanitiz\w+)|\bblister\s(?:packs?|strips?)"
    r"|\bsmoked\s(?:fish|salmon|mackerel|ham|meat|trout|bacon|sausages?)|\bexpecting\sto\b"
    r"|\bgas\s(?:water\s)?(?:heaters?|boilers?|stoves?|cookers?|fires?|ovens?|hobs?|station)\b"
    r"|\bat\sthe\ssurgery\b|\bseizure\s(?:tablets?|pills?|medic\w+|meds|drugs?)\b"
    r"|\bpupils?\s(?:are\s|is\s|both\s)?sluggish|\bsharp\s(?:and|,)\s(?:peppery|metallic|sour)"
    r"|\bbreath(?:s|ing)?\s(?:that\s)?smells?\sfine"
    r"|(?<![가-힣])(?:어디|누구|아무)(?:에게|한테|에게도|한테도|에)?\s?말도?\s?못\s?하"
    r"|고추\s?농사|(?<![가-힣])배차(?=[가를\s])|햇빛\s?아래서?\s?보|경련처럼|쓰러지듯|(?:신경학적|이학적|신체)\s?검진"
    r"|발작\s?(?:사이|간(?![가-힣])|중\s?안절부절)|\(발작\s?시\)|(?:마시면|먹으면|웃으면|공기|것에)[^.\n]{0,10}발작"
    r"|\bfaint\s(?:(?:second|positive|pink|red|blotchy)\s)?"
    r"(?:lines?|pink\w*|red\w*|rash|spots?|blotch\w*|positive|marks?|patch\w*|smell)\b"
    r"|\b(?:won't|wont|doesn't|hard\sto|difficult\sto|toilet)\sflush\b"
    r"|\bweight[\s-]loss\s(?:teas?|pills?|diets?|drugs?|supplements?|injections?|surgery|shakes?|tablets?|jabs?)\b"
    r"|\btoothache\sin\s(?:the|my)\s(?:middle|small|back|knee|hip|arm|belly|chest)\b"
    r"|\b(?:local|gp|doctor's|doctors)\ssurgery\b|/surgery\b"
    r"|\b(?:cup|glass|plate|phone|fork|spoon|pen|pan|face|mouth|cereal|food)\s(?:has\s|have\s|just\s)?(?:slipped|slips|slipping|fell|falls)\b"
    r"|\bwords\stumbled?\b|\bstruck\sby\sa\s[0-9]|\bgrave\ssite|\baid\s(?:worker|agency|camp|station)|\b(?:first|hearing)[\s-]aids?\b"
    r"|\bcigarette\sburn"
    r"|\b(?:hcg|levels?|counts?|numbers?|titres?|temperature|temp|sats?|saturations?|pressure|bp|sugars?|output|rate|weight)"
    r"\s(?:is\s|are\s|was\s|were\s|keeps?\s|kept\s|has\s|started\s)?(?:falling|fell|falls|fallen)\b"
    r"|\b(?:lungs?|lobes?|lobar|vertebral|vertebra|alveolar|airway)\s(?:has\s|had\s|have\s|is\s|partial(?:ly)?\s|body\s)?collaps\w+"
    r"|\bcollapsed\s(?:lung|lobe|vertebra\w*)|(?:폐|[상중하]엽|척추|추체)의?\s?(?:collapse|허탈)"
    r"|(?<![가-힣])맥\s?없이\s"
    r"|감기\s?기운|몸살\s?기운|숨을?\s?(?:꾹\s?)?참[고으아았는지을]"
    r"|(?:불안|협심증|기침)\s?발작|발작이?\s?없을"
    r"|갑자기\s?일어[나서설날]|찬물(?:에|로)\s?(?:세수|담그|담가|얼굴)"
    r"|\bunresponsive\sto\s(?!pain|voice|stimul|verbal)|\bill[\s-]defined|\bgetting\swinded|\bshak\w+\soff\b"
    r"|\bdrown(?:ing|ed)\sin\s(?:work|debts?|paperwork|emails?|sorrow|guilt|love|homework|laundry|grief|bills)\b"
    r"|\bcold\sfeet\sabout\b|\bfall\s(?:semester|term|colou?rs|leaves|break)\b|\brash\s(?:decisions?|promise|choice|act)\b"
    r"|\bpass(?:ed|ing)?\sout\s(?:flyers|leaflets|the|some|candy|sweets|papers)\b|\bbruised\sego\b|\btired\sof\s(?!life|living)"
    r"|\bchoked\sup\s(?:with|at|about|when|by)\b|상처\s?받(?=[았은고아])"
    r"|눌러\s?(?:봐도|도)\s?아픈\s?데|\b(?:hepatojugular|saphenofemoral|saphenopopliteal|venous|vesicoureter\w+)\sreflux"
    r"|\bpulmonary\scongestion"
    r"|\bthe\sother\s(?:leg|arm|side|foot|calf|hand|one)\s(?:is|was|looks|feels)\s(?:still\s)?(?:warm|fine|normal|ok)\b"
    r"|\b(?:slow|own|easy|brisk|fast|steady)\space\b|\bpaces\spast\b|\bkeep\sup\swith\speople|\bmakes?\s(?:it|them)\ssting\b|\b(?:tie|tying|untie)\s(?:\w+\s){0,2}laces"
)
_LIKENED_KO = re.compile(r"(?:ㄴ|은|는|한|을)?\s?(?:것|거|듯|데)?(?:처럼|마냥)|\s?(?:것|거|듯)\s?같이\s?|\s?듯이?\s")
"""벌레 물린 것처럼, 술 취한 듯, 모기 물린 것 같이."""
_LIKENED_EN = re.compile(
    r"(?:\bfeel(?:s|ing)?\s(?:i'?m|im|i\sam)\s"
    r"|\b(?:like|as if|as though)\s"
    r"(?:(?:an?|the|i'd|i had|i've|it was|little|big|tiny|bad|nettle|gnat|hot)\s){0,3}"
    r"|\bas\s\w{2,10}\sas\s(?:an?\s)?|\brather\sthan\s(?:an?\s|being\s)?|\bmore\s\w{3,12}\sthan\s)$"
)
_LEAD = 36
_COMPARED_WITH = frozenset(
    {
        "hives",
        "pruritus",
        "insect_bite",
        "mosquito_bite",
        "tick_bite",
        "burn",
        "alcohol_use",
        "trauma",
        "acne_comedones",
        "drowning",
        "amputation",
        "wound",
    }
)
"""Findings that others are likened to; that a belly is *like a drum* or a rash *like hives* is read elsewhere."""


def without_idioms(text: str, mentions: Iterable[Mention], is_history: Mapping[str, bool]) -> list[Mention]:
    """Leaves out what a figure of speech only seems to say, and facts that something is only likened to."""
    spans = [match.span() for match in _IDIOMS.finditer(text)]
    return [
        mention
        for mention in mentions
        if not any(
            start < mention.end and mention.start < end and not (mention.start <= start and end <= mention.end)
            for start, end in spans
        )
        and not (_may_be_likened(mention, is_history) and is_likened(text, mention))
    ]


def _may_be_likened(mention: Mention, is_history: Mapping[str, bool]) -> bool:
    return mention.finding_id in _COMPARED_WITH or is_history[mention.finding_id]


def is_likened(text: str, mention: Mention) -> bool:
    """Whether `text` compares something with the mention ("like a sting", "벌레 물린 것처럼")."""
    if _LIKENED_KO.match(text, mention.end) is not None:
        return True
    return _LIKENED_EN.search(text[max(0, mention.start - _LEAD) : mention.start]) is not None
