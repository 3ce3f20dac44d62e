"""What a fusion folder is called and whether its files are whole: read without torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from app.encoders.manifest import file_sha256
from app.errors import ArtifactError

MANIFEST_NAME = "manifest.json"
FUSION_FILES = ("config.json", "weights.safetensors", "regions.safetensors", "calibration.json", "report.json")
VERSION_CHARS = 12


class FusionManifest(BaseModel):
    """manifest.json of a fusion folder: file name -> SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format_version: Literal[1] = 1
    files: dict[str, str]

    @property
    def version(self) -> str:
        """A short hash of everything in the folder."""
        return hashlib.sha256("".join(sorted(self.files.values())).encode()).hexdigest()[:VERSION_CHARS]

    @classmethod
    def of(cls, folder: Path) -> FusionManifest:
        """The manifest of files that are there."""
        return cls(files={name: file_sha256(folder / name) for name in FUSION_FILES})

    @classmethod
    def read(cls, folder: Path) -> FusionManifest:
        """ArtifactError where there is none, or it is damaged."""
        try:
            return cls.model_validate_json((folder / MANIFEST_NAME).read_bytes())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ArtifactError("fusion_not_found", folder=str(folder)) from error
        except ValidationError as error:
            raise ArtifactError("fusion_invalid", folder=str(folder), reason=MANIFEST_NAME) from error


def fusion_version(folder: Path) -> str:
    """The version of a fusion folder, as its manifest names it. ArtifactError as `FusionManifest.read`."""
    return FusionManifest.read(folder).version


def verified_manifest(folder: Path) -> FusionManifest:
    """The manifest, once every file was found to be as it says. ArtifactError where one is missing or differs."""
    manifest = FusionManifest.read(folder)
    for name in FUSION_FILES:
        if not (folder / name).is_file() or file_sha256(folder / name) != manifest.files.get(name):
            raise ArtifactError("fusion_file_damaged", folder=str(folder), file=name)
    return manifest


def evidence_identity(folder: Path) -> dict[str, Any]:
    """What must be the same for two networks to read the same evidence: encoders and sequence layout, as JSON.

    ArtifactError where the folder's config does not say.
    """
    try:
        config = json.loads((folder / "config.json").read_bytes())
        return {name: config[name] for name in ("encoders", "sequence_layout")}
    except FileNotFoundError as error:
        raise ArtifactError("fusion_not_found", folder=str(folder)) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError("fusion_invalid", folder=str(folder), reason="config.json") from error
