"""Which version of the fusion network serves, and how its folder is opened.

The network is imported late, on the loading thread: torch takes seconds to read, and the process listens before.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from app.errors import AppError, ArtifactError
from app.served import served_manifests
from app.versions.registry import VersionRegistry

if TYPE_CHECKING:
    from app.fusion.predictor import FusionPredictor
    from app.knowledge.base import KnowledgeBase
    from app.settings import Settings

OpenFusion = Callable[[Path], "FusionPredictor"]
"""ArtifactError where a folder is damaged, was trained with other encoders, or names a condition that nothing is known
of."""


def version_registry(settings: Settings) -> VersionRegistry:
    return VersionRegistry(settings.versions_dir, settings.fusion_weights_path)


def fusion_opener(settings: Settings, knowledge: KnowledgeBase) -> OpenFusion:
    """Any version is held to the encoders and the knowledge base that are served now."""
    from app.fusion.artifact import EncoderIdentity
    from app.fusion.predictor import FusionPredictor
    from app.fusion.threads import use_one_thread

    use_one_thread()
    identities = {name: EncoderIdentity.of(manifest) for name, manifest in served_manifests(settings).items()}

    def open_fusion(folder: Path) -> FusionPredictor:
        predictor = FusionPredictor.load(folder, identities)
        unknown = sorted(set(predictor.conditions) - set(knowledge.conditions))
        if unknown:
            raise ArtifactError("fusion_condition_unknown", folder=str(folder), condition=unknown[0])
        return predictor

    return open_fusion


def open_active(registry: VersionRegistry, open_fusion: OpenFusion) -> FusionPredictor:
    """The active version. Never another one in its place: where it must not be served, ArtifactError says so."""
    version = check_active(registry)
    try:
        registry.verify(version)
        return open_fusion(registry.folder(version))
    except AppError as error:
        raise _refusal(registry, version, error) from error


def check_active(registry: VersionRegistry) -> str:
    """The active version, as far as a cheap look tells whether it can be served. ArtifactError where not."""
    version = None
    try:
        version = registry.active().version
        registry.info(version)
    except AppError as error:
        raise _refusal(registry, version, error) from error
    return version


def _refusal(registry: VersionRegistry, version: str | None, error: AppError) -> AppError:
    """With the way out: nothing is gone, the operator chooses."""
    if version is not None and version == registry.base_version:
        return error
    what = "the active version is not known" if version is None else f"the active version {version} cannot be served"
    reason = f"{what}: {error}. `python -m app.activate base` goes back to the base version, alone it lists all"
    return ArtifactError("active_version_refused", reason=reason)
