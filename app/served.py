"""Which encoders are served, told from their manifests alone: no session is opened, no network is loaded.

Shared by the service and by the learner, which must not take embeddings of other encoders.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.encoders.manifest import Manifest
from app.errors import ArtifactError

if TYPE_CHECKING:
    from app.settings import Settings

_DIGEST_CHARS = 12


def served_manifests(settings: Settings) -> dict[str, Manifest]:
    """Both encoders as deep as they are served: as their setting says, else as the fusion weights were trained.

    ArtifactError where a folder is not whole, or holds fewer layers than asked for.
    """
    trained = fusion_cut_layers(settings.fusion_weights_path)
    asked = {"omni": settings.qwen_cut_layer, "medical": settings.mmed_llama_cut_layer}
    folders = {"omni": settings.qwen_model_path, "medical": settings.mmed_llama_model_path}
    return {name: Manifest.load(folder).cut(asked[name] or trained[name]) for name, folder in folders.items()}


def encoder_versions(manifests: Mapping[str, Manifest]) -> dict[str, str]:
    """Encoder -> the version that its embeddings are stored under."""
    return {name: manifest.digest[:_DIGEST_CHARS] for name, manifest in manifests.items()}


def fusion_cut_layers(folder: Path) -> dict[str, int]:
    """Encoder -> layer that the fusion weights read. ArtifactError where the folder's config does not say."""
    try:
        encoders = _fusion_config(folder)["encoders"]
        return {name: int(encoders[name]["cut_layer"]) for name in ("omni", "medical")}
    except (ValueError, KeyError, TypeError) as error:
        raise _invalid(folder) from error


def fusion_conditions(folder: Path) -> frozenset[str]:
    """The conditions that the fusion weights tell apart. ArtifactError where the folder's config does not say."""
    try:
        return frozenset(str(condition) for condition in _fusion_config(folder)["conditions"])
    except (KeyError, TypeError) as error:
        raise _invalid(folder) from error


def _fusion_config(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / "config.json").read_bytes()))
    except FileNotFoundError as error:
        raise ArtifactError("fusion_not_found", folder=str(folder)) from error
    except (OSError, ValueError, TypeError) as error:
        raise _invalid(folder) from error


def _invalid(folder: Path) -> ArtifactError:
    return ArtifactError("fusion_invalid", folder=str(folder), reason="config.json")
