"""The served decoder: cut from a deeper one, and a prefix that is run once."""

from __future__ import annotations

import shutil

import numpy as np
import onnx
import pytest

from app.domain import Case
from app.encoders.manifest import Manifest
from app.encoders.medical import MedicalEncoder
from app.encoders.omni import OmniEncoder
from app.encoders.serving_graph import serving_decoder
from app.encoders.session import Cancellation, OrtSession
from app.errors import ArtifactError

TEXT = "가슴이 아프고 숨이 찹니다. I have had a fever for three days."
CASE = Case(language="ko", text=TEXT)


class Recording:
    """Opens real sessions and keeps how many tokens each run was given."""

    def __init__(self):
        self.lengths = []

    def __call__(self, folder, graph, threads):
        session, lengths = OrtSession.load(folder, graph, threads), self.lengths

        class Session:
            def run(self, feeds, cancellation):
                lengths.append(feeds["inputs_embeds"].shape[1])
                return session.run(feeds, cancellation)

            def run_all(self, feeds, cancellation):
                lengths.append(feeds["inputs_embeds"].shape[1])
                return session.run_all(feeds, cancellation)

        return Session()


@pytest.mark.parametrize("quantization", ["none", "int8", "int4"])
def test_a_deeper_folder_serves_what_a_shallower_one_would(converted_medical, quantization):
    folder = converted_medical(quantization)
    held = Manifest.load(folder).decoder.cut_layer
    encoder = MedicalEncoder.load(folder, threads=1, cut_layer=held - 1)
    assert encoder.manifest.decoder.cut_layer == held - 1
    assert encoder.manifest.digest != Manifest.load(folder).digest, "another depth is another encoder"
    whole = MedicalEncoder.load(folder, threads=1)
    assert not np.array_equal(encoder.encode(CASE)[0].vector, whole.encode(CASE)[0].vector)


def test_the_cut_equals_transformers_at_that_layer(llama_checkpoint, medical_folder):
    import torch

    from tests.checkpoints import load_reference

    encoder = MedicalEncoder.load(medical_folder, threads=1, cut_layer=1)
    ids = list(range(3, 40))
    with torch.no_grad():
        states = load_reference(llama_checkpoint)(torch.tensor([ids]), output_hidden_states=True).hidden_states
    assert np.abs(encoder.hidden_states(ids) - states[1][0].numpy()).max() <= 1e-4


@pytest.mark.parametrize("layers", [0, -1, 3, 99])
def test_a_depth_that_is_not_there_is_refused(medical_folder, layers):
    with pytest.raises(ArtifactError) as caught:
        MedicalEncoder.load(medical_folder, threads=1, cut_layer=layers)
    assert caught.value.code == "model_cut_layer"
    assert caught.value.params == {"asked": layers, "held": 2}


def test_the_prefix_is_run_once(medical_folder):
    sessions = Recording()
    encoder = MedicalEncoder.load(medical_folder, threads=1, open_session=sessions)
    (prefix,) = sessions.lengths
    assert prefix > 1
    encoder.encode(CASE)
    encoder.encode(Case(language="en", text="cough"))
    own = [len(encoder._backbone.text_ids(text)) for text in (TEXT, "cough")]
    assert sessions.lengths == [prefix, *own]


@pytest.mark.parametrize("quantization", ["none", "int8", "int4"])
def test_reusing_the_prefix_changes_nothing(converted_medical, quantization, monkeypatch):
    folder = converted_medical(quantization)
    encoder = MedicalEncoder.load(folder, threads=1)
    ids = [*encoder._backbone.tokenizer.prefix, *encoder._backbone.text_ids(TEXT)]
    reused = encoder.hidden_states(ids)
    monkeypatch.setattr(encoder._backbone, "_prefix", encoder._backbone._nothing())
    whole = encoder.hidden_states(ids)
    assert reused.shape == whole.shape
    cosines = (reused * whole).sum(1) / np.linalg.norm(reused, axis=1) / np.linalg.norm(whole, axis=1)
    assert cosines.min() >= (0.999999 if quantization == "none" else 0.999)


def test_a_sequence_without_the_prefix_and_the_prefix_alone_are_run_whole(medical_folder):
    encoder = MedicalEncoder.load(medical_folder, threads=1)
    prefix = list(encoder._backbone.tokenizer.prefix)
    states = encoder.hidden_states([*prefix, 9, 10])
    assert np.allclose(encoder.hidden_states(prefix), states[: len(prefix)], atol=1e-5)
    assert encoder.hidden_states([9, 10, 11]).shape[0] == 3


def test_media_sequences_reuse_it_too(omni_folder):
    sessions = Recording()

    def open_session(folder, graph, threads):
        return (sessions if graph.decoder else OrtSession.load)(folder, graph, threads)

    encoder = OmniEncoder.load(omni_folder, threads=1, open_session=open_session)
    (prefix,) = sessions.lengths
    encoder.warm_up()
    assert len(sessions.lengths) == 4
    assert prefix == len(encoder._backbone.tokenizer.prefix)


@pytest.mark.parametrize("damage", ["renamed layer", "no attention", "another model"])
def test_a_graph_that_is_not_ours_is_refused(medical_folder, tmp_path, damage):
    folder = shutil.copytree(medical_folder, tmp_path / "copy")
    path = folder / "decoder.onnx"
    model = onnx.load(path, load_external_data=False)
    for node in model.graph.node:
        if damage == "renamed layer" and node.op_type == "SkipSimplifiedLayerNormalization":
            node.name = f"x{node.name}"
        if damage == "no attention" and node.op_type == "GroupQueryAttention":
            node.op_type = "MultiHeadAttention"
        if damage == "another model" and node.op_type == "GroupQueryAttention":
            del node.output[1:]
    onnx.save(model, path)
    with pytest.raises(ArtifactError, match="model_graph_mismatch"):
        serving_decoder(path, Manifest.load(folder).cut(1).decoder)


def test_a_cancelled_prefix_run_leaves_no_half_state(medical_folder):
    encoder = MedicalEncoder.load(medical_folder, threads=1)
    stop = Cancellation()
    stop.cancel()
    from app.errors import DeadlineError

    with pytest.raises(DeadlineError):
        encoder.encode(CASE, stop)
    assert np.isfinite(encoder.encode(CASE)[0].vector).all()
