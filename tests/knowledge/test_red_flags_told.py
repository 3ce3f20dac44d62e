"""Emergencies as they are told raise a flag of a high floor; everyday complaints with one weak sign raise none."""

import pytest

from app.knowledge.base import KnowledgeBase

_SERIOUS = {"high", "critical"}

EMERGENCIES = [
    ("Dad has gone quiet and grey and is sweating buckets, his jaw and arm ache", None),
    ("my neighbour is choking on a piece of chicken and cannot breathe", None),
    ("she fainted while running at sports day", "dangerous_syncope"),
    ("numbness down one side of my body since breakfast", "possible_stroke_sign"),
    ("shaking chills, yellow eyes since the morning", "acute_biliary_infection"),
    ("upper belly pain going through to my back, vomiting all night", "acute_pancreatitis_signs"),
    ("my erection won't go down, it has been five hours", "lasting_erection"),
    ("his defibrillator fired twice at lunch", "defibrillator_fires"),
    ("the curtain cord was round her neck", "strangled"),
    ("he is pinned under a tractor", "major_injury"),
    ("I mixed bleach and vinegar and now I cough", "toxic_gas"),
    ("my brother has lined up all his tablets", "suicide_plan"),
    ("할머니가 떡 먹다가 목에 걸려서 숨을 못 쉬어요", None),
    ("축구하다가 쓰러졌어요", "dangerous_syncope"),
    ("갑자기 천장이 돌고 사물이 둘로 보여요", "posterior_circulation_stroke"),
    ("the room is spinning and I see double", "posterior_circulation_stroke"),
    ("할머니가 밭에서 제초제를 마셨어요", "poisoning"),
    ("my chest tightens on hills but lately it comes on while I sit quietly", "unstable_angina"),
    ("아침부터 몸 한쪽이 남의 살 같아요", "possible_stroke_sign"),
    ("눈이 노래지고 오한이 심해요", "acute_biliary_infection"),
    ("경운기에 깔렸어요", "major_injury"),
    ("세 시간째 발기가 가라앉지 않아요", "lasting_erection"),
    ("쇳조각이 눈에 박혔어요", "open_eye_injury"),
    ("아이 목에 커튼 줄이 감겼어요", "strangled"),
    ("락스랑 식초를 섞었어요 기침이 나요", "toxic_gas"),
    ("저수지에서 아이를 건졌어요", "drowning"),
]

HARMLESS = [
    "I get dizzy when I roll over in bed, no double vision, speech fine",
    "a stitch in my side on the bus run, gone once I slow down",
    "tight head on Friday evening, fine after tea",
    "my calf cramped in the night and eased when I stood",
    "hives after strawberries that faded by noon, breathing normal",
    "heart fluttered after four espressos, settled now",
    "dizzy for a second when I stood up, nothing since",
    "my foot fell asleep after I sat on it, fine now",
    "nose bled a little this morning and stopped",
    "heel tears at the first step, then eases",
    "a cupboard door hit my forehead, no headache and I feel normal",
    "cut my finger on paper, the bleeding stopped",
    "자전거 타다 옆구리가 결렸는데 쉬니까 나았어요",
    "종아리에 쥐가 났다가 풀렸어요",
    "커피를 많이 마시고 두근거렸는데 이제 괜찮아요",
    "아침에 발뒤꿈치가 찢어지는 것 같은데 걸으면 풀려요",
    "코피가 조금 났다가 멎었어요",
    "변비라 휴지에 피가 조금 묻었어요",
    "엄지발가락 뼈가 튀어나와 구두가 불편해요",
    "복숭아 먹고 입술이 살짝 붓고 입안이 가려워요 숨은 편해요",
]


@pytest.fixture(scope="module")
def base() -> KnowledgeBase:
    return KnowledgeBase.load()


def _serious(base: KnowledgeBase, text: str) -> set[str]:
    flags = base.red_flags(base.extract_findings(text), base.extract_patient(text), "en")
    return {flag.flag_id for flag in flags if base.red_flag_rules[flag.flag_id].floor in _SERIOUS}


@pytest.mark.parametrize(("text", "expected"), EMERGENCIES)
def test_a_told_emergency_raises_a_serious_flag(base: KnowledgeBase, text: str, expected: str | None) -> None:
    raised = _serious(base, text)
    assert raised
    assert expected is None or expected in raised


@pytest.mark.parametrize("text", HARMLESS)
def test_an_everyday_complaint_raises_none(base: KnowledgeBase, text: str) -> None:
    assert not _serious(base, text)
