"""Frequent misspellings of Korean endings, read as what is meant: 부엇어요 -> 부었어요, 아파여 -> 아파요.

Every correction keeps the length of the text, so that each character still stands where it stood: quotes remain the
original's. Read on normalised text, in one pass; what is a word of its own (웃어요, 씻어요, 참여) is left as it is.
"""

from __future__ import annotations

import re

_BASE, _FINALS = 0xAC00, 28
_N, _M, _B, _BS, _SINGLE_S, _DOUBLE_S = 4, 16, 17, 18, 19, 20
_MEANT_DOUBLE = "앗엇엿햇됏왓봣갓랏럿렷랫웟줫졋쳣켯폇텃팟팻켓겻껏꼇탓쩟떳잇겟섯"
"""As they are typed for 았 었 했 됐 왔 ...; 웃, 씻, 벗, 붓, 낫 and 짓 are stems of their own."""
_ENDED = "어아해예에네와워줘져려퍼러라거커쳐펴켜겨돼래나사터써꺼봐놔궈둬죠지구군음"
"""Before 여 at the end of a word, these are the end of a verb: 아파여, but not 참여 or 데여."""
_M_FINALS = "".join(chr(code) for code in range(_BASE + _M, _BASE + 11172, _FINALS))
_S_OR_M_FINALS = "".join(
    chr(code) for code in range(_BASE, _BASE + 11172) if (code - _BASE) % _FINALS in (_DOUBLE_S, _M, _BS)
)
_N_FINALS = "".join(chr(code) for code in range(_BASE + _N, _BASE + 11172, _FINALS))
_WRONG = re.compile(
    rf"(?P<past>(?<!빼)[{_MEANT_DOUBLE}](?=어|습니|읍니|는데|네요|다고|던데|거든|으면|을\s?때|고요))"
    rf"|(?P<formal>(?<=[{_S_OR_M_FINALS}])읍(?=니[다까]))"
    rf"|(?P<m>[{_M_FINALS}](?=니[다까](?![가-힣])))"
    rf"|(?:(?<=[{_ENDED}])|(?<=[아고]파)|(?<=[{_N_FINALS}]데))(?P<yo>여)(?=[\s.,!?~\u3131-\u318e]|$)"
    r"|(?P<be>되[요여])(?![가-힣])|(?P<den>됌)|(?P<days>몇일)|어(?P<strange>의)(?=\s?없)"
    r"|(?<=[은는도이가]\s)(?P<none>업)(?=어요|습니다|네요|는데|고요|음(?![가-힣]))"
    r"|(?:(?<=[지진])|(?<=[지진]\s))(?P<un>안)(?=아요|아여|습니다|고(?:\s|$)|네요|은데)"
    r"|(?<=(?<!지)[은는이가도]\s)(?P<not>않)(?=[나와되돼아])"
)
_READ = {
    "formal": "습",
    "yo": "요",
    "be": "돼요",
    "den": "됨",
    "days": "며칠",
    "strange": "이",
    "none": "없",
    "not": "안",
    "un": "않",
}


def corrected(text: str) -> str:
    """`text`, as long as it was, with the endings as they are meant."""
    return _WRONG.sub(_meant, text)


def _meant(match: re.Match[str]) -> str:
    kind = match.lastgroup or ""
    found = match.group()
    if kind == "past":
        return chr(ord(found) + _DOUBLE_S - _SINGLE_S)
    if kind == "m":
        return chr(ord(found) + _B - _M)
    return found.replace(match.group(kind), _READ[kind])
