"""The knowledge base: conditions, findings and red flags, and what can be asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from app.domain import ClinicalScore, Finding, Language, Patient, RedFlag, RiskLevel
from app.errors import NotFoundError
from app.knowledge import news2, patient_text, red_flags, specialties
from app.knowledge.extraction import Extractor, all_broader
from app.knowledge.loader import KnowledgeFiles, load_files
from app.knowledge.matching import ConditionIndex
from app.knowledge.schema import Condition, FindingEntry, RedFlagRule, Specialty

DATA_FOLDER = Path(__file__).parent / "data"


class KnowledgeBase:
    """Immutable once made; safe to share between threads."""

    def __init__(self, files: KnowledgeFiles) -> None:
        self.conditions: Mapping[str, Condition] = MappingProxyType(files.conditions)
        self.findings: Mapping[str, FindingEntry] = MappingProxyType(files.findings)
        self.red_flag_rules: Mapping[str, RedFlagRule] = MappingProxyType({rule.id: rule for rule in files.red_flags})
        self.version: str = files.version
        self._broader = all_broader(files.findings)
        self._extractor = Extractor(files.findings)
        self._index = ConditionIndex(files.conditions)

    @classmethod
    def load(cls, path: Path | None = None) -> KnowledgeBase:
        """Reads the data folder, by default the project's own. Raises ArtifactError for the first thing wrong in it."""
        return cls(load_files(path or DATA_FOLDER))

    # ----------------------------------------------------------------- reading a text
    def extract_findings(self, text: str) -> tuple[Finding, ...]:
        """Findings that `text` says or denies of the patient, in text order, one per finding id."""
        return self._extractor.extract(text)

    def extract_patient(self, text: str) -> Patient:
        """Age, sex and vital signs that `text` states; None where it does not, or not plausibly."""
        return patient_text.extract_patient(text)

    def match_condition(self, text: str) -> str | None:
        """The id of the condition that `text` names by ICD-10 code, id, name or synonym; None where it is not clear."""
        return self._index.match(text)

    @property
    def form_collisions(self) -> list[tuple[str, str, str]]:
        """Surface forms that two findings claim: (form, the finding that has it, the other)."""
        return self._extractor.collisions

    def broader(self, finding_id: str) -> frozenset[str]:
        """Every finding that `finding_id` is a special case of, at any distance: present, it makes them present too."""
        return self._broader[finding_id]

    # ----------------------------------------------------------------- danger
    def red_flags(
        self, findings: Iterable[Finding], patient: Patient, language: Language = "en"
    ) -> tuple[RedFlag, ...]:
        """Red flags that are up, most urgent first, named in `language`."""
        rules = red_flags.raised(self.red_flag_rules.values(), self._present(findings), patient)
        return tuple(RedFlag(rule.id, rule.floor, rule.triage, rule.name.get(language)) for rule in rules)

    def scores(
        self, findings: Iterable[Finding], patient: Patient, language: Language = "en"
    ) -> tuple[ClinicalScore, ...]:
        """NEWS2 where the vital signs allow it; empty where they do not."""
        present = self._present(findings)
        result = news2.news2(
            patient,
            confused="confusion" in present,
            on_oxygen="supplemental_oxygen" in present,
            pregnant="pregnancy" in present,
        )
        return () if result is None else (news2.as_score(result, language),)

    def _present(self, findings: Iterable[Finding]) -> frozenset[str]:
        """Ids of what the patient has, and of all that it is a special case of."""
        said = {finding.finding_id for finding in findings if finding.present}
        return frozenset(said).union(*(self._broader.get(finding_id, frozenset()) for finding_id in said))

    # ----------------------------------------------------------------- words
    def name(self, condition_id: str, language: Language) -> str:
        return self._condition(condition_id).name.get(language)

    def recommendations(self, condition_id: str, level: RiskLevel, language: Language) -> tuple[str, ...]:
        """Advice for this condition at this risk, most important first."""
        return self._condition(condition_id).recommendations.get(level, language)

    def finding_name(self, finding_id: str, language: Language) -> str:
        entry = self.findings.get(finding_id)
        if entry is None:
            raise NotFoundError("finding_unknown", finding_id=finding_id)
        return entry.name.get(language)

    def red_flag_name(self, flag_id: str, language: Language) -> str:
        rule = self.red_flag_rules.get(flag_id)
        if rule is None:
            raise NotFoundError("red_flag_unknown", flag_id=flag_id)
        return rule.name.get(language)

    def specialty_name(self, specialty: Specialty, language: Language) -> str:
        return specialties.specialty_name(specialty, language)

    def _condition(self, condition_id: str) -> Condition:
        condition = self.conditions.get(condition_id)
        if condition is None:
            raise NotFoundError("condition_unknown", condition_id=condition_id)
        return condition
