"""Our decoder graphs against the ones that Optimum exports: two ways from one checkpoint that share no line."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer

from app.encoders.manifest import Manifest
from tests.conversion.host import run_decoder, session

TEXT = "The patient presents with chest pain. 가슴이 아프고 숨이 찹니다. A knee hurts since Tuesday."


@pytest.mark.filterwarnings("ignore")  # Optimum traces: torch and transformers say so, many times
@pytest.mark.parametrize("name", ["llama3", "qwen2", "mistral"])
def test_graph_agrees_with_optimums(name, tmp_path, checkpoint, converted):
    from optimum.exporters.onnx import main_export

    main_export(str(checkpoint(name)), output=tmp_path, task="feature-extraction", do_validation=False)
    folder = converted(name)
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(TEXT).ids
    length = len(ids)
    assert length > 16
    feeds = {
        "input_ids": np.array([ids]),
        "attention_mask": np.ones((1, length), np.int64),
        "position_ids": np.arange(length)[None],
    }
    theirs = session(tmp_path / "model.onnx").run(["last_hidden_state"], feeds)[0][0]
    embeds = np.load(folder / "token_embedding.npy")[ids]
    ours = run_decoder(folder / "decoder.onnx", Manifest.load(folder).decoder, embeds, np.arange(length))
    assert np.abs(ours - theirs).max() <= 1e-4
