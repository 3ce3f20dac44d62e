"""What a clinician may write in the knowledge files, and nothing else (`extra="forbid"`).

Every text that a user can see exists in English and in Korean: a missing language is an error, never a fallback.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.domain import Language, RiskLevel

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,63}$")]
Icd10 = Annotated[str, StringConstraints(pattern=r"^[A-Z][0-9]{2}(\.[0-9A-Z]{1,2})?$")]
FindingCode = Annotated[str, StringConstraints(pattern=r"^(HP:[0-9]{7}|[A-Z][0-9]{2}(\.[0-9A-Z]{1,2})?)$")]
"""An HPO term or an ICD-10 code."""
Probability = Annotated[float, Field(gt=0.0, le=1.0, strict=True)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]
Identifiers = tuple[Identifier, ...]

Specialty = Literal[
    "cardiology",
    "pulmonology",
    "infectious_disease",
    "gastroenterology",
    "neurology",
    "emergency",
    "dermatology",
    "ent",
    "ophthalmology",
    "urology",
    "obstetrics_gynecology",
    "endocrinology",
    "hematology_oncology",
    "rheumatology",
    "orthopedics",
    "psychiatry",
    "pediatrics",
    "allergy_immunology",
    "nephrology",
    "general",
]
FindingKind = Literal["symptom", "sign", "history", "exposure"]
"""`history` and `exposure` are facts about a person, not complaints: said of a relative, never the patient's."""
VitalName = Literal["sbp", "dbp", "heart_rate", "respiratory_rate", "temperature", "spo2"]


class Model(BaseModel):
    """Frozen, and refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Bilingual(Model):
    """One text in both languages."""

    en: Text
    ko: Text

    def get(self, language: Language) -> str:
        return self.ko if language == "ko" else self.en


class BilingualTexts(Model):
    """A non-empty list of texts in both languages."""

    en: Texts
    ko: Texts

    def get(self, language: Language) -> tuple[str, ...]:
        return self.ko if language == "ko" else self.en


# --------------------------------------------------------------------------- findings
class Voices(Model):
    """Clauses that assert a finding, as a patient and as a clinician would write them."""

    patient: Texts
    clinician: Texts


class Phrases(Model):
    """Training text is generated from these; each must be read back as the finding itself."""

    en: Voices
    ko: Voices


class FindingEntry(Model):
    """One clinical finding of the lexicon. `forms` follow the little language of `forms.py`."""

    id: Identifier
    name: Bilingual
    kind: FindingKind = "symptom"
    code: FindingCode | None = None
    broader: Identifiers = ()
    """Findings that this one is a special case of, e.g. epigastric pain -> abdominal pain."""
    forms: BilingualTexts
    phrases: Phrases
    negated: BilingualTexts
    """Clauses that deny the finding."""


# --------------------------------------------------------------------------- conditions
class Demographics(Model):
    """Age range in years that is typical, not a limit; `sex` is a limit."""

    age: tuple[Annotated[float, Field(ge=0, le=120)], Annotated[float, Field(ge=0, le=120)]]
    sex: Literal["any", "female", "male"]

    @model_validator(mode="after")
    def _age_in_order(self) -> Self:
        if self.age[0] >= self.age[1]:
            raise ValueError("age range is not in order")
        return self


class Recommendations(Model):
    """Advice per risk level, most important first."""

    low: BilingualTexts
    moderate: BilingualTexts
    high: BilingualTexts
    critical: BilingualTexts

    def get(self, level: RiskLevel, language: Language) -> tuple[str, ...]:
        by_level: dict[RiskLevel, BilingualTexts] = {
            "low": self.low,
            "moderate": self.moderate,
            "high": self.high,
            "critical": self.critical,
        }
        return by_level[level].get(language)


class Synonyms(Model):
    """Other names, lay and clinical; either list may be empty."""

    en: tuple[Text, ...] = ()
    ko: tuple[Text, ...] = ()


class Condition(Model):
    """A diagnosis. `findings` maps a finding to the share of patients who have it, 0 < p <= 1."""

    id: Identifier
    icd10: Icd10
    name: Bilingual
    synonyms: Synonyms
    specialty: Specialty
    severity: Annotated[int, Field(ge=1, le=5, strict=True)]
    """5 = immediately life-threatening."""
    demographics: Demographics
    findings: Annotated[dict[Identifier, Probability], Field(min_length=1)]
    against: Identifiers
    red_flags: Identifiers
    tests: BilingualTexts
    recommendations: Recommendations
    sources: Texts


# --------------------------------------------------------------------------- red flags
class VitalBound(Model):
    """An open bound on one vital sign; units as in `domain.Vitals`."""

    below: float | None = None
    above: float | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.below is None) == (self.above is None):
            raise ValueError("a vital bound needs either below or above")
        return self


class RedFlagClause(Model):
    """Everything stated must hold. `ages` are half-open [lo, hi) in years."""

    all_of: Identifiers = ()
    any_of: Identifiers = ()
    at_least: Annotated[int, Field(ge=1)] = 1
    """How many of `any_of` are needed."""
    none_of: Identifiers = ()
    vitals: dict[VitalName, VitalBound] = Field(default_factory=dict)
    consciousness: tuple[Literal["verbal", "pain", "unresponsive"], ...] = ()
    ages: tuple[float, float] | None = None
    age_unknown: bool = False
    """Whether the clause also holds where no age is known."""
    sex: Literal["female", "male"] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.all_of or self.any_of or self.vitals or self.consciousness):
            raise ValueError("a clause needs a finding, a vital sign or a level of consciousness")
        if self.any_of and self.at_least > len(self.any_of):
            raise ValueError("at_least is more than any_of lists")
        if self.ages is not None and self.ages[0] >= self.ages[1]:
            raise ValueError("ages are not in order")
        return self


class RedFlagRule(Model):
    """Holds when any of its clauses does. `floor` and `triage` limit how reassuring an answer may be."""

    id: Identifier
    name: Bilingual
    floor: RiskLevel
    triage: Annotated[int, Field(ge=1, le=5, strict=True)]
    when: Annotated[tuple[RedFlagClause, ...], Field(min_length=1)]
    source: Text
