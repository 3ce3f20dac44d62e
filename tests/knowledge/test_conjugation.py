"""How Korean predicate stems begin when they are conjugated, and how text keeps track of where it came from."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.conjugation import beginnings, compose, decompose
from app.knowledge.forms import FormError, expand
from app.knowledge.normalise import normalise

STEMS = [
    ("아프", "아파 아픈 아팠 아플 아픔 아픕 아퍼"),
    ("쓰", "써 썼 쓴 쓸"),
    ("하", "해 했 하 한 함 합"),
    ("토하", "토해 토했 토한"),
    ("가렵", "가려워 가려운 가려웠 가려우 가려울"),
    ("어지럽", "어지러워 어지러운 어지러웠"),
    ("붓", "부어 부었 부은 부으"),
    ("씹", "씹"),
    ("노랗", "노래 노란 노랬"),
    ("누렇", "누레 누런"),
    ("걷", "걸어 걸었 걸은"),
    ("마르", "말라 말랐 마른"),
    ("부르", "불러 불렀 부른"),
    ("힘들", "힘드 힘든 힘듭 힘들"),
    ("저리", "저려 저렸 저린 저립"),
    ("나오", "나와 나왔 나온"),
    ("떨어지", "떨어져 떨어졌 떨어진"),
    ("서", "서 섰 선"),
    ("되", "돼 됐 된"),
    ("없", "없"),
    ("뛰", "뛰 뛴 뜁"),
]


@pytest.mark.parametrize(("stem", "expected"), STEMS)
def test_beginnings(stem: str, expected: str) -> None:
    assert set(expected.split()) <= set(beginnings(stem))
    assert stem in beginnings(stem)


@pytest.mark.parametrize(("stem", "wrong"), [("씹", "씨워"), ("웃", "우어"), ("좋", "조아"), ("입", "이워")])
def test_regular_stems_stay_regular(stem: str, wrong: str) -> None:
    assert wrong not in beginnings(stem)


@pytest.mark.parametrize("stem", ["", "ache", "아프!"])
def test_not_a_stem(stem: str) -> None:
    with pytest.raises(ValueError, match="does not end in a Korean syllable"):
        beginnings(stem)


@given(st.integers(0xAC00, 0xD7A3).map(chr))
def test_syllables_come_apart_and_together(syllable: str) -> None:
    assert compose(*decompose(syllable)) == syllable
    assert all(all("가" <= character <= "힣" for character in form) for form in beginnings(syllable))


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("chest (pain|ache)", ("chest pain", "chest ache")),
        ("(left|) leg pain", ("left leg pain", "leg pain")),
        ("(a|b) (c|d)", ("a c", "a d", "b c", "b d")),
        ("가슴 아프~", ("가슴 아프~",)),
    ],
)
def test_expand(form: str, expected: tuple[str, ...]) -> None:
    assert expand(form) == expected


@pytest.mark.parametrize("form", ["(a|b", "a|b", "a)b", "((a|b)|c)", "(|)", "", " "])
def test_bad_forms(form: str) -> None:
    with pytest.raises(FormError):
        expand(form)


@given(st.text(max_size=80))
def test_normalised_text_knows_its_origin(text: str) -> None:
    source = normalise(text)
    assert len(source.text) == len(source.starts) == len(source.ends)
    previous = 0
    for index in range(len(source.text)):
        start, end = source.span(index, index + 1)
        assert 0 <= start < end <= len(text)
        assert start >= previous
        previous = start


@given(st.text(alphabet="가슴이아파요 숨차 chest", max_size=40))
def test_composed_and_decomposed_text_read_the_same(text: str) -> None:
    assert normalise(unicodedata.normalize("NFD", text)).text == normalise(text).text
