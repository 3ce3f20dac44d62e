"""`python -m app.activate`: which versions there are; with one, which of them answers. Also while no service runs.

python -m app.activate            every version, the newest first
python -m app.activate VERSION    put it into service; a running service follows within seconds
python -m app.activate base       back to the version that the service came with
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from app.adaptation import VersionInfo
from app.errors import AppError, ArtifactError
from app.observability import configure_logging
from app.services.activation import activate_version
from app.serving_version import version_registry
from app.settings import Settings
from app.storage.audit import AuditLog
from app.storage.database import open_database
from app.versions.registry import VersionRegistry

OPERATOR = "operator"
"""The actor of what was done at the command line."""
BASE = "base"
EXIT_REFUSED = 1
EXIT_BAD_SETTINGS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 1 for what was refused (nothing has changed then), 2 for a bad setting."""
    parser = argparse.ArgumentParser(prog="python -m app.activate", description="Choose the version that answers.")
    parser.add_argument("version", nargs="?", help=f"its id, or `{BASE}`; without one, all versions are listed")
    asked: str | None = parser.parse_args(arguments).version
    try:
        settings = Settings.load()
    except AppError as error:
        return _refuse(f"bad setting {error.params['setting']}: {error.params['reason']}", EXIT_BAD_SETTINGS)
    configure_logging("WARNING", settings.log_format)
    try:
        if asked is None:
            return _list(version_registry(settings))
        return _activate(settings, asked)
    except AppError as error:
        return _refuse(f"{error}; nothing has changed", EXIT_REFUSED)


def _activate(settings: Settings, asked: str) -> int:
    registry = version_registry(settings)
    version = registry.base_version if asked == BASE else asked
    database = open_database(settings.database_url)
    try:
        active = activate_version(registry, AuditLog(database), version, by=OPERATOR)
    finally:
        database.close()
    _say(f"active: {active.version}, activation {active.sequence}; a running service follows within 5 seconds")
    return 0


def _list(registry: VersionRegistry) -> int:
    """ArtifactError, after the list, where the pointer does not say which one is active."""
    infos = registry.infos()
    unclear: ArtifactError | None = None
    try:
        active = registry.active().version
    except ArtifactError as error:
        active, unclear = "", error
    for info in infos:
        _say(f"{'*' if info.version == active else ' '} {_line(info, registry.base_version)}")
    if unclear is not None:
        raise unclear
    if active not in {info.version for info in infos}:
        raise ArtifactError("version_not_found", version=active)
    return 0


def _line(info: VersionInfo, base: str) -> str:
    if info.version == base:
        return f"{info.version}  {BASE}"
    made = "" if info.created_at is None else f"{info.created_at:%Y-%m-%d %H:%M} UTC"
    return f"{info.version}  {made}  from {info.parent}, {info.run_id or 'made by hand'}"


def _refuse(reason: str, status: int) -> int:
    sys.stderr.write(f"medmodal: {reason}\n")
    return status


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
