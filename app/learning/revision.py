"""Which revision of the code this is, for the change record."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def code_revision() -> str | None:
    """The commit that the code lies in, with `+` where files differ from it; None outside of a checkout."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None
    return f"{commit}+" if _git("status", "--porcelain", "--untracked-files=no", "--", "app", "scripts") else commit


def _git(*arguments: str) -> str | None:
    try:
        ended = subprocess.run(
            ("git", "-C", str(ROOT), *arguments), capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stdout.strip()
