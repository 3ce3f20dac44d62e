"""The commands that docs/OPERATIONS.md gives to operators do what it says."""

from __future__ import annotations

import importlib.util
import re
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from app.storage.analyses import AnalysisRepository
from app.storage.database import Database, open_database
from tests.storage.samples import analysis, evidence

DOCUMENT = Path(__file__).parents[2] / "docs" / "OPERATIONS.md"


def run_command(name: str, *arguments: object) -> str:
    (program,) = re.findall(rf"<<'{name}'\n(.*?)\n{name}\n", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-", *map(str, arguments)],
        input=program,
        capture_output=True,
        text=True,
        check=False,
        umask=0o077,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_backup_of_a_database_in_use_is_whole(sqlite_database: Database, sqlite_path: Path, tmp_path: Path):
    repository, stopping = AnalysisRepository(sqlite_database), threading.Event()

    def keep_writing() -> None:
        while not stopping.is_set():
            repository.add(analysis(), evidence(), text=None)

    before = analysis()
    repository.add(before, evidence(), text=None)
    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        printed = run_command("BACKUP", sqlite_path, tmp_path / "backup.db")
    finally:
        stopping.set()
        writer.join()
    assert printed.startswith("integrity: ok\n")
    assert stat.S_IMODE((tmp_path / "backup.db").stat().st_mode) == 0o600
    with closing(open_database(f"sqlite:///{tmp_path / 'backup.db'}")) as restored:
        assert len(AnalysisRepository(restored).evidence(before.analysis_id).embeddings) == 4


COMMANDS = sorted(set(re.findall(r"(?<=python -m )app[\w.]*[^#\n`]*", DOCUMENT.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_operators_are_given_exists_and_knows_its_options(command: str):
    module, *words = command.split()
    options = {word for word in words if word.startswith("--")}
    assert importlib.util.find_spec(module) is not None
    if options:
        shown = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True)
        assert options <= set(re.findall(r"--[a-z-]+", shown.stdout))
