from collections import Counter
from pathlib import Path

import pytest
import yaml

from app.errors import ArtifactError
from app.evaluation.quality_sets import load_descriptions
from app.knowledge.base import KnowledgeBase
from app.training.composition import PhraseComposer
from app.training.phrasebook import COMPLAINTS, LANGUAGES, Phrasebook
from app.training.samples import NOT_IN_CATALOGUE
from app.training.typing_errors import with_typing_errors


@pytest.fixture(scope="module")
def knowledge() -> KnowledgeBase:
    return KnowledgeBase.load()


@pytest.fixture(scope="module")
def book(knowledge: KnowledgeBase) -> Phrasebook:
    return Phrasebook.load(conditions=knowledge.conditions)


@pytest.fixture(scope="module")
def composer(knowledge: KnowledgeBase, book: Phrasebook) -> PhraseComposer:
    return PhraseComposer(book, knowledge.conditions, knowledge.findings)


def test_every_condition_has_its_texts(knowledge: KnowledgeBase, book: Phrasebook) -> None:
    assert set(book.entries) == set(knowledge.conditions) - {"no_finding"}
    assert all(
        len(by_language["ko"]) >= 80 and len(by_language["en"]) >= 80 for by_language in book.complaints.values()
    )


def test_no_text_is_written_twice(book: Phrasebook) -> None:
    texts = Counter(
        case.text for entry in book.entries.values() for language in LANGUAGES for case in entry.phrases(language).cases
    )
    texts += Counter(
        text.text for name in COMPLAINTS for texts_of in book.complaints[name].values() for text in texts_of
    )
    assert [text for text, count in texts.items() if count > 1] == []


def test_no_measuring_text_is_a_training_text(composer: PhraseComposer, book: Phrasebook) -> None:
    """tests/quality measures: not one of its sentences may be learned by heart."""
    measured = {
        sentence.strip()
        for description in load_descriptions(Path(__file__).parents[1] / "quality")
        for text in (description.ko, description.en)
        for sentence in text.replace("? ", ". ").split(". ")
        if len(sentence.strip()) > 20
    }
    learned = "\n".join(
        [sample.text or "" for sample in composer.whole(0)]
        + [sample.text or "" for sample in book.complaint_samples(held_out=False)]
    )
    assert [sentence for sentence in measured if sentence in learned] == []


def test_held_out_texts_are_not_trained_on(composer: PhraseComposer, book: Phrasebook) -> None:
    held = {sample.text for sample in book.held_out()}
    assert len(held) == 2 * len(book.entries)
    assert held.isdisjoint(sample.text for sample in composer.whole(0))
    complaints = {sample.text for sample in book.complaint_samples(held_out=True)}
    assert complaints
    assert complaints.isdisjoint(sample.text for sample in book.complaint_samples(held_out=False))


def test_composing_is_reproducible_and_varied(composer: PhraseComposer) -> None:
    first = [(sample.condition_id, sample.text) for sample in composer.composed(2, seed=1)]
    assert first == [(sample.condition_id, sample.text) for sample in composer.composed(2, seed=1)]
    assert first != [(sample.condition_id, sample.text) for sample in composer.composed(2, seed=2)]
    assert len({text for _, text in first}) > 0.95 * len(first)


def test_what_is_no_case_is_labelled_so(book: Phrasebook) -> None:
    plain = [sample for sample in book.complaint_samples(held_out=False) if sample.group == "not_medical"]
    assert len(plain) > 100
    assert {sample.condition_id for sample in plain} == {NOT_IN_CATALOGUE}
    assert {sample.triage for sample in plain} == {None}


@pytest.mark.parametrize("damage", ["unknown_condition", "triage", "missing_file"])
def test_a_damaged_book_is_refused(tmp_path: Path, book: Phrasebook, damage: str) -> None:
    entry = next(iter(book.entries.values())).model_dump(mode="json")
    if damage == "triage":
        entry["ko"]["cases"][0]["triage"] = 6
    (tmp_path / "conditions").mkdir()
    (tmp_path / "conditions" / "some.yaml").write_text(yaml.safe_dump([entry], allow_unicode=True), encoding="utf-8")
    for name in COMPLAINTS:
        (tmp_path / f"{name}.yaml").write_text("{ko: [], en: []}", encoding="utf-8")
    if damage != "missing_file":
        (tmp_path / "not_medical.yaml").write_text("{ko: [], en: []}", encoding="utf-8")
    known = ["gout_of_the_moon"] if damage == "unknown_condition" else None
    with pytest.raises(ArtifactError, match="phrasebook_invalid"):
        Phrasebook.load(tmp_path, known)


@pytest.mark.parametrize("language", LANGUAGES)
def test_typing_errors_change_little(language: str) -> None:
    import random

    text = "어제부터 배가 아프고 열이 나요 그리고 토했어요" if language == "ko" else "my stomach hurts since yesterday"
    changed = [with_typing_errors(text, language, random.Random(seed), share=1.0) for seed in range(20)]  # type: ignore[arg-type]
    assert all(other != text and abs(len(other) - len(text)) <= 3 for other in changed)
