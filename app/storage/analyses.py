"""Analyses: written when a case is answered, read when a model is trained."""

from __future__ import annotations

from app.domain import Analysis, Evidence
from app.errors import NotFoundError
from app.storage.database import Database
from app.storage.records import analysis_row, evidence_of
from app.storage.schema import AnalysisRow


class AnalysisRepository:
    """Thread-safe. Every method blocks; StorageError where the database cannot do its part."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, analysis: Analysis, evidence: Evidence, *, text: str | None) -> None:
        """Durable, with all of its embeddings, when it returns. No quote is kept where `text` is None."""
        row = analysis_row(analysis, evidence, text)
        with self._database.writing() as session:
            session.add(row)

    def evidence(self, analysis_id: str) -> Evidence:
        """What the analysis was made from, without the words. NotFoundError("analysis_not_found")."""
        with self._database.reading() as session:
            row = session.get(AnalysisRow, analysis_id)
            if row is None:
                raise NotFoundError("analysis_not_found")
            return evidence_of(row)

    def ping(self) -> None:
        """StorageError when the database does not answer."""
        self._database.ping()
