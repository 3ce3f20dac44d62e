"""What a text says of a finding, over the written set: right for 95 % in each language, whatever the status."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from app.knowledge.base import KnowledgeBase

FLOOR = 0.95
STATUSES = {"present", "absent", "uncertain", "past", "family", "none"}
_SETS = yaml.safe_load((Path(__file__).parent / "polarity.yaml").read_text(encoding="utf-8"))


class Pair(NamedTuple):
    text: str
    finding_id: str
    expected: str


PAIRS = {language: [Pair(*row) for row in rows] for language, rows in _SETS.items()}


@pytest.fixture(scope="module")
def knowledge() -> KnowledgeBase:
    return KnowledgeBase.load()


def _read(knowledge: KnowledgeBase, pair: Pair) -> str:
    """The status of the finding itself, or of a special case of it that was read instead; none where neither was."""
    statuses = {finding.finding_id: finding.status for finding in knowledge.extract_findings(pair.text)}
    if pair.finding_id in statuses:
        return statuses[pair.finding_id]
    cases = [status for name, status in statuses.items() if pair.finding_id in knowledge.broader(name)]
    return cases[0] if cases else "none"


def test_the_set_is_whole(knowledge: KnowledgeBase) -> None:
    assert set(PAIRS) == {"en", "ko"}
    for pairs in PAIRS.values():
        assert len(pairs) >= 32
        assert len(set(pairs)) == len(pairs)
        assert {pair.expected for pair in pairs} == STATUSES
        assert {pair.finding_id for pair in pairs} <= set(knowledge.findings)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_status_is_right(knowledge: KnowledgeBase, language: str) -> None:
    pairs = PAIRS[language]
    wrong = [(pair, found) for pair in pairs if (found := _read(knowledge, pair)) != pair.expected]
    share = 1 - len(wrong) / len(pairs)
    assert share >= FLOOR, "\n".join(
        f"{pair.finding_id}: {found}, not {pair.expected}: {pair.text}" for pair, found in wrong
    )
