"""Fusion folders without a network: what the registry reads of one is hashes and config.json."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from app.adaptation import VersionInfo
from app.fusion.identity import FUSION_FILES, MANIFEST_NAME, FusionManifest, fusion_version
from app.versions.registry import VersionRegistry

WHEN = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def write_fusion(folder: Path, content: str, *, cut_layer: int = 2, layout: str = "independent") -> Path:
    """A whole folder; another `content` is another version."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FUSION_FILES:
        (folder / name).write_text(f"{name}: {content}", encoding="utf-8")
    encoders = {name: {"source": name, "cut_layer": cut_layer} for name in ("omni", "medical")}
    (folder / "config.json").write_text(json.dumps({"encoders": encoders, "sequence_layout": layout}), encoding="utf-8")
    (folder / MANIFEST_NAME).write_text(FusionManifest.of(folder).model_dump_json(), encoding="utf-8")
    return folder


def info_of(folder: Path, parent: str, *, created_at: datetime = WHEN) -> VersionInfo:
    return VersionInfo(
        fusion_version(folder),
        parent=parent,
        run_id="run_1",
        created_at=created_at,
        counts={"train": 20},
        figures={"held_out": {"accuracy": 0.75}},
        settings={"lora_r": 8},
        code_revision="abc",
    )


def publish(registry: VersionRegistry, content: str, *, created_at: datetime = WHEN, **options: object) -> str:
    """One more version, with a file of the run's beside the fusion folder."""
    with registry.stage() as staged:
        write_fusion(staged, content, **options)  # type: ignore[arg-type]
        (staged / "adapter").mkdir()
        (staged / "adapter" / "weights").write_text("low rank", encoding="utf-8")
        return registry.publish(staged, info_of(staged, registry.base_version, created_at=created_at))
