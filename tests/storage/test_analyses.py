from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from sqlalchemy import func, select

from app.domain import Embedding, Evidence, Source
from app.errors import NotFoundError, StorageError
from app.fusion.tokens import EvidenceCodec
from app.storage.analyses import AnalysisRepository
from app.storage.database import Database
from app.storage.schema import AnalysisRow, EmbeddingRow
from tests.storage.samples import FINDING_IDS, QUOTE, analysis, evidence


@pytest.fixture
def repository(database: Database) -> AnalysisRepository:
    return AnalysisRepository(database)


def row_of(database: Database, analysis_id: str) -> AnalysisRow:
    with database.reading() as session:
        row = session.get_one(AnalysisRow, analysis_id)
        assert row.embeddings is not None
        return row


def count(database: Database, table: type[AnalysisRow | EmbeddingRow]) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_the_tokens_of_a_stored_case_are_those_that_were_predicted_from(repository: AnalysisRepository):
    case, given = analysis(), evidence(seed=3)
    repository.add(case, given, text=None)
    codec = EvidenceCodec(FINDING_IDS)
    before, after = codec.tokens(given), codec.tokens(repository.evidence(case.analysis_id))
    assert [token.source for token in after] == [token.source for token in before]
    assert all(np.array_equal(old.vector, new.vector) for old, new in zip(before, after, strict=True))
    assert {token.source for token in before} >= {"omni/image", "findings", "vitals"}


def test_patient_and_red_flags_come_back_as_they_were(repository: AnalysisRepository):
    case, given = analysis(), evidence()
    repository.add(case, given, text=None)
    stored = repository.evidence(case.analysis_id)
    assert stored.patient == given.patient
    assert stored.red_flags == given.red_flags
    assert stored.scores == given.scores
    assert all(item.vector.dtype == np.float32 and item.vector.flags.writeable for item in stored.embeddings)


def test_columns_say_what_was_answered(database: Database, repository: AnalysisRepository):
    case = analysis()
    repository.add(case, evidence(images=1), text=None)
    row = row_of(database, case.analysis_id)
    assert (row.condition_id, row.language, row.profile) == ("acute_myocardial_infarction", "ko", "embedded")
    assert (row.risk_score, row.risk_level, row.risk_confidence, row.triage) == (0.93, "critical", 0.81, 1)
    assert row.modalities == ["text", "image", "vitals"]
    assert row.models == case.models
    assert row.created_at == case.created_at
    assert row.created_at.utcoffset() == timedelta(0)
    assert row.result["differential"][1]["icd10"] == "I20.9"
    assert row.result["recommendations"] == list(case.recommendations)


def test_each_embedding_names_the_version_of_its_encoder(database: Database, repository: AnalysisRepository):
    case = analysis()
    repository.add(case, evidence(images=1), text=None)
    stored = row_of(database, case.analysis_id).embeddings
    assert [(item.ordinal, item.source, item.encoder[0], item.width) for item in stored] == [
        (0, "omni/text", "a", 24),
        (1, "omni/image", "a", 24),
        (2, "medical/text", "b", 40),
    ]


def test_no_word_of_the_patient_is_kept_without_text(database: Database, repository: AnalysisRepository):
    case = analysis()
    repository.add(case, evidence(), text=None)
    row = row_of(database, case.analysis_id)
    assert row.text is None
    assert [finding["quote"] for finding in row.result["findings"]] == ["", ""]
    assert "식은땀" not in repr([row.result, row.evidence])


def test_text_and_quotes_are_kept_together(database: Database, repository: AnalysisRepository):
    case = analysis()
    repository.add(case, evidence(), text=f"{QUOTE}. 열은 없어요")
    row = row_of(database, case.analysis_id)
    assert row.text == f"{QUOTE}. 열은 없어요"
    assert row.result["findings"][0]["quote"] == QUOTE


def test_an_abstention_diagnoses_nothing(database: Database, repository: AnalysisRepository):
    case = analysis(status="insufficient_evidence")
    repository.add(case, evidence(), text=None)
    assert row_of(database, case.analysis_id).condition_id is None


def test_a_case_of_vital_signs_alone_has_no_embeddings(repository: AnalysisRepository):
    case, given = analysis(), Evidence(embeddings=(), patient=evidence().patient)
    repository.add(case, given, text=None)
    assert repository.evidence(case.analysis_id) == given


def test_times_are_stored_in_utc_whatever_zone_they_came_in(database: Database, repository: AnalysisRepository):
    seoul = datetime(2026, 3, 1, 8, 30, tzinfo=timezone(timedelta(hours=9)))
    case = replace(analysis(), created_at=seoul)
    repository.add(case, evidence(), text=None)
    assert row_of(database, case.analysis_id).created_at == datetime(2026, 2, 28, 23, 30, tzinfo=UTC)


def test_one_bad_embedding_leaves_nothing_of_the_analysis(database: Database, repository: AnalysisRepository):
    good = evidence(images=0).embeddings[0]
    torn = Embedding(Source.OMNI_IMAGE, np.zeros((3, 5), np.float32))  # 60 bytes, said to be 3 wide
    with pytest.raises(StorageError, match="storage_unavailable"):
        repository.add(analysis(), Evidence(embeddings=(good, torn)), text=None)
    assert (count(database, AnalysisRow), count(database, EmbeddingRow)) == (0, 0)


def test_an_id_is_stored_once(database: Database, repository: AnalysisRepository):
    case = analysis()
    repository.add(case, evidence(), text=None)
    with pytest.raises(StorageError):
        repository.add(case, evidence(seed=1), text=None)
    assert (count(database, AnalysisRow), count(database, EmbeddingRow)) == (1, 4)


def test_deleting_an_analysis_takes_its_embeddings_along(database: Database, repository: AnalysisRepository):
    case = analysis()
    repository.add(case, evidence(), text=None)
    with database.writing() as session:
        session.delete(session.get_one(AnalysisRow, case.analysis_id))
    assert (count(database, AnalysisRow), count(database, EmbeddingRow)) == (0, 0)


def test_an_unknown_analysis_is_not_found(repository: AnalysisRepository):
    with pytest.raises(NotFoundError, match="analysis_not_found"):
        repository.evidence("an_unknown")


def test_ping_answers(repository: AnalysisRepository):
    repository.ping()
