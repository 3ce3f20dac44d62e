"""Cases composed from the phrasebook's sentences and the lexicon's clauses, drawn from one seed.

A composed case takes a few sentences of one condition and one voice, in any order; now and then an opening with age and
sex, a denial of something that would argue against it, something of no bearing, and typing errors.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from app.domain import Language, Patient
from app.knowledge.schema import Condition, FindingEntry
from app.training.generation import WEAK_TRIAGE, opening, plausible_patient
from app.training.phrasebook import LANGUAGES, Phrasebook, sample
from app.training.samples import Sample
from app.training.typing_errors import with_typing_errors

_ASIDES: Mapping[Language, tuple[str, ...]] = {
    "en": (
        "I had my usual check-up last year and it was fine.", "I work shifts and sleep badly anyway.",
        "My sister told me to ask.", "I take a vitamin every day.", "We moved house last month.",
        "I've been under a lot of stress at work.", "Sorry for the long message.", "No allergies that I know of.",
        "I haven't seen a doctor about it yet.", "Is this something to worry about?", "I tried to just rest.",
        "I looked it up online and got scared.", "My appetite is more or less normal.", "NKDA.", "Non-smoker.",
    ),
    "ko": (
        "작년 건강검진에서는 괜찮다고 했어요.", "요즘 일이 바빠서 잠을 잘 못 자요.", "언니가 물어보래서 글 남겨요.",
        "영양제만 먹고 있어요.", "관계있는지 모르겠는데 지난달에 이사했어요.", "회사 일로 스트레스를 많이 받아요.",
        "글이 길어서 죄송합니다.", "특별히 알레르기는 없어요.", "아직 병원에는 안 가봤어요.", "걱정해야 하는 건가요?",
        "그냥 쉬어 봤어요.", "인터넷에서 찾아보니 무서워서요.", "밥은 그럭저럭 먹어요.",
        "약물 알레르기 없음.", "비흡연자.",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PhraseComposer:
    """Draws labelled cases from the phrasebook, conditions and the lexicon."""

    book: Phrasebook
    conditions: Mapping[str, Condition]
    findings: Mapping[str, FindingEntry]

    def whole(self, seed: int) -> Iterator[Sample]:
        """Every whole text of the phrasebook but those held out: as it stands, and once more changed a little."""
        for name in self.book.entries:
            for language in LANGUAGES:
                for number, written in enumerate(self.book.training_cases(name, language)):
                    rng = random.Random(f"{seed}/whole/{name}/{language}/{number}")  # noqa: S311 - not for secrecy
                    case = sample(written, name, language)
                    yield case
                    yield replace(case, text=self._changed(written.text, name, language, rng))

    def composed(self, per_condition: int, seed: int) -> Iterator[Sample]:
        """`per_condition` cases of each condition in each language from its sentences."""
        for name in self.book.entries:
            for language in LANGUAGES:
                for number in range(per_condition):
                    rng = random.Random(f"{seed}/composed/{name}/{language}/{number}")  # noqa: S311 - not for secrecy
                    yield self._compose(name, language, rng)

    def _compose(self, name: str, language: Language, rng: random.Random) -> Sample:
        condition = self.conditions[name]
        phrases = self.book.entries[name].phrases(language)
        clinician = rng.random() < 0.25
        pool = phrases.sentences.clinician if clinician else phrases.sentences.patient
        parts = rng.sample(pool, min(len(pool), rng.choice((1, 2, 2, 3, 3, 4, 5))))
        if len(parts) > 1 and rng.random() < 0.3:
            parts.append(self._denial(condition, language, rng))
        if rng.random() < 0.2:
            parts.insert(rng.randrange(len(parts) + 1), rng.choice(_ASIDES[language]))
        patient = plausible_patient(condition, list(condition.findings)[:2], rng)
        if rng.random() < 0.3:
            parts.insert(0, opening(patient, language, "clinician" if clinician else "patient", rng))
        return Sample(
            group="composed",
            condition_id=name,
            text=with_typing_errors(_joined(parts, rng), language, rng),
            patient=patient if rng.random() < 0.35 else Patient(),
            language=language,
            triage=rng.choice([case.triage for case in phrases.cases]),
            triage_weight=WEAK_TRIAGE,
        )

    def _changed(self, text: str, name: str, language: Language, rng: random.Random) -> str:
        """With a sentence dropped or an aside, a denial or another sentence of the condition added; typing errors."""
        parts = _sentences(text)
        if len(parts) > 2 and rng.random() < 0.6:
            parts.pop(rng.randrange(len(parts)))
        pool = self.book.entries[name].phrases(language).sentences.patient
        extra = rng.choice((rng.choice(pool), rng.choice(pool), rng.choice(_ASIDES[language])))
        parts.insert(rng.randrange(len(parts) + 1), extra)
        if rng.random() < 0.3:
            parts.append(self._denial(self.conditions[name], language, rng))
        return with_typing_errors(_joined(parts, rng), language, rng, share=0.4)

    def _denial(self, condition: Condition, language: Language, rng: random.Random) -> str:
        options = [finding for finding in condition.against if finding in self.findings]
        options += rng.sample(sorted(set(self.findings) - set(condition.findings)), 2)
        return rng.choice(self.findings[rng.choice(options)].negated.get(language))


def _sentences(text: str) -> list[str]:
    parts = [part.strip() for part in text.replace("? ", "?\n").replace(". ", ".\n").replace("! ", "!\n").split("\n")]
    return [part for part in parts if part]


def _joined(parts: list[str], rng: random.Random) -> str:
    """As sentences; in one case of six without the full stops, as typed into a phone."""
    if rng.random() < 1 / 6:
        return " ".join(part.rstrip(".") for part in parts)
    return " ".join(part if part.endswith((".", "?", "!", ",", ":", ";")) else f"{part}." for part in parts)
