"""The medical encoder through ONNX Runtime against transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from app.domain import Case, Source
from app.encoders.medical import MedicalEncoder
from tests.checkpoints import load_reference

TEXTS = ["chest pain", "가슴이 아프고 숨이 찹니다. 사흘 전부터 열이 납니다.", "The patient presents with " * 40]


@pytest.mark.parametrize("text", TEXTS)
def test_the_pooled_text_equals_transformers(llama_checkpoint, medical_folder, text):
    encoder = MedicalEncoder.load(medical_folder, threads=1)
    model, tokenizer = load_reference(llama_checkpoint), AutoTokenizer.from_pretrained(llama_checkpoint)
    prefix = encoder.manifest.prompt_prefix
    ids = tokenizer(prefix + text.strip(), return_tensors="pt")["input_ids"]
    with torch.no_grad():
        states = model(ids, output_hidden_states=True, use_cache=False).hidden_states
    expected = states[encoder.manifest.decoder.cut_layer][0].numpy()
    ours = encoder.hidden_states(ids[0].tolist())
    print("medical decoder max diff", np.abs(ours - expected).max(), ours.shape)
    assert np.abs(ours - expected).max() <= 1e-4
    (embedding,) = encoder.encode(Case(language="en", text=text))
    assert embedding.source is Source.MEDICAL_TEXT
    own = expected[len(tokenizer(prefix)["input_ids"]) :]
    assert np.abs(embedding.vector - own.mean(axis=0)).max() <= 1e-4


@pytest.mark.parametrize(("quantization", "least"), [("int8", 0.999), ("int4", 0.97)])
def test_quantised_embeddings_point_the_same_way(medical_folder, converted_medical, quantization, least):
    full, small = (
        MedicalEncoder.load(folder, threads=1) for folder in (medical_folder, converted_medical(quantization))
    )
    for text in TEXTS:
        (one,), (two,) = (encoder.encode(Case(language="en", text=text)) for encoder in (full, small))
        cosine = float(one.vector @ two.vector / np.linalg.norm(one.vector) / np.linalg.norm(two.vector))
        print(quantization, cosine)
        assert cosine >= least
