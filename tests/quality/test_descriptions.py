"""The described cases: enough of them, each whole in both languages, none twice; and what the loader refuses."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

import app
from app.domain import Language
from app.evaluation.quality_sets import (
    DESCRIPTIONS,
    Description,
    QualitySetError,
    Style,
    description_samples,
    load_descriptions,
    read_entries,
)
from app.knowledge.base import KnowledgeBase
from app.services.language import detect_language

FOLDER = Path(__file__).parent
CASES = load_descriptions(FOLDER)
LANGUAGES: tuple[Language, ...] = ("ko", "en")
WHOLE = {"id": "a_1", "condition": "asthma", "style": "clinician", "ko": "쌕쌕거림", "en": "wheeze"}


def _letters(text: str) -> str:
    """What is left of a text when spacing, case and punctuation are not looked at."""
    return re.sub(r"[\W_]+", "", text).lower()


def _shingles(text: str, words: int) -> set[tuple[str, ...]]:
    found = text.lower().split()
    return {tuple(found[start : start + words]) for start in range(len(found) - words + 1)}


def test_enough_cases_over_enough_conditions() -> None:
    per_condition = Counter(case.condition_id for case in CASES)
    assert len(CASES) >= 150
    assert len(per_condition) >= 75
    assert max(per_condition.values()) <= 4, "no condition decides the figure"


def test_every_condition_is_known() -> None:
    assert {case.condition_id for case in CASES} <= set(KnowledgeBase.load().conditions)


@pytest.mark.data
def test_every_condition_of_the_data_sets_that_words_can_tell_is_there() -> None:
    labels = Path(os.environ.get("MEDMODAL_DATA", "../shared/data")) / "labels.csv"
    if not labels.is_file():
        pytest.skip(f"no {labels} (set MEDMODAL_DATA)")
    rows = [line.split(",") for line in labels.read_text(encoding="utf-8").splitlines()[1:]]
    assert {row[2] for row in rows} - {"no_finding"} <= {case.condition_id for case in CASES}


def test_told_by_patients_relatives_and_clinicians() -> None:
    styles = Counter(case.style for case in CASES)
    assert min(styles[style] for style in Style) >= 25


def test_training_does_not_read_the_sets() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (Path(app.__file__).parent / "training").rglob("*.py")]
    assert sources
    assert not [source for source in sources if "quality_sets" in source or "tests/quality" in source]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_both_languages_are_in_their_own_script(case: Description) -> None:
    assert detect_language(case.ko) == "ko"
    assert detect_language(case.en) == "en"
    assert not re.search("[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]", case.en)
    assert re.search("[\uac00-\ud7a3]{2}", case.ko)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_case_is_told_twice(language: Language) -> None:
    texts = [_letters(case.text(language)) for case in CASES]
    assert [text for text, times in Counter(texts).items() if times > 1] == []
    seen: dict[tuple[str, ...], str] = {}
    for case in CASES:
        for shingle in _shingles(case.text(language), 8):
            assert seen.setdefault(shingle, case.id) == case.id, f"{case.id} and {seen[shingle]}: {' '.join(shingle)}"


@pytest.mark.parametrize(("language", "short", "long"), [("ko", 65, 130), ("en", 110, 260)])
def test_lengths_vary(language: Language, short: int, long: int) -> None:
    lengths = [len(case.text(language)) for case in CASES]
    assert sum(length <= short for length in lengths) >= 10
    assert sum(length >= long for length in lengths) >= 8
    assert min(lengths) >= 30


@pytest.mark.parametrize("language", LANGUAGES)
def test_samples_carry_the_text_and_the_filled_in_form(language: Language) -> None:
    samples = description_samples(CASES, language)
    for case, sample in zip(CASES, samples, strict=True):
        assert (sample.text, sample.language) == (case.text(language), language)
        assert sample.condition_id == case.condition_id
        assert (sample.patient.age, sample.patient.sex) == (case.age, case.sex)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"style": "doctor"}, "style: must be one of"),
        ({"ko": " "}, "ko: must be text"),
        ({"en": None}, "en: must be text"),
        ({"condition": 3}, "condition: must be text"),
        ({"age": 140}, "age: must be a number"),
        ({"age": True}, "age: must be a number"),
        ({"sex": "m"}, "sex: must be one of"),
        ({"sexx": "male"}, "unknown key sexx"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    _write(tmp_path, [WHOLE | change])
    with pytest.raises(QualitySetError, match=f"{DESCRIPTIONS}: a_1: {reason}"):
        load_descriptions(tmp_path)


@pytest.mark.parametrize("content", [[], {}, "text", [WHOLE, WHOLE], [{"ko": "가"}], ["가"]])
def test_a_file_of_another_shape_is_refused(tmp_path: Path, content: object) -> None:
    _write(tmp_path, content)
    with pytest.raises(QualitySetError):
        load_descriptions(tmp_path)


def test_a_file_that_is_not_there_or_not_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(QualitySetError, match="cannot be read"):
        load_descriptions(tmp_path)
    (tmp_path / DESCRIPTIONS).write_text("- {id: a", encoding="utf-8")
    with pytest.raises(QualitySetError, match="cannot be read"):
        load_descriptions(tmp_path)


def test_entries_below_a_key(tmp_path: Path) -> None:
    path = tmp_path / "set.yaml"
    path.write_text("cases:\n- {id: one, what: x}\n- {id: two, what: y}\n", encoding="utf-8")
    assert [(entry.id, entry.text("what")) for entry in read_entries(path, "cases")] == [("one", "x"), ("two", "y")]
    with pytest.raises(QualitySetError, match="must be a list"):
        read_entries(path, "texts")


def _write(folder: Path, content: object) -> None:
    (folder / DESCRIPTIONS).write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
