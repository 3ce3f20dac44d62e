"""What a schema cannot say: that the knowledge base means what it says. For scripts/check_knowledge.py.

A reason is one line and names the entry: ids are unique over all files.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from app.knowledge.base import KnowledgeBase
from app.knowledge.matching import key
from app.knowledge.schema import Condition, FindingEntry

_HANGUL = re.compile(r"[가-힣]")
FEWEST_FINDINGS = 4
"""Typical findings that a condition needs at least to be told from others."""


def audit(knowledge: KnowledgeBase) -> list[str]:
    """Every inconsistency, one line each; empty when the knowledge base is sound."""
    return [
        *_collisions(knowledge),
        *(reason for entry in knowledge.findings.values() for reason in _finding(knowledge, entry)),
        *(reason for entry in knowledge.conditions.values() for reason in _condition(entry)),
        *_shared_names("finding", ((entry.id, entry.name.en, entry.name.ko) for entry in knowledge.findings.values())),
        *_shared_names(
            "condition", ((entry.id, entry.name.en, entry.name.ko) for entry in knowledge.conditions.values())
        ),
        *_unreachable(knowledge),
    ]


def _collisions(knowledge: KnowledgeBase) -> Iterator[str]:
    for form, owner, other in knowledge.form_collisions:
        yield f"form {form!r}: claimed by {owner} and {other}"


def _finding(knowledge: KnowledgeBase, entry: FindingEntry) -> Iterator[str]:
    """Its phrases are read back as the finding (or a case of it), its denials as denied; languages are right."""
    voices = (entry.phrases.en, entry.phrases.ko)
    asserted = [text for voice in voices for text in (*voice.patient, *voice.clinician)]
    for text in asserted:
        if not _reads(knowledge, text, entry.id, present=True):
            yield f"finding {entry.id}: phrase {text!r} is not read back as present"
    for text in (*entry.negated.en, *entry.negated.ko):
        if not _reads(knowledge, text, entry.id, present=False):
            yield f"finding {entry.id}: denial {text!r} is not read back as denied"
    english = (entry.name.en, *entry.phrases.en.patient, *entry.phrases.en.clinician, *entry.negated.en)
    korean = (entry.name.ko, *entry.phrases.ko.patient, *entry.negated.ko)
    yield from _languages(f"finding {entry.id}", english, korean)


def _reads(knowledge: KnowledgeBase, text: str, finding_id: str, *, present: bool) -> bool:
    return any(
        finding.present is present
        and (finding.finding_id == finding_id or finding_id in knowledge.broader(finding.finding_id))
        for finding in knowledge.extract_findings(text)
    )


def _condition(entry: Condition) -> Iterator[str]:
    if len(entry.findings) < FEWEST_FINDINGS and entry.id != "no_finding":
        yield f"condition {entry.id}: only {len(entry.findings)} typical findings"
    advice = entry.recommendations
    levels = (advice.low, advice.moderate, advice.high, advice.critical)
    english = (entry.name.en, *entry.tests.en, *(text for level in levels for text in level.en))
    korean = (entry.name.ko, *(text for level in levels for text in level.ko))
    yield from _languages(f"condition {entry.id}", english, korean)


def _languages(owner: str, english: Iterable[str], korean: Iterable[str]) -> Iterator[str]:
    for text in english:
        if _HANGUL.search(text):
            yield f"{owner}: Korean in the English text {text!r}"
    for text in korean:
        if not _HANGUL.search(text):
            yield f"{owner}: no Korean in the Korean text {text!r}"


def _shared_names(kind: str, entries: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    owners: dict[str, set[str]] = defaultdict(set)
    for entry_id, english, korean in entries:
        owners[key(english)].add(entry_id)
        owners[key(korean)].add(entry_id)
    for name, ids in owners.items():
        if len(ids) > 1:
            yield f"{kind} name {name!r}: shared by {', '.join(sorted(ids))}"


def _unreachable(knowledge: KnowledgeBase) -> Iterator[str]:
    """Conditions that their own names do not lead to."""
    for entry in knowledge.conditions.values():
        for name in (entry.id, entry.name.en, entry.name.ko):
            if knowledge.match_condition(name) != entry.id:
                yield f"condition {entry.id}: its name {name!r} leads to {knowledge.match_condition(name)}"
