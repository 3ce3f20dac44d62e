"""Over long ago, or of now? "I had asthma as a child", "작년에 폐렴을 앓았고".

Past is what ended before this illness: childhood, years or months ago. What began then and goes on ("since last year",
"작년부터"), what was diagnosed then, and yesterday's pain are of now.
"""

from __future__ import annotations

import re

from app.knowledge.mention import Mention

_LEAD = 64
_TAIL = 48

_COUNT = (
    r"(?:\d{1,2}|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|several|many|some|(?:a\s)?few"
    r"|(?:a\s)?couple\s(?:of\s)?)"
)
_WHO_WAS = r"(?:i|he|she|we)\s(?:was|were)"
_EN_THEN = (
    r"(?:as|being)\san?\s(?:young\s|small\s|little\s)?(?:child|kid|baby|toddler|teen(?:ager)?|student|boy|girl|infant)"
    rf"|when\s{_WHO_WAS}\s(?:a\s|an\s|in\s|at\s|still\s|very\s)*(?:young(?:er)?|little|small|kid|child|baby|teen\w*"
    r"|boy|girl|student|school|college|\d{1,2}\b)"
    r"|in\s(?:(?:my|his|her)\s)?(?:childhood|youth|teens|(?:early\s|late\s)?(?:twenties|thirties|forties|20s|30s|40s))"
    r"|in\sthe\spast(?!\s(?:\w+\s){0,2}(?:minute|hour|day|night|week|month|year)s?\b)"
    rf"|(?:{_COUNT}\s?)?(?:months?|years?|decades?)\s(?:ago|back|earlier)|long\sago"
    r"|last\s(?:year|spring|summer|autumn|fall|winter|month)|in\s(?:19|20)\d\d"
)
_EN_LEAD = re.compile(rf"\b(?:{_EN_THEN})\b")
_EN_BARE = re.compile(
    r"\b(?:previously|formerly|(?<!am\s)(?<!'m\s)(?<!is\s)(?<!get\s)used\sto)\b(?!\s(?:it|this|the)\b)"
    r"|\b(?:past|prior|previous|remote|childhood)\s(?:medical\s)?(?:history|episodes?)\sof\b|\bh/o\s"
    r"|\bp\.?m\.?hx?\.?\s?:|\bpast\s(?:medical\s)?history\s?:"
)
"""Say it without a verb in the past."""
_EN_BARE_OF_ILLNESS = re.compile(r"\b(?:previously|formerly|used\sto)\b")
"""For an illness that is a history anyhow; "past history of hypertension" is of now."""
_EN_AFTER = re.compile(rf"[^.,;!?\n]{{0,30}}?\b(?:{_EN_THEN})\b")
_EN_BEGUN = re.compile(
    r"\b(?:since|start(?:ed|ing|s)?|beg[au]n|onset|diagnosed|ever|from|have|has|'ve|still|after|because|told|only)\b"
)
_EN_PAST_VERB = re.compile(
    r"\b(?:had|was|were|got|suffered|experienced|caught|developed|used\sto|went|came|lost|felt|did|stung|bitten|fell|broke|[a-z]{3,}ed)\b"
)
_EN_GOES_ON = re.compile(r"\b(?:still|ever since|to this day|ongoing|continues?|comes? back|came back|until now)\b")
_EN_BREAK = re.compile(
    r"[.;!?\n]|\b(?:but|however|though|although|now|today|currently|presents?|yet)\b|,?\sand\s(?:i|i'm|then|this|my)\b"
)

_KO_THEN = re.compile(
    r"(?<![가-힣])(?:작년|재작년|지난\s?해|지난\s?달|예전|옛날|과거(?!력)|이전에|어릴|어렸을|어려서|젊었을|젊을|학창|유년"
    r"|(?:초등|중|고등|대)?학(?:교|생)\s?(?:다닐\s?)?때|군대\s?(?:있을\s?)?때"
    r"|(?:\d{1,2}|몇|수|여러|한두|두세|서너|한|두|세|네|다섯|일|이|삼|오|십)\s?(?:년|개월|달|해)\s?(?:쯤\s?|정도\s?)?전"
    r"|(?:19|20)\d\d년)"
)
_KO_BEGUN = re.compile(
    "부터|이후|이래|뒤로|후로|시작|생긴|생겨|발생|진단|계속|줄곧|까[지진]|던 |에도|때도|보다|처럼|만큼"
)
_KO_NOW = re.compile(
    r"지금|현재|요즘|요새|최근|오늘|이번|어제|어젯|그제|그저께|며칠|아침|지난\s?주|방금|아까|일\s?전|시간\s?전|주\s?전"
)
_KO_GOES_ON = re.compile(
    r"지금도|아직도|여전히|이번에도|지금까지|현재까지|현재도|먹고\s?있|복용\s?중|앓고\s?있|치료\s?중|계속"
)
_KO_BREAK = re.compile(r"[.;!?\n]|(?:고|며|는데|은데|인데|지만|으나)(?=[\s,])")
_KO_OVER = re.compile(
    r"(?:(?:[가-힣]{0,4}\s?){0,2}(?:적|일)(?:이|도)?\s?있"
    r"|[을를]?\s?(?:심하게\s|크게\s|한\s?번\s)?앓(?:았|은|으셨)|[가-힣]{0,3}?\s?(?:[가-힣]{1,3}\s)?[가-힣]{0,2}[았었했렸났갔왔았졌]었)"
)
_KO_ONCE = re.compile(r"적(?:이|도)?\s?있")
_KO_RECORD = re.compile(r"(?:의\s?|에\s?대한\s?)?\s?(?:과거력|기왕력)")
_FINAL_SS = 20
"""Place of ㅆ among the finals of a Hangul syllable."""


def is_past(text: str, mention: Mention, *, history: bool) -> bool:
    """Whether `text` says that the mention is over since long. `history`: the finding is an illness once had."""
    if mention.script == "hangul":
        return _past_ko(text, mention, history=history)
    return _past_en(text, mention, history=history) or _past_ko(text, mention, history=history)


def _after_last(pattern: re.Pattern[str], text: str) -> str:
    ends = [match.end() for match in pattern.finditer(text)]
    return text[ends[-1] :] if ends else text


def _past_en(text: str, mention: Mention, *, history: bool) -> bool:
    before = _after_last(_EN_BREAK, text[max(0, mention.start - _LEAD) : mention.start])
    if _EN_GOES_ON.search(text, mention.end, mention.end + _TAIL) is not None:
        return False
    if (_EN_BARE_OF_ILLNESS if history else _EN_BARE).search(before) is not None:
        return True
    own = text[mention.start : mention.end]
    if history and _EN_LEAD.search(own) is not None and _EN_BEGUN.search(own) is None:
        return True
    said = before + own
    if _EN_BEGUN.search(said) is not None or _EN_PAST_VERB.search(said) is None:
        return False
    if _EN_LEAD.search(before) is not None:
        return True
    broken = _EN_BREAK.search(text, mention.end, mention.end + _TAIL)
    tail = text[mention.end : broken.start() if broken else mention.end + _TAIL]
    match = _EN_AFTER.match(tail)
    return match is not None and _EN_BEGUN.search(match.group()) is None


def _past_ko(text: str, mention: Mention, *, history: bool) -> bool:
    before = _after_last(_KO_BREAK, text[max(0, mention.start - _LEAD) : mention.start])
    if _KO_GOES_ON.search(text, mention.end, mention.end + _TAIL) is not None:
        return False
    own = text[mention.start : mention.end]
    if history and _KO_THEN.search(own) is not None and _KO_BEGUN.search(own) is None:
        return True
    then = next(reversed(list(_KO_THEN.finditer(before))), None)
    since = before[then.end() :] if then is not None else before
    if _KO_NOW.search(since) is not None or _KO_BEGUN.search(since) is not None:
        return False
    broken = _KO_BREAK.search(text, mention.end, mention.end + _TAIL)
    tail = text[mention.end : broken.start() if broken else mention.end + _TAIL]
    if _KO_OVER.match(tail) is not None or (not history and _KO_RECORD.match(tail) is not None):
        return True
    if then is None or _KO_BEGUN.search(tail) is not None:
        return False
    if not tail.strip() or tail.startswith(",") or _KO_ONCE.search(tail) is not None:
        return True
    return _in_past_tense(own + tail)


def _in_past_tense(words: str) -> bool:
    """Whether a syllable ends in ㅆ, as a verb in the past does (아팠, 났, 했); 있 and 겠 do not count."""
    return any(
        "가" <= syllable <= "힣" and (ord(syllable) - ord("가")) % 28 == _FINAL_SS and syllable not in "있겠"
        for syllable in words
    )
