from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from app.errors import ArtifactError
from app.storage.analyses import AnalysisRepository
from app.storage.database import Database, open_database
from app.storage.migrating import MIGRATIONS, downgrade, upgrade
from app.storage.schema import Base
from tests.storage.samples import analysis, evidence

TABLES = {"analyses", "embeddings", "feedback", "learning_runs", "run_feedback", "audit_log"}


def tables(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names()) - {"alembic_version"}


def revisions() -> list[str]:
    return [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]


def test_the_migrated_tables_are_the_models_tables(database: Database):
    with database.engine.begin() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "target_metadata": Base.metadata}
        )
        assert compare_metadata(context, Base.metadata) == []
    assert tables(database) == TABLES == set(Base.metadata.tables)


def test_the_constraints_have_the_models_names(database: Database):
    inspector = inspect(database.engine)
    for name, table in Base.metadata.tables.items():
        named = {str(constraint.name) for constraint in table.constraints}
        found = {inspector.get_pk_constraint(name)["name"]}
        for listing in (inspector.get_check_constraints, inspector.get_unique_constraints, inspector.get_foreign_keys):
            found |= {item["name"] for item in listing(name)}
        assert found == {str(name) for name in named}


def test_downgrade_removes_every_table_and_upgrade_brings_them_back(database: Database):
    downgrade(database.engine, "base")
    assert tables(database) == set()
    upgrade(database.engine)
    assert tables(database) == TABLES
    database.ping()


def test_every_revision_goes_one_step_down_and_up_again(database: Database):
    for revision in revisions():
        downgrade(database.engine, f"{revision}-1")
        upgrade(database.engine, revision)
        downgrade(database.engine, f"{revision}-1")
    assert tables(database) == set()


def test_a_failing_migration_leaves_the_database_as_it_was(database: Database):
    downgrade(database.engine, "base")
    with database.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE feedback (mine TEXT)")  # the last table of r0001 cannot be made
    with pytest.raises(Exception, match="feedback"):
        upgrade(database.engine)
    assert tables(database) == {"feedback"}


def test_opening_again_keeps_the_rows(database: Database, database_url: str):
    case = analysis()
    AnalysisRepository(database).add(case, evidence(), text=None)
    again = open_database(database_url)
    assert len(AnalysisRepository(again).evidence(case.analysis_id).embeddings) == 4
    again.close()


def test_tables_of_a_newer_version_are_left_alone(database: Database, database_url: str):
    with database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'r9999'"))
    with pytest.raises(ArtifactError, match="database_schema_unknown"):
        open_database(database_url)
    assert tables(database) == TABLES
