"""Model folders that must not be served, and what the encoders may import."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest

from app.encoders.decoder_io import FILE as DECODER_FILE
from app.encoders.medical import MedicalEncoder
from app.encoders.omni import OmniEncoder
from app.errors import ArtifactError


def _truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path):
    path.write_bytes(b"")


def _garbage(path):
    path.write_bytes(bytes(range(256)) * 40)


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _table(shape, dtype=np.float32):
    return lambda path: np.save(path, np.zeros(shape, dtype))


@pytest.mark.parametrize("damage", [_truncate, _empty, _garbage, _flip, lambda path: path.unlink()])
@pytest.mark.parametrize(
    "name", ["decoder.onnx", "decoder.onnx.data", "token_embedding.npy", "tokenizer.json", "vision.onnx"]
)
def test_a_damaged_file_is_found_by_its_hash(omni_folder, tmp_path, name, damage):
    folder = shutil.copytree(omni_folder, tmp_path / "copy")
    damage(folder / name)
    with pytest.raises(ArtifactError) as caught:
        OmniEncoder.load(folder, threads=1)
    assert caught.value.code in {"model_file_damaged", "model_file_missing"}


@pytest.mark.parametrize(
    ("name", "damage", "code"),
    [
        ("decoder.onnx", _truncate, "model_graph_invalid"),
        ("decoder.onnx", _empty, "model_graph_invalid"),
        ("decoder.onnx", _garbage, "model_graph_invalid"),
        ("decoder.onnx.data", _empty, "model_graph_invalid"),
        ("audio.onnx", _garbage, "model_graph_invalid"),
        ("token_embedding.npy", _truncate, "model_embedding_invalid"),
        ("token_embedding.npy", _empty, "model_embedding_invalid"),
        ("token_embedding.npy", _garbage, "model_embedding_invalid"),
        ("token_embedding.npy", _table((7, 128)), "model_embedding_mismatch"),
        ("token_embedding.npy", _table((128,)), "model_embedding_mismatch"),
        ("token_embedding.npy", _table((2, 2), np.float64), "model_embedding_mismatch"),
        ("tokenizer.json", _truncate, "model_tokenizer_invalid"),
        ("manifest.json", _truncate, "model_manifest_invalid"),
        ("manifest.json", lambda path: path.unlink(), "model_not_found"),
    ],
)
def test_a_damaged_folder_is_refused_even_unverified(omni_folder, tmp_path, name, damage, code):
    folder = shutil.copytree(omni_folder, tmp_path / "copy")
    damage(folder / name)
    with pytest.raises(ArtifactError) as caught:
        OmniEncoder.load(folder, threads=1, verify=False)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


def test_another_graph_under_the_name_is_refused(omni_folder, tmp_path):
    folder = shutil.copytree(omni_folder, tmp_path / "copy")
    shutil.copy(folder / "vision.onnx", folder / DECODER_FILE)
    with pytest.raises(ArtifactError) as caught:
        OmniEncoder.load(folder, threads=1, verify=False)
    assert caught.value.code == "model_graph_mismatch"


def test_a_folder_of_the_other_encoder_is_refused(omni_folder, medical_folder):
    with pytest.raises(ArtifactError, match="model_wrong_architecture"):
        OmniEncoder.load(medical_folder, threads=1)
    with pytest.raises(ArtifactError, match="model_wrong_architecture"):
        MedicalEncoder.load(omni_folder, threads=1)


def test_the_encoders_need_neither_torch_nor_transformers(omni_folder, medical_folder):
    program = """
import sys
from pathlib import Path
from app.domain import Case
from app.encoders.cache import DiskCache
from app.encoders.medical import MedicalEncoder
from app.encoders.omni import OmniEncoder
omni, medical = OmniEncoder.load(Path(sys.argv[1]), threads=1), MedicalEncoder.load(Path(sys.argv[2]), threads=1)
omni.warm_up(), medical.warm_up()
case = Case(language="en", text="pain")
assert len(omni.encode(case) + medical.encode(case)) == 2
heavy = {name.split(".")[0] for name in sys.modules} & {"torch", "transformers", "scipy", "app.conversion"}
assert not heavy, heavy
"""
    command = [sys.executable, "-c", program, str(omni_folder), str(medical_folder)]
    subprocess.run(command, check=True, timeout=120)
