"""Cases generated from the knowledge base, in both languages, as a patient or as a clinician would write them.

A case of a condition draws findings by their stated probabilities, denies a few others, and joins the lexicon's clauses
with openings, durations and connectives. Everything is drawn from one seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from app.domain import Language, Patient, Sex, Vitals
from app.knowledge.schema import Condition, FindingEntry
from app.training.samples import Sample
from app.training.typing_errors import with_typing_errors

Voice = Literal["patient", "clinician"]
NO_FINDING = "no_finding"
TRIAGE_OF_SEVERITY: Mapping[int, tuple[int, ...]] = {5: (1, 2, 2), 4: (2, 3), 3: (3, 3, 4), 2: (4,), 1: (4, 5)}
"""Plausible triage levels of an untreated condition; a weak label, see `Sample.triage_weight`."""
WEAK_TRIAGE = 0.3
_MILD = ("fatigue", "headache", "malaise", "insomnia", "stress", "loss_of_appetite")

_DURATIONS: dict[Language, tuple[str, ...]] = {
    "en": ("since this morning", "for two days", "for about a week", "since last night", "for three weeks",
           "for an hour", "for a few days", "for a couple of months", "since yesterday", "for 30 minutes"),
    "ko": ("오늘 아침부터", "이틀 전부터", "일주일 정도 전부터", "어젯밤부터", "3주 전부터", "한 시간 전부터",
           "며칠 전부터", "두어 달 전부터", "어제부터", "30분 전부터"),
}  # fmt: skip
_JOINERS: dict[Language, tuple[str, ...]] = {
    "en": (". ", ", and ", ". Also, ", "; ", ". "),
    "ko": (". ", ", ", ". 그리고 ", ". 또 ", ". "),
}


@dataclass(frozen=True, slots=True)
class CaseGenerator:
    """Draws labelled cases from conditions and the lexicon."""

    conditions: Mapping[str, Condition]
    findings: Mapping[str, FindingEntry]

    def generate(self, per_condition: int, seed: int) -> Iterator[Sample]:
        """`per_condition` cases of each condition in each language; the same for the same seed and knowledge."""
        for condition in self.conditions.values():
            if condition.id == NO_FINDING:
                continue
            for language in ("en", "ko"):
                for number in range(per_condition):
                    rng = random.Random(f"{seed}/{condition.id}/{language}/{number}")  # noqa: S311 - not for secrecy
                    yield self.case(condition, language, rng)

    def case(self, condition: Condition, language: Language, rng: random.Random) -> Sample:
        voice: Voice = "patient" if rng.random() < 0.75 else "clinician"
        present = self._present(condition, rng)
        absent = self._absent(condition, present, rng)
        patient = plausible_patient(condition, present, rng)
        clauses = [self._assert(finding, language, voice, rng) for finding in present]
        denials = [rng.choice(self.findings[finding].negated.get(language)) for finding in absent]
        text = _compose(clauses, denials, opening(patient, language, voice, rng), language, rng)
        return Sample(
            group="generated",
            condition_id=condition.id,
            text=with_typing_errors(text, language, rng),
            patient=patient if rng.random() < 0.4 else Patient(),
            language=language,
            triage=rng.choice(TRIAGE_OF_SEVERITY[condition.severity]),
            triage_weight=WEAK_TRIAGE,
        )

    def _present(self, condition: Condition, rng: random.Random) -> list[str]:
        drawn = [finding for finding, share in condition.findings.items() if rng.random() < share]
        if len(drawn) < 2:
            ranked = sorted(condition.findings, key=lambda finding: -condition.findings[finding])
            drawn = list(dict.fromkeys([*drawn, *ranked[:3]]))
        rng.shuffle(drawn)
        drawn = drawn[: rng.choice((2, 3, 4, 5, 6, 8))]
        if rng.random() < 0.15:
            drawn += [finding for finding in (rng.choice(_MILD),) if finding in self.findings and finding not in drawn]
        return drawn

    def _absent(self, condition: Condition, present: list[str], rng: random.Random) -> list[str]:
        if rng.random() < 0.5:
            return []
        pool = [*condition.against, *rng.sample(sorted(self.findings), 3)]
        options = [finding for finding in pool if finding not in condition.findings and finding not in present]
        return options[: rng.choice((1, 1, 2))]

    def _assert(self, finding: str, language: Language, voice: Voice, rng: random.Random) -> str:
        phrases = self.findings[finding].phrases
        voices = phrases.ko if language == "ko" else phrases.en
        return rng.choice(voices.patient if voice == "patient" else voices.clinician)


def plausible_patient(condition: Condition, present: list[str], rng: random.Random) -> Patient:
    low, high = condition.demographics.age
    age = float(round(rng.uniform(low, high))) if rng.random() < 0.85 else float(rng.randint(1, 95))
    limit = condition.demographics.sex
    sex: Sex = limit if limit != "any" else rng.choice(("female", "male"))
    return Patient(age=age, sex=sex, vitals=_vitals(condition, present, rng) if rng.random() < 0.5 else Vitals())


def _vitals(condition: Condition, present: list[str], rng: random.Random) -> Vitals:
    """Resting values, moved by the findings that bear on them and by how sick the condition makes people."""
    sick = condition.severity >= 4
    fever = bool({"fever", "chills", "rigors"} & set(present))
    short_of_breath = bool({"dyspnea", "hypoxia", "stridor", "orthopnea"} & set(present))
    low_pressure = "low_blood_pressure" in present
    high_pressure = "high_blood_pressure" in present
    sbp = rng.gauss(82 if low_pressure else 178 if high_pressure else 126, 12)
    return Vitals(
        sbp=round(sbp),
        dbp=round(sbp * rng.uniform(0.55, 0.68)),
        heart_rate=round(rng.gauss(82 + 18 * fever + 12 * sick + 15 * low_pressure, 12)),
        respiratory_rate=round(rng.gauss(17 + 6 * short_of_breath + 2 * fever, 2)),
        temperature=round(rng.gauss(38.4 if fever else 36.7, 0.4), 1),
        spo2=float(min(100, round(rng.gauss(91 if short_of_breath and sick else 97, 2)))),
    )


def _compose(clauses: list[str], denials: list[str], opening: str, language: Language, rng: random.Random) -> str:
    parts = [opening] if rng.random() < 0.6 else []
    if rng.random() < 0.5 and clauses:
        clauses = [_with_duration(clauses[0], language, rng), *clauses[1:]]
    statements = clauses + denials
    body = statements[0]
    for statement in statements[1:]:
        joiner = rng.choice(_JOINERS[language])
        body += joiner + (_capital(statement) if joiner == ". " and language == "en" else statement)
    parts.append(_capital(body) if language == "en" else body)
    text = " ".join(parts)
    return text if text.endswith((".", "요", "다", "음")) or rng.random() < 0.3 else f"{text}."


def opening(patient: Patient, language: Language, voice: Voice, rng: random.Random) -> str:
    age, sex = round(patient.age or 40), patient.sex
    if language == "ko":
        word = "여성" if sex == "female" else "남성"
        if voice == "clinician":
            return rng.choice(
                (f"{age}세 {word}.", f"{age}/{'F' if sex == 'female' else 'M'}.", f"{age}세 {word} 환자.")
            )
        return rng.choice((f"{age}세 {word}입니다.", f"저는 {age}살 {word}이에요.", f"{age}살입니다.", "안녕하세요."))
    word = "woman" if sex == "female" else "man"
    if voice == "clinician":
        return rng.choice(
            (f"{age}-year-old {word} presents with", f"{age} y/o {sex}.", f"{age}{'F' if sex == 'female' else 'M'}:")
        )
    return rng.choice((f"I am a {age}-year-old {word}.", f"I'm {age}.", "Hello doctor.", f"{age} year old {word}."))


def _with_duration(clause: str, language: Language, rng: random.Random) -> str:
    duration = rng.choice(_DURATIONS[language])
    return f"{duration} {clause}" if language == "ko" else f"{clause.rstrip('.')} {duration}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
