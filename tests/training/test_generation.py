from collections import Counter

import pytest

from app.knowledge.base import KnowledgeBase
from app.training.generation import NO_FINDING, CaseGenerator
from app.training.samples import Sample


@pytest.fixture(scope="module")
def knowledge() -> KnowledgeBase:
    return KnowledgeBase.load()


@pytest.fixture(scope="module")
def samples(knowledge: KnowledgeBase) -> list[Sample]:
    return list(CaseGenerator(knowledge.conditions, knowledge.findings).generate(2, seed=5))


def test_every_condition_in_both_languages(knowledge: KnowledgeBase, samples: list[Sample]) -> None:
    counts = Counter((sample.condition_id, sample.language) for sample in samples)
    expected = {(name, language) for name in knowledge.conditions if name != NO_FINDING for language in ("en", "ko")}
    assert set(counts) == expected
    assert set(counts.values()) == {2}


def test_reproducible_and_seed_matters(knowledge: KnowledgeBase, samples: list[Sample]) -> None:
    generator = CaseGenerator(knowledge.conditions, knowledge.findings)
    assert list(generator.generate(2, seed=5)) == samples
    assert list(generator.generate(2, seed=6)) != samples


def test_text_is_in_its_language(samples: list[Sample]) -> None:
    for sample in samples:
        hangul = any("가" <= letter <= "힣" for letter in sample.text or "")
        assert hangul == (sample.language == "ko"), sample.text


def test_the_extractor_reads_findings_of_the_condition_back(knowledge: KnowledgeBase, samples: list[Sample]) -> None:
    read = 0
    for sample in samples:
        condition = knowledge.conditions[str(sample.condition_id)]
        present = {f.finding_id for f in knowledge.extract_findings(str(sample.text)) if f.present}
        read += bool(present & set(condition.findings))
    assert read / len(samples) > 0.9


def test_the_name_of_the_condition_is_not_given_away(knowledge: KnowledgeBase, samples: list[Sample]) -> None:
    told = [s for s in samples if knowledge.name(str(s.condition_id), s.language).lower() in str(s.text).lower()]
    assert len(told) / len(samples) < 0.1


def test_sex_limits_are_kept(knowledge: KnowledgeBase, samples: list[Sample]) -> None:
    for sample in samples:
        limit = knowledge.conditions[str(sample.condition_id)].demographics.sex
        assert limit == "any" or sample.patient.sex in (None, limit)
