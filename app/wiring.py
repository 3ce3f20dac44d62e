"""Builds the real components from the settings: the one place that knows every part's constructor."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import structlog

from app import __version__
from app.api.body import BODIES_IN_MEMORY
from app.domain import Case, Evidence
from app.encoders.cache import DiskCache, EmbeddingCache, NoCache
from app.encoders.manifest import MANIFEST_NAME, Manifest
from app.encoders.medical import MedicalEncoder
from app.encoders.omni import OmniEncoder
from app.encoders.sequence import SequenceLayout
from app.encoders.session import OrtSession, SessionFactory
from app.errors import ArtifactError
from app.knowledge.base import DATA_FOLDER, KnowledgeBase
from app.media import MediaLimits
from app.memory_plan import CutLayers, MemoryPlan, ServiceSizes, memory_limits, plan_memory
from app.prepared.builder import PREPARATION_FAILURES, prepare
from app.prepared.folder import PreparedFolder
from app.served import encoder_versions, fusion_cut_layers, served_manifests
from app.services.decoding import CaseDecoder
from app.services.host import Components, Progress
from app.services.ports import CaseEncoder, LearningStores
from app.services.version_watch import StoredVersions
from app.serving_version import check_active, fusion_opener, open_active, version_registry
from app.settings import Settings
from app.storage.analyses import AnalysisRepository
from app.storage.audit import AuditLog
from app.storage.database import open_database
from app.storage.feedback import FeedbackRepository
from app.storage.feedback_queue import FeedbackQueue
from app.storage.location import parse_url
from app.storage.runs import RunRepository

_VERSIONS_AT_ONCE = 2
"""The one that serves and the one that is being put in its place."""
CUT_LAYER_SETTINGS = {"omni": "QWEN_CUT_LAYER", "medical": "MMED_LLAMA_CUT_LAYER"}


def check_artifacts(settings: Settings) -> MemoryPlan:
    """The cheap look before anything listens: are the model folders whole by name and size, and do they fit?

    ArtifactError where they must not be served.
    """
    if not (settings.fusion_weights_path / MANIFEST_NAME).is_file():
        raise ArtifactError("model_not_found", folder=str(settings.fusion_weights_path))
    check_active(version_registry(settings))
    manifests = served_manifests(settings)
    trained = fusion_cut_layers(settings.fusion_weights_path)
    for name, manifest in manifests.items():
        _check_quantization(name, manifest, settings.quantization_type)
        _check_trained(name, manifest.decoder.cut_layer, trained[name])
    omni, medical = (manifests[name].decoder.cut_layer for name in ("omni", "medical"))
    plan = plan_service(settings, CutLayers(omni, medical))
    plan.check()
    return plan


def plan_service(settings: Settings, cut_layers: CutLayers | None, *, prepared: bool | None = None) -> MemoryPlan:
    """What serving would take. `cut_layers` None: the fusion weights are still to be trained, see `plan_memory`;
    `prepared` None: as PREPARE says."""
    sizes = ServiceSizes(
        knowledge_bytes=_bytes_in(DATA_FOLDER),
        fusion_bytes=_VERSIONS_AT_ONCE * _bytes_in(settings.fusion_weights_path, "*.safetensors"),
        media=media_limits(settings),
        media_threads=settings.media_threads,
        bodies_bytes=BODIES_IN_MEMORY * settings.max_body_bytes,
    )
    return plan_memory(
        settings.qwen_model_path,
        settings.mmed_llama_model_path,
        sizes,
        memory_limits(settings.max_memory),
        cut_layers=cut_layers,
        prepared=settings.prepare != "off" if prepared is None else prepared,
    )


def _bytes_in(folder: Path, pattern: str = "*") -> int:
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())


def _check_quantization(name: str, manifest: Manifest, asked: str) -> None:
    if asked not in {"any", manifest.quantization}:
        reason = f"the {name} folder is {manifest.quantization}, QUANTIZATION_TYPE={asked}: convert it, or set any"
        raise ArtifactError("quantization_not_served", reason=reason)


def _check_trained(name: str, cut_layer: int, trained: int) -> None:
    if cut_layer != trained:
        setting = CUT_LAYER_SETTINGS[name]
        reason = f"{setting}={cut_layer}, the fusion weights read layer {trained}: set 0, or train them on {cut_layer}"
        raise ArtifactError("cut_layer_not_trained", reason=reason)


def check_database_url(settings: Settings) -> None:
    """ArtifactError("database_url_invalid") for what is no URL of a database that is served here."""
    parse_url(settings.database_url)


def build_components(settings: Settings, progress: Progress) -> Components:
    """Blocking. ArtifactError for whatever must not be served, StorageError where the database cannot be opened."""
    progress("storage")
    database = open_database(settings.database_url)
    progress("knowledge")
    knowledge = KnowledgeBase.load()
    progress("fusion")
    registry, open_fusion = version_registry(settings), fusion_opener(settings, knowledge)
    fusion = open_active(registry, open_fusion)
    omni, medical = _load_encoders(settings, SequenceLayout(fusion.sequence_layout), progress)
    progress("warm_up")
    omni.warm_up()
    medical.warm_up()
    sample = _sample(omni, medical)
    fusion.predict(sample)  # the first pass of a process is many times slower than the second
    check_memory(settings.max_memory)
    return Components(
        knowledge=knowledge,
        media=CaseDecoder(media_limits(settings)),
        omni=omni,
        medical=medical,
        fusion=fusion,
        analyses=AnalysisRepository(database),
        feedback=FeedbackRepository(database),
        learning=LearningStores(RunRepository(database), FeedbackQueue(database), AuditLog(database), registry),
        source=StoredVersions(registry, open_fusion, sample),
        versions=_versions(omni.manifest, medical.manifest, knowledge),
        close=database.close,
    )


def _load_encoders(
    settings: Settings, layout: SequenceLayout, progress: Progress
) -> tuple[OmniEncoder, MedicalEncoder]:
    threads = settings.cpu_threads or usable_cpus()
    cache: EmbeddingCache = NoCache()
    if settings.cache_enabled:
        cache = DiskCache(settings.cache_dir, settings.cache_max_bytes)
    manifests = served_manifests(settings)
    omni_weights = session_factory(settings, settings.qwen_model_path, manifests["omni"], progress)
    medical_weights = session_factory(settings, settings.mmed_llama_model_path, manifests["medical"], progress)
    progress("omni")
    omni = OmniEncoder.load(
        settings.qwen_model_path,
        threads=threads,
        cut_layer=manifests["omni"].decoder.cut_layer,
        layout=layout,
        cache=cache,
        verify=False,
        open_session=omni_weights,
    )
    progress("medical")
    medical = MedicalEncoder.load(
        settings.mmed_llama_model_path,
        threads=threads,
        cut_layer=manifests["medical"].decoder.cut_layer,
        cache=cache,
        verify=False,
        open_session=medical_weights,
    )
    return omni, medical


def session_factory(settings: Settings, folder: Path, manifest: Manifest, progress: Progress) -> SessionFactory:
    """Verifies a model folder, prepares it unless PREPARE=off, and says how its graphs are opened.

    ArtifactError for a folder that must not be served, and with PREPARE=strict where it cannot be prepared.
    """
    if settings.prepare == "off":
        manifest.verify(folder)
        return OrtSession.load
    progress("prepare", 0.0)
    try:
        prepared = prepare(folder, manifest, settings.prepared_dir, partial(progress, "prepare"))
    except ArtifactError as error:
        if settings.prepare == "strict" or error.code not in PREPARATION_FAILURES:
            raise
        structlog.get_logger("app.load").warning("weights_not_prepared", code=error.code, **error.params)
        _check_fits_on_heap(settings)
        manifest.verify(folder)
        return OrtSession.load
    return PreparedFolder(prepared, is_strict=settings.prepare == "strict").open_session


def _check_fits_on_heap(settings: Settings) -> None:
    """The plan at start counted on mapped weights. ArtifactError where there is no room for them on the heap."""
    omni, medical = (manifest.decoder.cut_layer for manifest in served_manifests(settings).values())
    plan_service(settings, CutLayers(omni, medical), prepared=False).check()


def _sample(omni: CaseEncoder, medical: CaseEncoder) -> Evidence:
    """A small case as the network reads it."""
    case = Case(language="en", text="cough")
    return Evidence(embeddings=omni.encode(case) + medical.encode(case))


def media_limits(settings: Settings) -> MediaLimits:
    return MediaLimits(
        max_image_bytes=settings.max_image_bytes,
        max_image_pixels=settings.max_image_pixels,
        max_audio_bytes=settings.max_audio_bytes,
        max_audio_seconds=settings.max_audio_seconds,
        max_video_bytes=settings.max_video_bytes,
        max_video_seconds=settings.max_video_seconds,
    )


def check_memory(limit_bytes: int) -> None:
    """ArtifactError when the models, once loaded, take more than the operator allows."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    resident = pages * os.sysconf("SC_PAGE_SIZE")
    if resident > limit_bytes:
        raise ArtifactError("memory_limit_exceeded", resident_bytes=resident, limit_bytes=limit_bytes)


def usable_cpus(quota_file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """CPUs that this process may run on, and no more than a container's quota: threads beyond it only wait.

    `quota_file` is cgroup v2's, "<microseconds or max> <period>"; elsewhere there is none.
    """
    allowed = len(os.sched_getaffinity(0))
    if not quota_file.is_file():
        return allowed
    quota, _, period = quota_file.read_text(encoding="ascii").partition(" ")
    return allowed if quota == "max" else max(1, min(allowed, int(quota) // int(period)))


def _versions(omni: Manifest, medical: Manifest, knowledge: KnowledgeBase) -> Mapping[str, str]:
    return {
        "service": __version__,
        **encoder_versions({"omni": omni, "medical": medical}),
        "knowledge": knowledge.version,
    }
