"""`scripts/with_postgresql.sh`: a server for a command, gone with it; where none can be had, said loudly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "with_postgresql.sh"
VARIABLE = "MEDMODAL_TEST_POSTGRES_URL"
TELL = f'echo "[${VARIABLE}]"'
ASK = """
import os, psycopg
with psycopg.connect(os.environ["MEDMODAL_TEST_POSTGRES_URL"]) as connection:
    print(os.environ["MEDMODAL_TEST_POSTGRES_URL"])
    print(connection.execute("SHOW server_encoding").fetchone()[0], connection.execute("SELECT 6 * 7").fetchone()[0])
"""


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in {VARIABLE, "CI", "POSTGRESQL_BIN"}}
    return {**kept, **more}


def run(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *command], env=environment(**more), capture_output=True, text=True, timeout=90, check=False
    )


def is_running(process: int) -> bool:
    """What has ended and was not waited for has no command line."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes() != b""
    except FileNotFoundError:
        return False


@pytest.fixture
def installed() -> None:
    if not any(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        pytest.skip("PostgreSQL is not installed here")


@pytest.mark.usefixtures("installed")
def test_the_command_has_a_server_and_its_status_is_given():
    ended = run("sh", "-c", f"'{sys.executable}' -c '{ASK}' && exit 7")
    assert ended.returncode == 7, ended.stderr
    url, answers = ended.stdout.splitlines()
    assert answers == "UTF8 42"
    assert not Path(parse_qs(urlsplit(url).query)["host"][0]).exists()


@pytest.mark.usefixtures("installed")
def test_the_server_goes_even_if_the_script_is_killed():
    process = subprocess.Popen(
        [SCRIPT, "sh", "-c", f"{TELL}; exec sleep 60"],
        env=environment(),
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    url = process.stdout.readline().decode().strip("[]\n")
    folder = Path(parse_qs(urlsplit(url).query)["host"][0])
    server = int((folder / "data" / "postmaster.pid").read_text(encoding="ascii").split()[0])
    process.kill()
    process.wait()
    try:
        deadline = time.monotonic() + 20
        while is_running(server) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not is_running(server)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
        subprocess.run(["rm", "-rf", folder], check=True)


def test_a_server_that_is_named_already_is_used():
    ended = run("sh", "-c", f"{TELL}; exit 4", **{VARIABLE: "postgresql://elsewhere/name"})
    assert (ended.returncode, ended.stdout, ended.stderr) == (4, "[postgresql://elsewhere/name]\n", "")


def test_without_a_server_the_command_runs_and_it_is_said(tmp_path: Path):
    ended = run("sh", "-c", f"{TELL}; exit 3", POSTGRESQL_BIN=str(tmp_path))
    assert (ended.returncode, ended.stdout) == (3, "[]\n")
    assert "NOT tested" in ended.stderr


@pytest.mark.parametrize("value", ["true", "1"])
def test_ci_does_not_go_on_without_a_server(value: str, tmp_path: Path):
    ended = run("echo", "ran", POSTGRESQL_BIN=str(tmp_path), CI=value)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "NOT tested" in ended.stderr


def test_a_server_that_does_not_start_is_said(tmp_path: Path):
    for name in ("initdb", "postgres", "pg_isready"):
        (tmp_path / name).write_text("#!/bin/sh\necho no room for a database; exit 1\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    ended = run("echo", "ran", POSTGRESQL_BIN=str(tmp_path), CI="true")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "NOT tested" in ended.stderr


def test_without_a_command_it_says_how_it_is_used():
    assert run().returncode == 2
