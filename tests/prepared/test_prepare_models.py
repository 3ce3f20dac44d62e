"""The command that prepares before the first start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.conversion import ConversionRequest, NoProgress, convert
from tests.checkpoints import write_llama, write_omni

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    root = tmp_path_factory.mktemp("pair")
    for name, write in (("omni", write_omni), ("medical", write_llama)):
        convert(ConversionRequest(write(root / f"{name}-hf"), root / name, "int8", "tests", "0"), NoProgress())
    (root / "fusion").mkdir()
    encoders = {"omni": {"cut_layer": 1}, "medical": {"cut_layer": 2}}
    (root / "fusion" / "config.json").write_text(json.dumps({"encoders": encoders}))
    return root


def run(pair, prepared, **env):
    settings = {
        "QWEN_MODEL_PATH": pair / "omni",
        "MMED_LLAMA_MODEL_PATH": pair / "medical",
        "FUSION_WEIGHTS_PATH": pair / "fusion",
        "PREPARED_DIR": prepared,
        **env,
    }
    command = [sys.executable, ROOT / "scripts/prepare_models.py"]
    environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
    return subprocess.run(command, env=environment, cwd=pair, capture_output=True, text=True, check=False)


def test_it_prepares_both_as_deep_as_the_fusion_weights_read(pair, tmp_path):
    result = run(pair, tmp_path)
    assert result.returncode == 0, result.stderr
    assert "omni: 1 layers" in result.stdout
    assert "medical: 2 layers" in result.stdout
    assert len(list(tmp_path.glob("*/prepared.json"))) == 2
    before = sorted(tmp_path.glob("*"))
    assert run(pair, tmp_path).returncode == 0
    assert sorted(tmp_path.glob("*")) == before


def test_a_depth_that_is_not_there_is_one_line(pair, tmp_path):
    result = run(pair, tmp_path, QWEN_CUT_LAYER=90)
    assert result.returncode == 1
    assert result.stderr == "error: model_cut_layer (asked=90, held=3)\n"


def test_so_is_a_folder_that_is_not_there(pair, tmp_path):
    result = run(pair, tmp_path, MMED_LLAMA_MODEL_PATH=tmp_path / "nowhere")
    assert result.returncode == 1
    assert result.stderr.startswith("error: model_not_found")
    assert result.stderr.count("\n") == 1
