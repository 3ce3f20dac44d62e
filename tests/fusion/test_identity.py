import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import ArtifactError
from app.fusion.artifact import load_artifact
from app.fusion.identity import evidence_identity, fusion_version, verified_manifest

ROOT = Path(__file__).parents[2]


def test_a_folder_has_the_same_version_loaded_or_not(folder: Path) -> None:
    assert fusion_version(folder) == verified_manifest(folder).version == load_artifact(folder).version


def test_the_shipped_network_keeps_its_name() -> None:
    """What stored answers and audit entries name must not change under them."""
    manifest = json.loads((ROOT / "models/embedded/fusion/manifest.json").read_text())
    assert set(manifest) == {"format_version", "files"}
    assert len(fusion_version(ROOT / "models/embedded/fusion")) == 12


def test_the_manifest_alone_does_not_make_a_folder_whole(folder: Path) -> None:
    version = fusion_version(folder)
    (folder / "report.json").write_text("{}")
    assert fusion_version(folder) == version
    with pytest.raises(ArtifactError, match=r"fusion_file_damaged.*report\.json"):
        verified_manifest(folder)


@pytest.mark.parametrize("text", ["", "[]", '{"files": 1}', '{"files": {}, "extra": 1}'])
def test_a_damaged_manifest_is_said(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError, match="fusion_invalid"):
        fusion_version(folder)


def test_no_folder_is_said(tmp_path: Path) -> None:
    for look in (fusion_version, verified_manifest, evidence_identity):
        with pytest.raises(ArtifactError, match="fusion_not_found"):
            look(tmp_path / "none")


def test_what_reads_other_evidence_differs(folder: Path) -> None:
    before = evidence_identity(folder)
    config = json.loads((folder / "config.json").read_text())
    config["seed"] += 1
    (folder / "config.json").write_text(json.dumps(config))
    assert evidence_identity(folder) == before, "retraining alone changes nothing"
    config["encoders"]["omni"]["cut_layer"] += 1
    (folder / "config.json").write_text(json.dumps(config))
    assert evidence_identity(folder) != before
    (folder / "config.json").write_text("{}")
    with pytest.raises(ArtifactError, match="fusion_invalid"):
        evidence_identity(folder)


def test_versions_are_read_without_torch() -> None:
    code = "import sys, app.versions.registry; print(sorted({'torch', 'onnxruntime', 'sqlalchemy'} & set(sys.modules)))"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.strip() == "[]"
