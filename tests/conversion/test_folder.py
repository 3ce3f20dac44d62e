"""What a converted folder holds, and that it appears whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import onnxruntime as ort
import pytest
from tokenizers import Tokenizer

from app.conversion import NoProgress, convert, footprint
from app.conversion.verification import verify
from app.encoders.manifest import Manifest, file_sha256
from app.errors import ArtifactError
from tests.checkpoints import PREPROCESSOR, write_llama
from tests.conversion.conftest import request_for

ROOT = Path(__file__).resolve().parents[2]


class StopAt(NoProgress):
    """Raises in the middle of a stage."""

    def __init__(self, stage: str, error: BaseException) -> None:
        self._stage, self._error, self._current = stage, error, ""

    def stage(self, name: str, total: int) -> None:
        self._current = name

    def advance(self, amount: int) -> None:
        if self._current == self._stage:
            raise self._error


def contents(folder: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in folder.iterdir()}


# --------------------------------------------------------------------------- what is inside
def test_omni_manifest_says_what_is_there(converted):
    folder = converted("omni", "int8", 2)
    manifest = Manifest.load(folder)
    assert manifest.architecture == "Qwen2_5OmniThinkerForConditionalGeneration"
    assert (manifest.quantization, manifest.block_size) == ("int8", None)
    assert (manifest.decoder.layers, manifest.decoder.cut_layer) == (3, 2)
    assert manifest.vision.max_pixels == PREPROCESSOR["max_pixels"]
    assert manifest.vision.image_mean == tuple(PREPROCESSOR["image_mean"])
    assert (manifest.audio.n_fft, manifest.audio.hop_length, manifest.audio.n_window) == (400, 160, 100)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokens = {"image": "<|IMAGE|>", "video": "<|VIDEO|>", "audio": "<|AUDIO|>", "vision_start": "<|vision_bos|>"}
    assert {name: getattr(manifest.tokens, name) for name in tokens} == {
        name: tokenizer.token_to_id(token) for name, token in tokens.items()
    }
    assert manifest.bos_token_id is None
    assert {"onnxruntime", "transformers", "torch"} <= manifest.tool_versions.keys()
    assert set(manifest.files) == {path.name for path in folder.iterdir()} - {"manifest.json"}
    assert {"decoder.onnx.data", "vision.onnx.data", "audio.onnx.data", "preprocessor_config.json"} <= set(
        manifest.files
    )


def test_leading_token_is_found(converted):
    folder = converted("llama")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert Manifest.load(folder).bos_token_id == tokenizer.token_to_id("<|begin_of_text|>")


def test_llama3_frequencies_are_scaled(converted):
    plain, scaled = (Manifest.load(converted(name)).decoder.rope_inv_freq for name in ("llama", "llama3"))
    assert len(scaled) == 16
    assert scaled[0] == plain[0]  # the fastest are left alone
    assert scaled[-1] == pytest.approx(plain[-1] / 8)  # the slowest are divided by the factor


def test_request_is_recorded(tmp_path, checkpoint):
    request = request_for(
        checkpoint("omni"),
        tmp_path / "out",
        quantization="int4",
        block_size=64,
        prompt_prefix="<|im_start|>user\n",
        prompt_suffix="<|im_end|>",
        max_pixels=10_000,
        source="Qwen/x",
        source_revision="abc",
        slot="omni",
    )
    manifest = convert(request, NoProgress())
    assert manifest == Manifest.load(tmp_path / "out")
    assert (manifest.block_size, manifest.source, manifest.source_revision) == (64, "Qwen/x", "abc")
    assert (manifest.prompt_prefix, manifest.prompt_suffix) == ("<|im_start|>user\n", "<|im_end|>")
    assert manifest.vision.max_pixels == 10_000


def test_max_pixels_only_lowers_the_limit(tmp_path, checkpoint):
    manifest = convert(request_for(checkpoint("omni"), tmp_path / "out", max_pixels=10**9), NoProgress())
    assert manifest.vision.max_pixels == PREPROCESSOR["max_pixels"]


def test_tokenizer_json_is_written_from_older_files(tmp_path, checkpoint, converted):
    folder = shutil.copytree(checkpoint("omni"), tmp_path / "checkpoint")
    (folder / "tokenizer.json").unlink()
    convert(request_for(folder, tmp_path / "out"), NoProgress())
    text = "<|im_start|>user\n가슴이 아프고 숨이 찹니다. chest pain<|IMAGE|>"
    old, new = (Tokenizer.from_file(str(f / "tokenizer.json")) for f in (converted("omni"), tmp_path / "out"))
    assert new.encode(text).ids == old.encode(text).ids


@pytest.mark.parametrize("quantization", ["none", "fp16", "int8", "int4"])
def test_same_checkpoint_gives_the_same_bytes(quantization, tmp_path, checkpoint, converted):
    convert(request_for(checkpoint("omni"), tmp_path / "again", quantization=quantization), NoProgress())
    assert contents(tmp_path / "again") == contents(converted("omni", quantization))


def test_weights_lie_on_page_boundaries(converted):
    import onnx

    model = onnx.load(converted("omni", "int8") / "decoder.onnx", load_external_data=False)
    offsets = [
        int(entry.value)
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "offset"
    ]
    assert len(offsets) > 20
    assert all(offset % 4096 == 0 for offset in offsets)


# --------------------------------------------------------------------------- whole or not at all
@pytest.mark.parametrize("stage", ["token embedding", "decoder", "vision tower", "audio tower", "hashing"])
def test_interrupted_conversion_leaves_nothing_that_loads(stage, tmp_path, checkpoint):
    with pytest.raises(KeyboardInterrupt):
        convert(request_for(checkpoint("omni"), tmp_path / "out"), StopAt(stage, KeyboardInterrupt()))
    assert [path.name for path in tmp_path.iterdir()] == [".out.partial"]
    assert list(tmp_path.rglob("manifest.json")) == []


def test_failed_conversion_leaves_the_old_folder(tmp_path, checkpoint):
    convert(request_for(checkpoint("llama"), tmp_path / "out"), NoProgress())
    before = contents(tmp_path / "out")
    with pytest.raises(OSError, match="disk"):
        convert(request_for(checkpoint("qwen2"), tmp_path / "out"), StopAt("decoder", OSError("disk")))
    assert contents(tmp_path / "out") == before
    assert {path.name for path in tmp_path.iterdir()} == {"out", ".out.partial"}


def test_killed_conversion_leaves_nothing_that_loads_and_the_next_one_cleans_up(tmp_path, checkpoint):
    """SIGKILL in the middle of the decoder: no exception handler runs."""
    script = f"""
import os, signal
from pathlib import Path
from app.conversion import ConversionRequest, NoProgress, convert
class Kill(NoProgress):
    def stage(self, name, total):
        if name == "vision tower":
            os.kill(os.getpid(), signal.SIGKILL)
convert(ConversionRequest(Path({str(checkpoint("omni"))!r}), Path({str(tmp_path / "out")!r}), "none", "s", "r"), Kill())
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True)
    assert run.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == [".out.partial"]
    assert (tmp_path / ".out.partial" / "model" / "decoder.onnx").is_file()
    for folder in (tmp_path / "out", tmp_path / ".out.partial", tmp_path / ".out.partial" / "model"):
        with pytest.raises(ArtifactError, match="model_not_found"):
            Manifest.load(folder)
    convert(request_for(checkpoint("llama"), tmp_path / "out"), NoProgress())
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert "vision.onnx" not in verify(tmp_path / "out").files


def test_killed_between_the_two_renames_is_recovered(tmp_path, checkpoint):
    convert(request_for(checkpoint("llama"), tmp_path / "out"), NoProgress())
    before = contents(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / ".out.old")
    with pytest.raises(KeyboardInterrupt):
        convert(request_for(checkpoint("qwen2"), tmp_path / "out"), StopAt("decoder", KeyboardInterrupt()))
    assert contents(tmp_path / "out") == before


def test_existing_folder_is_replaced_by_a_whole_one(tmp_path, checkpoint, converted):
    convert(request_for(checkpoint("omni"), tmp_path / "out"), NoProgress())
    convert(request_for(checkpoint("llama"), tmp_path / "out"), NoProgress())
    assert contents(tmp_path / "out") == contents(converted("llama"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_is_no_model_is_never_replaced(tmp_path, checkpoint):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("precious")
    with pytest.raises(ArtifactError, match="conversion_output"):
        convert(request_for(checkpoint("llama"), tmp_path / "out"), NoProgress())
    assert (tmp_path / "out" / "thesis.txt").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_output_may_not_hold_the_checkpoint(tmp_path, checkpoint):
    folder = shutil.copytree(checkpoint("llama"), tmp_path / "a" / "checkpoint")
    for output in (folder, tmp_path / "a"):
        with pytest.raises(ArtifactError, match="conversion_output"):
            convert(request_for(folder, output), NoProgress())


def test_two_conversions_into_one_folder_do_not_mix(tmp_path, checkpoint):
    staging = tmp_path / ".out.partial"
    staging.mkdir()
    handle = os.open(staging, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        (staging / "decoder.onnx").write_text("the other's")
        with pytest.raises(ArtifactError, match="conversion_running"):
            convert(request_for(checkpoint("llama"), tmp_path / "out"), NoProgress())
        assert (staging / "decoder.onnx").read_text() == "the other's"
    finally:
        os.close(handle)


def test_full_disk_is_found_before_the_start(tmp_path, checkpoint, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10 << 20))
    with pytest.raises(ArtifactError, match="disk_full") as caught:
        convert(request_for(checkpoint("llama"), tmp_path / "deep" / "out"), NoProgress())
    assert caught.value.params["free_mib"] == 10
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("quantization", "block_size"),
    [("none", 128), ("fp16", 128), ("int8", 128), ("int4", 128), ("int4", 16)],
)
def test_the_disk_check_asks_for_no_less_than_is_written(quantization, block_size, tmp_path, checkpoint, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    folder = write_llama(tmp_path / "wide", hidden_size=512, intermediate_size=1024)
    request = request_for(folder, tmp_path / "out", quantization=quantization, block_size=block_size)
    monkeypatch.setattr(footprint, "SLACK_BYTES", 1 << 20)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
        with pytest.raises(ArtifactError, match="disk_full") as caught:
            convert(request, NoProgress())
    convert(request, NoProgress())
    written = sum(path.stat().st_size for path in request.output.iterdir())
    assert written <= caught.value.params["needed_mib"] << 20 <= 2 * written


# --------------------------------------------------------------------------- verification
@pytest.mark.parametrize("name", ["decoder.onnx.data", "vision.onnx", "tokenizer.json", "token_embedding.npy"])
def test_verify_finds_one_changed_byte(name, tmp_path, converted):
    folder = shutil.copytree(converted("omni"), tmp_path / "out")
    assert verify(folder).files
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ArtifactError, match=f"model_file_damaged.*{name}"):
        verify(folder)


def test_verify_runs_the_graphs(tmp_path, converted):
    """Hashes that fit a file that cannot be run."""
    folder = shutil.copytree(converted("omni"), tmp_path / "out")
    (folder / "audio.onnx").write_bytes(b"no graph")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["audio.onnx"] = file_sha256(folder / "audio.onnx")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="model_unusable") as caught:
        verify(folder)
    assert caught.value.params["file"] == "audio.onnx"
    assert "\n" not in str(caught.value)


def test_graphs_have_the_fixed_inputs_and_outputs(converted):
    expected = {
        "decoder.onnx": (
            ["inputs_embeds", "seqlens_k", "total_sequence_length", "rope_cos", "rope_sin"],
            ["hidden_states"],
        ),
        "vision.onnx": (["pixel_values", "cos", "sin", "key_bias"], ["image_embeds"]),
        "audio.onnx": (["input_features", "feature_mask", "key_bias"], ["audio_embeds"]),
    }
    for name, signature in expected.items():
        session = ort.InferenceSession(str(converted("omni", "int4") / name), providers=["CPUExecutionProvider"])
        names = ([item.name for item in session.get_inputs()], [item.name for item in session.get_outputs()])
        assert names == signature
