"""The extraction engine: spans, spelling, both scripts at once, speed, and never an exception."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.knowledge.base import KnowledgeBase
from app.knowledge.words import words

SPELLINGS = [
    ("가슴통증", "chest_pain"),
    ("가슴 통증", "chest_pain"),
    ("가슴이 아파요", "chest_pain"),
    ("가슴이 아픈데요", "chest_pain"),
    ("가슴이 아팠습니다", "chest_pain"),
    ("가슴도 아프고", "chest_pain"),
    ("가슴이아파요", "chest_pain"),
    ("왼쪽가슴이 너무 아픕니다", "chest_pain"),
    ("어제부터가슴이아파요", "chest_pain"),
    ("흉통", "chest_pain"),
    ("심한 흉통으로 내원", "chest_pain"),
    ("My CHEST is hurting", "chest_pain"),
    ("pain in the left side of my chest", "chest_pain"),
    ("chest-pain", "chest_pain"),
    ("pain, chest", "chest_pain"),
    ("diarrhoea", "diarrhea"),
    ("oedema of both legs", "leg_swelling"),
    ("swollen ankles", "leg_swelling"),
    ("my ankles have been swelling up", "leg_swelling"),
    ("haemoptysis", "hemoptysis"),
    ("I’m short of breath", "dyspnea"),
    ("I cant breathe", "dyspnea"),
    ("I couldn't breathe", "dyspnea"),
    ("unable to breathe", "dyspnea"),
    ("숨쉬기가 힘들어요", "dyspnea"),
    ("숨이 안 쉬어져요", "dyspnea"),
    ("열이 38도", "fever"),
    ("열나요", "fever"),
    ("ＦＥＶＥＲ", "fever"),
    ("가려워 죽겠어요", "pruritus"),
    ("가려운 느낌", "pruritus"),
    ("다리가 부었어요", "leg_swelling"),
    ("다리가 붓는 것 같아요", "leg_swelling"),
    ("두 달째 생리를 안 해요", "missed_period"),
    ("생리를 두 달째 안 하고 있어요", "missed_period"),
    ("RLQ abd. pain", "right_lower_quadrant_pain"),
]


@pytest.mark.parametrize(("text", "finding_id"), SPELLINGS)
def test_spelling_and_endings(knowledge: KnowledgeBase, text: str, finding_id: str) -> None:
    for form in (text, unicodedata.normalize("NFD", text), text.replace(" ", "  ")):
        said = [finding.finding_id for finding in knowledge.extract_findings(form) if finding.present]
        meant = {broader for name in said for broader in (name, *knowledge.broader(name))}
        assert finding_id in meant, f"{form!r}: {said}"


NOT_FINDINGS = [
    ("열심히 일했어요", "fever"),
    ("열쇠를 잃어버렸어요", "fever"),
    ("열 번 넘게 갔어요", "fever"),
    ("담배가 아파트에 있어요", "abdominal_pain"),
    ("이비인후과에 갔어요", "epistaxis"),
    ("The hospital is near my house", "hip_pain"),
    ("my chest of drawers; a sharp pain for my wallet", "chest_pain"),
    ("chest. Pain relief cream", "chest_pain"),
    ("I hope you can help", "hopelessness"),
    ("red spots on my skin", "vaginal_bleeding"),
    ("standing for long periods of time", "heavy_menstruation"),
    ("that is odd", "poison_ingestion"),
    ("a physical exam", "stress"),
]


@pytest.mark.parametrize(("text", "finding_id"), NOT_FINDINGS)
def test_lookalikes_are_left_alone(knowledge: KnowledgeBase, text: str, finding_id: str) -> None:
    assert finding_id not in {finding.finding_id for finding in knowledge.extract_findings(text)}


def test_longest_match_wins(knowledge: KnowledgeBase) -> None:
    found = [finding.finding_id for finding in knowledge.extract_findings("I keep coughing up blood")]
    assert found == ["hemoptysis"]
    found = [finding.finding_id for finding in knowledge.extract_findings("오른쪽 아랫배가 아파요")]
    assert found == ["right_lower_quadrant_pain"]


def test_said_once_is_said(knowledge: KnowledgeBase) -> None:
    text = "No fever yesterday. Fever of 39 today. No fever now."
    (fever,) = (finding for finding in knowledge.extract_findings(text) if finding.finding_id == "fever")
    assert fever.present
    assert text[fever.start : fever.end] == "Fever of 39"
    assert fever.start == text.index("Fever of")


def test_both_languages_in_one_text(knowledge: KnowledgeBase) -> None:
    text = "70/F dyspnea, orthopnea 있음. fever 없음. 양하지 부종"
    found = {finding.finding_id: finding.present for finding in knowledge.extract_findings(text)}
    assert found == {"dyspnea": True, "orthopnea": True, "fever": False, "leg_swelling": True}


TRICKY = [
    "가슴이 너무 아파요. My chest hurts too!",
    unicodedata.normalize("NFD", "가슴이 아프고 열이 나요"),
    "ﬁne but ＦＥＶＥＲ and ①② 가슴 통증",
    "fe\u200bver and che\u00adst pain",
    "😀 두통 😀 headache 😀",
    "머리가\t아파요\r\n\r\n기침",
    "ㅠㅠ 배가 아파요 ㅋㅋ",
    "İ have a fever",
    "chest pain " + "\u0301" * 500,
]


@pytest.mark.parametrize("text", TRICKY)
def test_quotes_are_exact(knowledge: KnowledgeBase, text: str) -> None:
    findings = knowledge.extract_findings(text)
    assert findings
    for finding in findings:
        assert 0 <= finding.start < finding.end <= len(text)
        assert finding.quote == text[finding.start : finding.end]
    assert [finding.start for finding in findings] == sorted(finding.start for finding in findings)


@pytest.mark.parametrize("text", ["", " ", "\n", "\x00", "?", "ㅠㅠㅠ", "🙂", "a", "가", "12345", "." * 1000])
def test_nothing_to_read(knowledge: KnowledgeBase, text: str) -> None:
    assert knowledge.extract_findings(text) == ()


WORDS = words(
    """
    no not without but , . ; : / ( ) - + chest pain fever my mother has i denies don't hurts breathe can't swelling
    가슴 이 가 은 는 아프 아파 아픈 지 않아요 없고 없어요 안 못 열 나요 기침 어머니 당뇨 고 거나 이나 통증
    심하지 멈추지 너무 많이 왼쪽 (-) (+/-) ㅠ 38.5 도 ＡＢ é 😀
    """
)
PIECES = st.lists(st.sampled_from([*WORDS, "\u200b", "\u0301", "\n", "\t"]), max_size=40)
TEXTS = st.one_of(st.text(max_size=200), PIECES.map("".join), PIECES.map(" ".join))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS)
def test_never_raises(knowledge: KnowledgeBase, text: str) -> None:
    findings = knowledge.extract_findings(text)
    for finding in findings:
        assert finding.finding_id in knowledge.findings
        assert 0 <= finding.start < finding.end <= len(text)
        assert finding.quote == text[finding.start : finding.end]
    assert len({finding.finding_id for finding in findings}) == len(findings)
    knowledge.extract_patient(text)


SLOW = {
    "english": "I have had a bad cough and fever. My chest hurts when I breathe in. No vomiting, no diarrhea. ",
    "korean": "가슴이 너무 아프고 식은땀이 나요. 팔로 통증이 퍼져요. 열은 없고 기침은 안 해요. 어머니가 당뇨예요. ",
    "links": "가슴이 너무 너무 ",
    "relatives": "어머니가 my mother ",
    "negators": "no not without ",
    "list": "열이나 기침이나 ",
    "no end": "chest ",
    "marks": "e\u0301\u0301\u0301",
    "one mark": "\u0301",
    "digits": "120/",
    "brackets": "fever (-/",
}


def _seconds(knowledge: KnowledgeBase, text: str) -> float:
    """Processor time of the fastest of three readings."""
    readings = []
    for _ in range(3):
        start = time.process_time()
        knowledge.extract_findings(text)
        knowledge.extract_patient(text)
        readings.append(time.process_time() - start)
    return min(readings)


@pytest.mark.parametrize("piece", SLOW.values(), ids=SLOW.keys())
def test_time_grows_with_the_length_only(knowledge: KnowledgeBase, piece: str) -> None:
    """Milliseconds for 500 characters; forty times the text takes about forty times as long, not 1,600 times."""
    short, long = (piece * 500)[:500], (piece * 20_000)[:20_000]
    brief = _seconds(knowledge, short)
    assert brief < 0.025
    assert _seconds(knowledge, long) < max(0.4, 160 * brief)
