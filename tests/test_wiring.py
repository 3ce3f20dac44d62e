"""The real parts wired together, small: converted checkpoints of the exact classes, a random AFNet, a real database.

What the answers say means nothing here; that every part fits the next one does.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from app.encoders.manifest import Manifest, file_sha256
from app.errors import ArtifactError, NotReadyError
from app.served import served_manifests
from app.settings import Settings
from app.wiring import build_components, check_artifacts, check_memory
from tests.api.harness import ANALYZE, ENGLISH, FEEDBACK, KOREAN, UPLOAD, loaded, serving
from tests.api.media_files import b64, png, wav
from tests.tiny_pair import Pair, make_pair, save_fusion


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("pair"))


def silent(step: str, share: float | None = None) -> None:
    """Reports nothing."""


@contextmanager
def served(settings: Settings) -> Iterator[tuple[httpx.Client, httpx.Response]]:
    """A client, and what /health/ready said when the load was over."""
    with serving(settings, build_components) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client, loaded(address)


def test_a_case_of_everything_goes_through_every_real_part(pair: Pair, tmp_path: Path) -> None:
    with served(pair.settings(tmp_path, profile="tiny")) as (client, ready):
        assert ready.status_code == 200, ready.text
        patient = {"age": 58, "vitals": {"sbp": 82, "dbp": 50, "spo2": 88}}
        body = {"text": KOREAN, "image": [b64(png(64)), b64(png(96))], "audio": b64(wav(1.0)), "patient": patient}
        answer = client.post(ANALYZE, json=body)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        metadata = found["metadata"]
        assert metadata["profile"] == "tiny"
        assert metadata["models"]["omni"] == Manifest.load(pair.omni).digest[:12]
        assert metadata["models"]["medical"] == Manifest.load(pair.medical).digest[:12]
        assert set(metadata["models"]) == {"service", "omni", "medical", "knowledge", "fusion"}
        assert metadata["modalities"] == ["text", "image", "audio", "vitals"]
        assert set(metadata["attribution"]) >= {"omni/text", "medical/text", "omni/image", "omni/audio"}
        assert [item["code"] for item in metadata["warnings"]] == []
        assert found["risk"]["level"] in {"high", "critical"}, (
            "shock and hypoxia are red flags whatever the network says"
        )
        files = [("image", ("a.png", png(64))), ("image", ("b.png", png(96))), ("audio", ("c.wav", wav(1.0)))]
        uploaded = client.post(
            UPLOAD, data={"text": KOREAN, "patient": '{"age":58,"vitals":{"sbp":82,"dbp":50,"spo2":88}}'}, files=files
        )
        assert uploaded.json()["differential"] == found["differential"]
        verdict = {"analysis_id": found["analysis_id"], "is_correct": False, "corrected_diagnosis": "J18.9"}
        headers = {"Idempotency-Key": "once"}
        first, again = (client.post(FEEDBACK, json=verdict, headers=headers) for _ in range(2))
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.json()["feedback_id"] == again.json()["feedback_id"]
        assert client.get("/health").json()["storage"] == "ok"
    with served(pair.settings(tmp_path)) as (client, _):
        late = client.post(FEEDBACK, json={"analysis_id": found["analysis_id"], "is_correct": True})
        assert late.status_code == 201, "what was answered is there after a restart"


def broken(pair: Pair, tmp_path: Path, name: str) -> Pair:
    """A copy of the pair whose part `name` may be damaged."""
    folders = {part: getattr(pair, part) for part in ("omni", "medical", "fusion")}
    folders[name] = shutil.copytree(folders[name], tmp_path / name)
    return Pair(**folders)


@pytest.mark.parametrize(
    ("name", "file", "reason"),
    [
        ("omni", "decoder.onnx.data", "model_file_damaged"),
        ("fusion", "weights.safetensors", None),
    ],
)
def test_a_damaged_part_is_not_served(pair: Pair, tmp_path: Path, name: str, file: str, reason: str | None) -> None:
    damaged = broken(pair, tmp_path, name)
    target = getattr(damaged, name) / file
    content = bytearray(target.read_bytes())
    content[len(content) // 2] ^= 0xFF
    target.write_bytes(content)
    with served(damaged.settings(tmp_path)) as (client, answer):
        refused = client.post(ANALYZE, json={"text": ENGLISH})
    assert (answer.status_code, answer.json()["status"]) == (503, "failed")
    assert answer.json()["reason"] == (reason or answer.json()["reason"])
    assert answer.json()["reason"] != "internal_error"
    assert (refused.status_code, refused.json()["code"]) == (503, "models_failed")


def test_the_slots_take_their_own_classes_only(pair: Pair, tmp_path: Path) -> None:
    swapped = Pair(pair.medical, pair.omni, pair.fusion)
    with pytest.raises(ArtifactError):
        build_components(swapped.settings(tmp_path), silent)


def test_a_condition_that_nothing_is_known_of_is_not_served(pair: Pair, tmp_path: Path) -> None:
    other = broken(pair, tmp_path, "fusion")
    save_fusion(other, ("pneumonia", "made_up_condition"))
    with pytest.raises(ArtifactError, match="made_up_condition"):
        build_components(other.settings(tmp_path), silent)


@pytest.mark.parametrize(
    ("name", "file"), [("omni", "manifest.json"), ("medical", "decoder.onnx"), ("fusion", "manifest.json")]
)
def test_a_missing_part_is_seen_before_anything_listens(pair: Pair, tmp_path: Path, name: str, file: str) -> None:
    check_artifacts(pair.settings(tmp_path))
    incomplete = broken(pair, tmp_path, name)
    (getattr(incomplete, name) / file).unlink()
    with pytest.raises(ArtifactError):
        check_artifacts(incomplete.settings(tmp_path))


def test_more_memory_than_allowed_is_refused() -> None:
    check_memory(1 << 40)
    with pytest.raises(ArtifactError, match="memory_limit_exceeded"):
        check_memory(1_000_000)


# ---------------------------------------------------------------------------- prepared weights
def test_the_first_start_prepares_and_later_ones_map(pair: Pair, tmp_path: Path) -> None:
    settings = pair.settings(tmp_path, prepared_dir=tmp_path / "prepared")
    shares = []

    def report(step: str, share: float | None = None) -> None:
        shares.append((step, share))

    build_components(settings, report).close()
    assert ("prepare", 0.0) in shares
    made = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "prepared").glob("*/*")}
    assert {path.name.partition("-")[0] for path in (tmp_path / "prepared").glob("*/")} == {"omni", "medical"}
    build_components(settings, report).close()
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "prepared").glob("*/*")} == made


def test_where_weights_cannot_be_prepared_auto_says_so_and_serves(
    pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    build_components(pair.settings(tmp_path, prepared_dir=tmp_path / "file"), silent).close()
    assert "weights_not_prepared" in capsys.readouterr().out


def test_what_would_not_fit_on_the_heap_is_refused_then(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = pair.settings(tmp_path, prepared_dir=tmp_path / "file")
    needed = check_artifacts(settings).needed
    tight = settings.model_copy(update={"max_memory": needed})
    check_artifacts(tight)
    with pytest.raises(ArtifactError, match="memory_limit_exceeded"):
        build_components(tight, silent)


def test_and_strict_refuses(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="prepared_not_writable"):
        build_components(pair.settings(tmp_path, prepared_dir=tmp_path / "file", prepare="strict"), silent)


def test_off_prepares_nothing(pair: Pair, tmp_path: Path) -> None:
    build_components(pair.settings(tmp_path, prepared_dir=tmp_path / "prepared", prepare="off"), silent).close()
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize("prepare", ["auto", "strict", "off"])
def test_a_damaged_folder_is_refused_however_it_is_opened(pair: Pair, tmp_path: Path, prepare: str) -> None:
    medical = shutil.copytree(pair.medical, tmp_path / "medical")
    data = bytearray((medical / "decoder.onnx.data").read_bytes())
    data[-1] ^= 1
    (medical / "decoder.onnx.data").write_bytes(data)
    settings = pair.settings(
        tmp_path, mmed_llama_model_path=medical, prepare=prepare, prepared_dir=tmp_path / "prepared"
    )
    with pytest.raises(ArtifactError, match="model_file_damaged"):
        build_components(settings, silent)


def test_a_stop_while_preparing_ends_the_load(pair: Pair, tmp_path: Path) -> None:
    def report(step: str, share: float | None = None) -> None:
        if step == "prepare":
            raise NotReadyError("shutting_down")

    with pytest.raises(NotReadyError):
        build_components(pair.settings(tmp_path, prepared_dir=tmp_path / "prepared"), report)


# ---------------------------------------------------------------------------- depth
def test_a_folder_that_is_deeper_than_the_fusion_weights_is_cut_for_them(pair: Pair, tmp_path: Path) -> None:
    manifest = Manifest.load(pair.medical)
    assert manifest.decoder.cut_layer == 2
    fusion = shutil.copytree(pair.fusion, tmp_path / "fusion")
    config = json.loads((fusion / "config.json").read_text())
    config["encoders"]["medical"]["cut_layer"] = 1
    (fusion / "config.json").write_text(json.dumps(config))
    hashes = json.loads((fusion / "manifest.json").read_text())
    hashes["files"]["config.json"] = file_sha256(fusion / "config.json")
    (fusion / "manifest.json").write_text(json.dumps(hashes))
    settings = pair.settings(tmp_path, fusion_weights_path=fusion)
    assert served_manifests(settings)["medical"].decoder.cut_layer == 1
    components = build_components(settings, silent)
    assert components.versions["medical"] == manifest.cut(1).digest[:12]
    components.close()


def test_a_depth_that_the_fusion_weights_were_not_trained_on_is_refused(pair: Pair, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="fusion"):
        build_components(pair.settings(tmp_path, mmed_llama_cut_layer=1), silent)
