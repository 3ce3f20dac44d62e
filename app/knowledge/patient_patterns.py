"""How ages, sexes and vital signs are written in English and Korean. Patterns for normalised (lower-case) text.

Every repetition is bounded, so that a search is linear in the text.
"""

from __future__ import annotations

import re

from app.domain import Sex
from app.knowledge.words import words

_IS = r"[\s:=~]{0,3}(?:is|was|of|at|about|around|to|이|은|는|가|약|수는|수가|수)?[\s:=]{0,3}(?:약|about)?\s?"
"""What stands between the name of a measurement and its value."""

_NOT_RELATIVE = (
    r"(?!\s?(?:(?:man|woman|male|female)\s)?"
    r"(?:mother|father|mom|dad|brother|sister|husband|wife|friend|grand|uncle|aunt|cousin|parent)"
    r"|\s?(?:된\s|인\s)?(?:어머니|아버지|엄마|아빠|남편|아내|할머니|할아버지|동생|오빠|언니|누나|형|친구))"
)
_NOT_AN_AGE = r"(?!\s?(?:때|부터|이후|무렵|이전|까지|빠|쪘|쯤에|연상|연하|차이|미만|이상))"

YEARS = (
    re.compile(rf"\b(\d{{1,3}})\s?-?\s?(?:years?|yrs?)\s?-?\s?(?:old|of age){_NOT_RELATIVE}"),
    re.compile(r"\b(\d{1,3})\s?(?:y/o|yo|y\.o\.)(?![a-z])"),
    re.compile(r"(?<![\d./])(\d{1,3})\s?/\s?[mf](?![a-z0-9/])"),
    re.compile(r"^\W{0,3}(\d{1,2})[mf](?![a-z0-9/])"),
    re.compile(r"(?<![a-z])[mf]\s?/\s?(\d{1,3})(?![\d/])"),
    re.compile(r"(?<![가-힣])[남여]\s?/\s?(\d{1,3})(?![\d/])"),
    re.compile(r"\b(?:aged?|age is|age:)\s?(\d{1,3})(?![\d-])"),
    re.compile(r"\bi(?:'m| am)\s(?:a\s)?(\d{1,3})(?=\s?(?:[,.;]|and\b|male\b|female\b|$))"),
    re.compile(rf"(?<!\d)(\d{{1,3}})\s?(?:세|살){_NOT_AN_AGE}{_NOT_RELATIVE}"),
    re.compile(r"(?:나이|연령)\s?[:=은는]?\s?(\d{1,3})"),
)
DECADE = re.compile(r"(?<!\d)([1-9]0)대\s?(?:초반|중반|후반)?\s?(?:남|여|환자|주부|직장인)")
_WEEK, _DAY = 7 / 365.25, 1 / 365.25
SMALL_UNITS = (
    (
        re.compile(r"(?:아이|아기|애기|딸|아들)[^.\n]{0,60}?(?<!\d)(\d{1,2})\s?개월(?=이에요|입니다|예요|인데|이요)"),
        1 / 12,
    ),
    (re.compile(r"\b(\d{1,2})\s?-?\s?(?:months?|mos?|mths?)\.?\s?-?\s?(?:old|m/o)"), 1 / 12),
    (re.compile(r"\b(\d{1,2})\s?m/o\b|\b(\d{1,2})\s?mo\s(?:baby|boy|girl|infant|male|female|m\b|f\b)"), 1 / 12),
    (re.compile(r"\b(\d{1,2})\s?-?\s?(?:weeks?|wks?)\.?\s?-?\s?old"), _WEEK),
    (re.compile(r"\b(\d{1,2})\s?-?\s?days?\s?-?\s?old"), _DAY),
    (re.compile(r"(?:생후|태어난\s?지)\s?(?:만\s?)?(\d{1,2})\s?(?:개월|달)"), 1 / 12),
    (re.compile(r"(?:생후|태어난\s?지)\s?(?:만\s?)?(\d{1,2})\s?주"), _WEEK),
    (
        re.compile(r"(?<!\d)(?<!임신)(?<!임신\s)(\d{1,2})\s?주\s?된\s?(?:아기|아이|영아|신생아|남아|여아|아들|딸)"),
        _WEEK,
    ),
    (re.compile(r"(?:생후|태어난\s?지)\s?(?:만\s?)?(\d{1,3})\s?일"), _DAY),
    (
        re.compile(r"(?<!\d)(\d{2,3})일\s?(?:된\s?|밖에 안 된\s?)(?:[가-힣]{1,3}\s)?(?:아기|아가|애기|아이|신생아)"),
        _DAY,
    ),
    (
        re.compile(
            r"(?:아기|아이|(?:우리|저희)\s?애)[가는]?\s?(?:이제\s)?(?:만\s?)?(\d{1,2})\s?개월(?=인데|이고|이에요|예요|입니다|이라|인\s|됐|된|[\s,.]?$)"
        ),
        1 / 12,
    ),
    (re.compile(r"(?<!\d)(\d{1,2})\s?개월\s?(?:된\s?)?(?:아기|아이|영아|유아|남아|여아|아들|딸|[남여]자아이)"), 1 / 12),
)
"""(pattern, years in the unit)."""
OF_A_MOTHER = re.compile(
    r"유방|젖몸살|젖꼭지|유두|산후|출산\s?(?:후|하고|한\s?지)|제왕절개|엄마(?:예요|입니다|인데요?|이고)"
    r"|\bmy (?:left |right )?(?:breasts?|nipples?|boob)|post-?\s?partum"
    r"|after (?:giving birth|delivery|the birth)|mastitis|c-section"
)
"""Where a mother writes of herself, the age of her baby is not the patient's."""
_BABY = r"(?:아기|아가|애기|아이|애(?=[가는도 ])|신생아|영아|딸|아들)"
NAMED_AGES: tuple[tuple[re.Pattern[str], float], ...] = (
    (re.compile(r"(?:백일|100일)\s?(?:도\s?)?(?:안|못)\s?[된돼되]"), 80 * _DAY),
    (re.compile(r"(?:생후|태어난\s?지)\s?(?:한\s?달|1달)"), 1 / 12),
    (re.compile(r"(?:생후|태어난\s?지)\s?두\s?달"), 2 / 12),
    (re.compile(r"(?:생후|태어난\s?지)\s?(?:석|세)\s?달"), 3 / 12),
    (re.compile(r"(?:생후|태어난\s?지)\s?(?:넉|네)\s?달"), 4 / 12),
    (re.compile(r"(?:생후|태어난\s?지)\s?다섯\s?달"), 5 / 12),
    (re.compile(r"(?:생후|태어난\s?지)\s?(?:여섯\s?달|반년)"), 6 / 12),
    (re.compile(r"(?:생후|태어난\s?지)\s?(?:일주일|한\s?주)|(?:생후|태어난\s?지)\s?(?:이틀|사흘|나흘|닷새)"), _WEEK),
    (re.compile(r"(?:생후|태어난\s?지)\s?(?:열흘|보름|[이두]\s?주)"), 2 * _WEEK),
    (re.compile(r"(?:생후|태어난\s?지)\s?(?:삼|세|석)\s?주|삼칠일"), 3 * _WEEK),
    (
        re.compile(rf"(?:생후|태어난\s?지)\s?백일|백일\s?(?:된|갓|지난|쯤)|(?<!\d)100일\s?{_BABY}|백일\s?{_BABY}"),
        100 * _DAY,
    ),
    (
        re.compile(rf"(?<![가-힣])(?:한|1)\s?달\s?(?:된|밖에|도\s?안\s?된|조금\s?넘은)\s?(?:[가-힣]{{1,3}}\s)?{_BABY}"),
        1 / 12,
    ),
    (re.compile(rf"(?<![가-힣])두\s?달\s?(?:된|밖에|도\s?안\s?된|조금\s?넘은)\s?(?:[가-힣]{{1,3}}\s)?{_BABY}"), 2 / 12),
    (re.compile(r"(?<![가-힣])돌\s?(?:도\s?)?(?:안\s?된|전인|전\s?아기)"), 0.7),
    (
        re.compile(
            r"(?<![가-힣])(?:(?:이제\s|막\s|갓\s)?돌\s?(?:이\s)?(?:막\s|갓\s|좀\s|조금\s)?(?:지난|지났|된|넘은)|돌쟁이|첫돌)"
        ),
        1.1,
    ),
    (re.compile(r"(?<![가-힣])두\s?돌"), 2.0),
    (re.compile(r"(?<![가-힣])세\s?돌"), 3.0),
    (re.compile(r"\b(?:a|one|1)[\s-]months?[\s-]old|\bmonth[\s-]old"), 1 / 12),
    (re.compile(r"\bnewborn\b(?!\s(?:screening|at home|baby at home))|(?<![가-힣])신생아(?!실)"), 10 * _DAY),
)
"""Ages without a number, as babies' are told."""
UNBORN = re.compile(
    r"임신|태동|뱃속|배\s?속|태아|양수|산모|난임|\b(?:pregnan|womb|trimester|labou?r|waters broke|antenatal)"
)
YOUNG = (
    (re.compile(r"(?<![가-힣])(?:아기|아가|애기|갓난애|젖먹이)(?=[가는도를의한]|\s|이가)"), 1.0),
    (
        re.compile(
            r"\b(?:my|our|the|this) (?:baby|infant)\b"
            r"|\bbaby(?:'s)?\s(?:is|has|soft|eyes|fontanel|was|won't|passed|keeps|will|girl|boy|had)\b"
        ),
        0.5,
    ),
    (re.compile(r"\btoddler\b"), 2.0),
)
"""A baby or toddler of no stated age; what is told of an unborn one is not meant."""
_EN_ONES = words(
    """
    one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
    """
)
EN_COUNTS = {word: float(value) for value, word in enumerate(_EN_ONES, 1)} | {"nineteen": 19.0, "twenty": 20.0}
SPELLED_EN = re.compile(
    rf"\b({'|'.join(sorted(EN_COUNTS, key=len, reverse=True))})[\s-](day|week|month|year)s?[\s-]old{_NOT_RELATIVE}"
)
EN_UNITS = {"day": _DAY, "week": _WEEK, "month": 1 / 12, "year": 1.0}
_KO_TENS = words("열 스물 서른 마흔 쉰 예순 일흔 여든 아흔")
_KO_ONES = {"한": 1, "하나": 1, "두": 2, "세": 3, "네": 4, "다섯": 5, "여섯": 6, "일곱": 7, "여덟": 8, "아홉": 9}
KO_TENS = {word: 10.0 * value for value, word in enumerate(_KO_TENS, 1)} | {"스무": 20.0}
KO_ONES = {word: float(value) for word, value in _KO_ONES.items()}
SPELLED_KO = re.compile(
    rf"(?<![가-힣])({'|'.join(KO_TENS)})?\s?({'|'.join(sorted(KO_ONES, key=len, reverse=True))})?\s?살"
    rf"{_NOT_AN_AGE}{_NOT_RELATIVE}"
)
"""열두 살, 스물다섯 살, 일흔 살."""

_AGED = (
    r"(?:(?:years?|yrs?|months?|weeks?|days?)\s?-?\s?old|y/o|yo|\d{1,3}\s?(?:세|살|개월)(?:\s?된)?의?"
    r"|[1-9]0대(?:\s?[초중후]반)?의?)"
)
_PERSON = r"[\s,-]{0,2}(?:\w{1,20}\s)?"
_LETTER = {"female": "f", "male": "m"}
_SYLLABLE = {"female": "여", "male": "남"}


def _by_letter(sex: Sex) -> re.Pattern[str]:
    letter = _LETTER[sex]
    return re.compile(
        rf"(?<![\d./])\d{{1,3}}\s?/\s?{letter}(?![a-z0-9/])|^\W{{0,3}}\d{{1,2}}{letter}(?![a-z0-9/])"
        rf"|(?<![a-z]){letter}\s?/\s?\d{{1,3}}(?![\d/])"
        rf"|(?<![가-힣]){_SYLLABLE[sex]}\s?/\s?\d{{1,3}}"
    )


def _by_statement(sex: Sex, nouns: str) -> re.Pattern[str]:
    return re.compile(
        rf"\bi(?:'m| am) an? (?:\w{{1,20}} )?(?:{nouns})\b|\bpatient is (?:a )?{sex}\b"
        rf"|\b(?:sex|gender)\s?[:=]\s?{_LETTER[sex]}(?:{sex[1:]})?\b"
    )


SEXES: tuple[tuple[Sex, re.Pattern[str]], ...] = (
    ("female", re.compile(rf"{_AGED}{_PERSON}(?:woman|female|girl|lady)\b")),
    ("male", re.compile(rf"{_AGED}{_PERSON}(?:man|male|boy|gentleman)\b")),
    ("female", re.compile(rf"{_AGED}[\s,]{{0,2}}(?:여성|여자|여아|여학생|여환|딸|주부|임산부|임신부)")),
    ("male", re.compile(rf"{_AGED}[\s,]{{0,2}}(?:남성|남자|남아|남학생|남환|아들)")),
    ("female", _by_statement("female", "woman|female|girl")),
    ("male", _by_statement("male", "man|male|guy|boy")),
    ("female", re.compile(r"(?<![가-힣])(?:여성|여자)(?:입니다|이에요|예요|이고|인데|\s?환자)|성별\s?[:=은]?\s?여")),
    ("male", re.compile(r"(?<![가-힣])(?:남성|남자)(?:입니다|이에요|예요|이고|인데|\s?환자)|성별\s?[:=은]?\s?남")),
    ("female", _by_letter("female")),
    ("male", _by_letter("male")),
)
"""Pairs of one kind of phrase, the surest kind first."""

PRESSURE = (
    re.compile(rf"(?:\bbp|blood pressure|혈압){_IS}(\d{{2,3}})\s?(?:/|over|에서|에)\s?(\d{{2,3}})"),
    re.compile(r"(?<![\d/])(\d{2,3})\s?/\s?(\d{2,3})\s?mm\s?hg"),
    re.compile(r"(?<![\d/.])([7-9]\d|[12]\d\d)\sover\s(\d{2,3})(?!\d|\.\d)"),
    re.compile(
        r"혈압(?:을|이|은|도)?\s?(?:잰|재|쟀|측정)[가-힣]{0,5}\s(?:[가-힣]{1,3}\s)?(\d{2,3})\s?(?:/|에서|에)\s?(\d{2,3})"
    ),
    re.compile(r"(?<![\d/.-])(?<!room )([1-2]\d\d)\s?/\s?([4-9]\d|1[0-6]\d)(?![\d/.-])"),
    re.compile(
        r"(?<![\d/.-])(1[0-9]\d|2[0-4]\d)에\s?([5-9]\d|1[0-5]\d)(?![\d.])(?=[\s,.]|이|나|정도|까지|으로|로|였|입|예|$)"
    ),
)
_TENS = r"(?:[일이삼]?백)?(?:[이삼사오육칠팔구]?십)?"
SPELLED_PRESSURE = re.compile(
    rf"(?:혈압|\bbp)(?:이|은|을|도)?\s(?:[가-힣]{{1,4}}\s){{0,3}}?({_TENS}[일이삼사오육칠팔구]?)\s?에서?\s?"
    rf"({_TENS}(?:[일삼사오육칠팔구]|이(?![가-힣]|\s[나넘찍]))?)"
)
"""혈압이 이백이십에 백십이에요: the 이 that a word goes on from is the verb."""
_WHOLE = r"(?!\d|\.\d|\s?/\s?\d)"
SYSTOLIC = re.compile(
    rf"(?:\bsbp|systolic(?: blood pressure| bp)?|수축기\s?(?:혈압)?){_IS}(\d{{2,3}}){_WHOLE}"
    rf"|(?:혈압(?:을|이|은|도)?\s?(?:재|쟀|측정)[가-힣]{{0,5}}|집에서\s잰\s혈압[이은]?)\s?(\d{{2,3}}){_WHOLE}(?!\s?에\s?\d)"
)
HEART_RATE = re.compile(
    rf"(?:\bhr|\bpr|heart ?rate|pulse(?: rate)?|맥박|심박동|심박수?|맥[이은]|(?<![가-힣])맥(?=\s?\d))"
    rf"{_IS}(?:분당\s?|1분에\s?)?(\d{{2,3}}){_WHOLE}"
    rf"|(?:심장|heart)[^.,\n\d]{{0,16}}(?:분당|1분에)\s?(\d{{2,3}}){_WHOLE}"
    r"|(?:워치|\bwatch|\bfitbit)(?![^.,\n]{0,20}(?:산소|혈압|걸음|시|pressure|oxygen|o2|steps))[^.,\d\n]{0,20}"
    r"(1\d\d|2[0-4]\d)(?!\d|\.\d|\s?[/%:]|\s?에\s?\d|\s?(?:steps|kg|걸음|년|만))"
    r"|(?<![\d.])(\d{2,3})\s?(?:bpm|beats (?:a|per) minute)"
)
BREATHING_RATE = re.compile(
    rf"(?:\brr|resp(?:iratory|iration)? rate|respirations|호흡\s?수|호흡){_IS}(?:분당\s?)?(\d{{1,2}}){_WHOLE}"
)
SATURATION = re.compile(
    r"(?:\bsatting|\bsaturating|\bsp[o0]2|\bsao2|\bo2 sat(?:uration)?s?"
    r"|oxygen (?:saturation|sats?|level)|\bsats?|saturation"
    rf"|산소\s?포화도|포화도){_IS}(\d{{2,3}}(?:\.\d)?)(?!\d)"
)
CELSIUS = (
    re.compile(r"(?<![a-z])t\s?[:=]?\s?(3[4-9]\.\d|4[0-2]\.\d)(?!\d)"),
    re.compile(
        rf"(?:\bbt|\btemp(?:erature)?|체온|고열|열|fever){_IS}(\d{{2}}(?:\.\d{{1,2}})?)(?!\d)"
        r"(?!\s?(?:일|시간|분|년|주|개월|days?|hours?|weeks?|f\b|°f|%))"
    ),
    re.compile(
        r"(?<![\d.])(3[4-9](?:\.\d{1,2})?|4[0-3](?:\.\d{1,2})?)\s?"
        r"(?:도(?![가-힣])|도(?=[이입가씨까정를의로예였인라래쯤나는에요네넘밖])|°\s?c?(?!f)\b|degrees?\s?c|c(?![a-z]))"
    ),
)
SPELLED_CELSIUS = re.compile(
    r"(?:열|체온)(?:이|은|을|도)?\s(?:[가-힣]{1,4}\s){0,3}?(삼십[사오육칠팔구]|사십[일이]?)\s?"
    r"(?:(?:쩜|점)\s?([일이삼사오육칠팔구])\s?)?도(?:\s([일이삼사오육칠팔구])\s?부)?"
)
"""열이 삼십구도까지, 체온 삼십육 점 오 도, 삼십팔도 오부."""
FAHRENHEIT = (
    re.compile(rf"(?:\btemp(?:erature)?|fever){_IS}(\d{{2,3}}(?:\.\d)?)(?!\d|\.\d)"),
    re.compile(r"(?<![\d.])(\d{2,3}(?:\.\d)?)\s?(?:°\s?f|degrees?\s?f|f\b)"),
)
PAIN = re.compile(
    r"(?:pain|hurts|nrs|vas|통증|아픔)[^0-9\n.]{0,24}(\d{1,2})\s?(?:/|out of)\s?10(?!\d)"
    r"|통증\s?(?:점수)?\s?(\d{1,2})\s?점"
)
