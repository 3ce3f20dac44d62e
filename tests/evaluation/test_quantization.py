"""The pure parts by hand; the whole comparison on a tiny random checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.conversion import NoProgress, convert
from app.domain import Case
from app.encoders.cache import DiskCache, NoCache
from app.encoders.medical import MedicalEncoder
from app.errors import ArtifactError
from app.evaluation.quantization import (
    Options,
    Texts,
    accuracy_by_group,
    balanced,
    compare,
    cosines,
    time_texts,
    to_markdown,
)
from app.evaluation.quantization_depths import SCHEMES, DepthEncoder, convert_whole, cut_layers, graph_until
from app.evaluation.quantization_heads import fit_afnet, fit_linear
from app.training.fitting import FitOptions
from app.training.samples import Sample
from tests.checkpoints import write_llama
from tests.conversion.conftest import request_for

PREFIX = "user: "
COMPLAINTS = {
    "head": ["My head hurts", "headache since Monday", "pain in the head", "a terrible headache", "head and neck pain"],
    "skin": ["an itchy rash", "red skin on my arm", "the rash itches", "my skin peels", "blisters on the skin"],
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("quantization") / "tiny")


@pytest.fixture(scope="module")
def whole(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "fp32"
    convert_whole(checkpoint, SCHEMES[0], folder, PREFIX)
    return folder


def samples(number: slice, group: str = "tiny") -> list[Sample]:
    return [Sample(group, condition, text=text) for condition, texts in COMPLAINTS.items() for text in texts[number]]


# --------------------------------------------------------------------------- figures
def test_cosines_by_hand() -> None:
    first = np.array([[3.0, 4.0], [1.0, 0.0], [1.0, 1.0]], np.float32)
    second = np.array([[6.0, 8.0], [0.0, 2.0], [-1.0, -1.0]], np.float32)
    assert cosines(first, second) == pytest.approx([1.0, 0.0, -1.0])


def test_accuracy_is_told_group_by_group() -> None:
    truth, predicted = np.array(["a", "b", "a", "c"]), np.array(["a", "b", "b", "b"])
    assert accuracy_by_group(["x", "x", "x", "y"], truth, predicted) == {"x": pytest.approx(2 / 3), "y": 0.0}


def test_balanced_subset_is_capped_and_reproducible() -> None:
    everything = [*samples(slice(None)), Sample("tiny", "rare", text="one")]
    chosen = balanced(everything, 2, seed=1)
    assert sorted(str(one.condition_id) for one in chosen) == ["head", "head", "rare", "skin", "skin"]
    assert chosen == balanced(everything, 2, seed=1)
    assert chosen != balanced(everything, 2, seed=2)


def test_cut_layers_are_shares_of_the_depth() -> None:
    assert cut_layers(30, (1.0, 4 / 30, 1 / 3)) == (4, 10, 30)
    assert cut_layers(3, (0.01, 0.1, 0.5, 2.0)) == (1, 2, 3)


# --------------------------------------------------------------------------- heads
@pytest.mark.parametrize("kind", ["linear", "afnet"])
def test_head_learns_clusters_and_is_not_refitted(kind: str) -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((3, 16)) * 3
    which = np.arange(60) % 3
    rows = (centres[which] + rng.standard_normal((60, 16))).astype(np.float32)
    truth = np.array(["a", "b", "c"])[which]
    head = (
        fit_linear(rows, truth)
        if kind == "linear"
        else fit_afnet(rows, truth, ["x"] * 60, FitOptions(steps=40, batch_size=32))
    )
    fresh = (centres[which] + rng.standard_normal((60, 16))).astype(np.float32)
    assert (head(fresh) == truth).mean() > 0.9
    swapped = (centres[(which + 1) % 3]).astype(np.float32)
    assert (head(swapped) == truth).mean() < 0.1


# --------------------------------------------------------------------------- encoding at any depth
@pytest.mark.parametrize("cut", [1, 3, 4])
def test_vectors_are_those_of_a_folder_cut_there(checkpoint: Path, whole: Path, tmp_path: Path, cut: int) -> None:
    text = "pain in my chest"
    request = request_for(checkpoint, tmp_path / "cut", cut_layer=cut, prompt_prefix=PREFIX)
    convert(request, NoProgress())
    (expected,) = MedicalEncoder.load(tmp_path / "cut", threads=1).encode(Case(language="en", text=text))
    encoder = DepthEncoder(whole, (1, 3, 4), NoCache())
    np.testing.assert_allclose(encoder.encode(text)[cut], expected.vector, rtol=1e-5, atol=1e-5)
    alone = encoder.pooled(encoder.tokens(text), [cut])
    np.testing.assert_allclose(alone[cut], expected.vector, rtol=1e-5, atol=1e-5)


def test_a_second_encoder_answers_from_the_cache(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = DepthEncoder(whole, (1, 4), DiskCache(tmp_path, 10**8)).encode("cough")
    second = DepthEncoder(whole, (1, 4), DiskCache(tmp_path, 10**8))
    monkeypatch.setattr(second, "pooled", lambda *_: pytest.fail("encoded again"))
    again = second.encode("cough")
    assert {cut: vector.tobytes() for cut, vector in again.items()} == {k: v.tobytes() for k, v in first.items()}


def test_cut_beyond_the_graph_is_refused(whole: Path) -> None:
    with pytest.raises(ArtifactError, match="model_graph_mismatch"):
        DepthEncoder(whole, (5,), NoCache()).encode("cough")


def test_graph_holds_only_what_the_cut_needs(whole: Path) -> None:
    import onnx

    model = onnx.load(whole / "decoder.onnx", load_external_data=False)
    cut = graph_until(model, ["L2/norm1/sum"])
    layers = {one.name.split(".")[0] for one in cut.graph.initializer if one.name.startswith("L")}
    assert layers >= {"L0", "L1"}
    assert "L3" not in layers
    assert len(cut.graph.node) < len(model.graph.node)


def test_weight_bytes_of_fp32_are_counted_by_hand(whole: Path) -> None:
    encoder = DepthEncoder(whole, (1, 2), NoCache())
    spec = encoder.manifest.decoder
    qkv = spec.hidden_size * (spec.heads + 2 * spec.kv_heads) * spec.head_dim
    layer = qkv + spec.hidden_size**2 + 3 * spec.hidden_size * spec.intermediate_size + 2 * spec.hidden_size
    assert encoder.weight_bytes(1) == 4 * layer
    assert encoder.weight_bytes(2) == 8 * layer


def test_times_have_every_scheme_and_cut(whole: Path) -> None:
    encoders = {name: DepthEncoder(whole, (1, 4), NoCache()) for name in ("fp32", "again")}
    times = time_texts(encoders, ["cough", "a longer text about a cough " * 10], rounds=3)
    assert {name: set(row) for name, row in times.items()} == {"fp32": {1, 4}, "again": {1, 4}}
    assert times["fp32"][4] > times["fp32"][1] > 0


# --------------------------------------------------------------------------- the whole
def test_whole_comparison_on_a_tiny_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    texts = Texts(samples(slice(0, 3)) + samples(slice(0, 3), "other"), samples(slice(3, None)))
    options = Options(shares=(0.25, 1.0), fit=FitOptions(steps=3, batch_size=8), timed_texts=2, rounds=1)
    report = compare(checkpoint, texts, options, NoCache(), tmp_path, prompt_prefix=PREFIX)
    rows = {(row["cut"], row["scheme"]): row for row in report["rows"]}
    assert list(rows) == [(cut, scheme.name) for cut in (1, 4) for scheme in SCHEMES]
    for cut in (1, 4):
        sizes = [
            rows[cut, name]["weight_bytes"] for name in ("fp32", "fp16", "int8", "int4, block 32", "int4, block 128")
        ]
        assert sizes == sorted(sizes, reverse=True)
        assert rows[cut, "fp32"]["cosine_worst_percent"] == pytest.approx(1, abs=1e-6)
        assert rows[cut, "fp32"]["agreement"] == {"linear": 1.0, "afnet": 1.0}
        int8, int4 = rows[cut, "int8"], rows[cut, "int4, block 128"]
        assert 0.999 < int8["cosine_mean"] < 1
        assert 0.9 < int4["cosine_mean"] < int8["cosine_mean"]
        assert int4["cosine_worst_percent"] <= int4["cosine_mean"]
        assert int4["centred_cosine_mean"] < int4["cosine_mean"]
    table = to_markdown({"checkpoints": [report]}).splitlines()
    assert table[0].startswith("tiny: LlamaForCausalLM, 4 layers of width 128")
    assert len({line.count("|") for line in table[2:]}) == 1
    assert len(table) == 4 + len(rows)
    assert table[4].startswith("| 1 | fp32 | 1.0000 | 1.0000 | 1.000 |")
