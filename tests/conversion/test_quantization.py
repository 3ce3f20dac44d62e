"""What int8 and int4 keep of the pooled embeddings, and the arithmetic of the stored weights."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from app.conversion import NoProgress, convert
from app.conversion.checkpoint import Checkpoint
from app.conversion.graph import GraphBuilder
from app.conversion.journal import Journal
from app.conversion.quantization import (
    INT8_LIMIT,
    WIDE,
    quantize_blocks,
    quantize_rows,
    write_mlp_out,
    write_rows,
)
from app.encoders.manifest import Manifest
from app.errors import ArtifactError
from tests.checkpoints import write_llama
from tests.conversion.conftest import request_for
from tests.conversion.host import cosine, run_audio, run_decoder, run_vision
from tests.conversion.test_damaged_checkpoints import edit_tensor, poke
from tests.conversion.test_decoder_parity import embeddings, hidden_states
from tests.conversion.test_tower_parity import audio_reference, mel, patches, vision_reference

FLOOR = {"fp16": 0.9999, "int8": 0.999, "int4": 0.97}
TOWER_FLOOR = {"fp16": 0.9999, "int8": 0.999, "int4": 0.999}
QUANTIZATIONS = sorted(FLOOR)
LENGTHS = (5, 17, 64, 100, 301)


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
@pytest.mark.parametrize("name", ["llama", "llama3", "biased", "ragged", "qwen2", "mistral", "omni"])
def test_pooled_decoder_embedding(name, quantization, converted, reference):
    folder = converted(name, quantization)
    spec = Manifest.load(folder).decoder
    for length in LENGTHS:
        embeds = embeddings(length, spec.hidden_size, length)
        positions = np.arange(length)
        axes = np.stack([positions] * 3) if name == "omni" else positions
        expected = hidden_states(reference(name), embeds)[-1]
        got = run_decoder(folder / "decoder.onnx", spec, embeds, axes)
        assert cosine(got, expected) >= FLOOR[quantization], length


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_pooled_tower_embeddings_are_never_below_int8(quantization, converted, reference):
    folder = converted("omni", quantization)
    manifest = Manifest.load(folder)
    for grid in ((1, 2, 2), (1, 10, 14), (1, 32, 32), (2, 18, 10)):
        x = patches(grid)
        got = run_vision(folder / "vision.onnx", manifest.vision, x, grid)
        assert cosine(got, vision_reference(reference("omni"), x, grid)) >= TOWER_FLOOR[quantization], grid
    for length in (57, 201, 733):
        got = run_audio(folder / "audio.onnx", manifest.audio, mel(length))
        assert cosine(got, audio_reference(reference("omni"), mel(length))) >= TOWER_FLOOR[quantization], length


def test_a_massive_token_costs_the_others_nothing(converted, reference):
    """The first token of a real decoder is a thousand times larger than the rest inside some layers."""
    folder = converted("llama", "int8")
    spec = Manifest.load(folder).decoder
    embeds = embeddings(33, spec.hidden_size)
    embeds[0] *= 1000
    expected = hidden_states(reference("llama"), embeds)[-1]
    got = run_decoder(folder / "decoder.onnx", spec, embeds, np.arange(33))
    assert cosine(got[1:], expected[1:]) >= FLOOR["int8"]


@pytest.mark.parametrize(
    ("quantization", "operators"),
    [
        ("none", {"FusedMatMul": 20}),
        ("fp16", {"FusedMatMul": 20}),
        ("int8", {"DynamicQuantizeMatMul": 12, "MatMulNBits": 8}),
        ("int4", {"MatMulNBits": 20}),
    ],
)
def test_each_scheme_uses_its_kernels(quantization, operators, converted):
    """Four layers of qkv, o, gate, up and down."""
    model = onnx.load(converted("llama", quantization) / "decoder.onnx", load_external_data=False)
    kinds = [node.op_type for node in model.graph.node]
    linears = {kind: kinds.count(kind) for kind in ("FusedMatMul", "DynamicQuantizeMatMul", "MatMulNBits")}
    assert {kind: count for kind, count in linears.items() if count} == operators


def test_int4_is_smaller_than_int8_than_float16_than_float32(converted):
    kinds = ("int4", "int8", "fp16", "none")
    sizes = [(converted("llama", kind) / "decoder.onnx.data").stat().st_size for kind in kinds]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[3] / 3
    assert sizes[2] < sizes[3] * 0.6


RESIDENT = """
import sys
import numpy as np, onnxruntime as ort
def heap():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 4
before = heap()
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
loaded = heap()
rows = np.zeros((3, 16), np.float32)
session.run(None, {"inputs_embeds": np.ones((1, 3, 512), np.float32), "seqlens_k": np.array([2], np.int32),
    "total_sequence_length": np.array([3], np.int32), "rope_cos": rows + 1, "rope_sin": rows})
print(loaded - before, heap() - loaded)
"""


def test_float16_weights_stay_in_the_file(tmp_path):
    """No float32 copy of them is made at load, and while running there are never more than a few at once."""
    config = {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 16, "num_hidden_layers": 6}
    folder = write_llama(tmp_path / "wide", shard="200MB", **config)
    convert(request_for(folder, tmp_path / "out", quantization="fp16"), NoProgress())
    path = tmp_path / "out" / "decoder.onnx"
    stored_kib = (tmp_path / "out" / "decoder.onnx.data").stat().st_size >> 10
    run = subprocess.run([sys.executable, "-c", RESIDENT, str(path)], check=True, capture_output=True, text=True)
    loaded_kib, running_kib = map(int, run.stdout.split())
    assert stored_kib > 40_000
    assert loaded_kib < stored_kib / 4
    assert running_kib < stored_kib / 2  # all of them as float32 would be twice


def test_a_weight_too_large_for_float16_is_refused(tmp_path, checkpoint):
    folder = shutil.copytree(checkpoint("llama"), tmp_path / "checkpoint")
    name = "model.layers.1.mlp.up_proj.weight"
    edit_tensor(name, poke(70_000.0))(folder)
    with pytest.raises(ArtifactError, match=f"{name} does not fit into float16"):
        convert(request_for(folder, tmp_path / "out", quantization="fp16"), NoProgress())
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
    convert(request_for(folder, tmp_path / "out", quantization="int8"), NoProgress())


def test_rows_round_to_half_a_step_and_stay_inside_seven_bits():
    part = np.random.default_rng(0).standard_normal((6, 50)).astype(np.float32)
    part[3] = 0
    quantized, scales = quantize_rows(part)
    assert quantized.shape == (50, 6)
    assert np.abs(quantized).max() <= INT8_LIMIT
    assert np.iinfo(np.int16).max >= 2 * INT8_LIMIT * 255  # two products of the AVX2 kernel fit
    assert np.abs(quantized.T * scales[:, None] - part).max() <= scales.max() / 2 * (1 + 1e-5)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("width", "block"), [(128, 128), (576, 128), (100, 32), (20, 32)])
def test_blocks_hold_any_width(bits, width, block):
    part = np.random.default_rng(width).standard_normal((6, width)).astype(np.float32)
    packed, scales = quantize_blocks(part, bits, block)
    blocks = -(-width // block)
    assert packed.shape == (6, blocks, block * bits // 8)
    assert scales.shape == (6, blocks)
    values = packed if bits == 8 else np.stack([packed & 15, packed >> 4], axis=-1).reshape(6, blocks, block)
    restored = (values.astype(np.float32) - 2 ** (bits - 1)) * scales[..., None]
    error = np.abs(restored.reshape(6, -1)[:, :width] - part).max()
    assert error <= np.abs(scales).max()  # a whole step: the largest magnitude may lie one past the last level


# --------------------------------------------------------------------------- wide MLP outputs
class OneWeight:
    """As much of a Matrix as the writers use: a weight in slices of five rows."""

    def __init__(self, values):
        self.values = values
        self.shape = values.shape

    def slices(self):
        yield from (self.values[start : start + 5] for start in range(0, len(self.values), 5))


def product_of(write, x, weight, bias, tmp_path, checkpoint_folder):
    """`x` times `weight` as `write` stores it, by ONNX Runtime; and the operators used."""
    checkpoint = Checkpoint.open(checkpoint_folder, lambda _count: None)
    path = tmp_path / "one.onnx"
    journal = Journal.open(tmp_path / "journal", "test")
    with GraphBuilder(path, checkpoint, {}, journal, NoProgress()) as graph:
        graph.input("x", ["seq", weight.shape[1]])
        name = graph.stream("bias", bias.shape, [bias]) if bias is not None else ""
        graph.node("Identity", [write(graph, "one", "x", OneWeight(weight), name)], "y")
        graph.output("y", ["seq", weight.shape[0]])
        graph.save()
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0], [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize("with_bias", [True, False])
def test_a_wide_mlp_output_is_stored_in_groups_and_an_outlier_costs_only_its_own(tmp_path, checkpoint, with_bias):
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((16, 8192), np.float32)
    x = rng.standard_normal((7, 8192), np.float32)
    x[:, 5] = 100.0  # the kind of channel that real decoders have
    weight[:, 5] = 0.0
    bias = rng.standard_normal(16, np.float32) if with_bias else None
    expected = x @ weight.T + (0 if bias is None else bias)
    grouped, operators = product_of(write_mlp_out, x, weight, bias, tmp_path, checkpoint("llama"))
    assert operators.count("DynamicQuantizeMatMul") == 8
    rows, _ = product_of(write_rows, x, weight, bias, tmp_path, checkpoint("llama"))
    error, whole_error = (np.abs(got - expected).mean() for got in (grouped, rows))
    assert error < whole_error / 2
    assert cosine(grouped, expected) >= 0.99 > cosine(rows, expected)


def test_eight_groups_or_four(tmp_path, checkpoint):
    """3,420 is the width of Qwen2.5-Omni-7B's vision MLP."""
    weight = np.random.default_rng(0).standard_normal((16, 3420), np.float32)
    x = np.random.default_rng(1).standard_normal((3, 3420), np.float32)
    got, operators = product_of(write_mlp_out, x, weight, None, tmp_path, checkpoint("llama"))
    assert operators.count("DynamicQuantizeMatMul") == 4
    assert cosine(got, x @ weight.T) >= 0.999


@pytest.mark.parametrize("width", [WIDE - 8, WIDE + 2])
def test_other_widths_are_stored_in_blocks(tmp_path, checkpoint, width):
    weight = np.random.default_rng(0).standard_normal((16, width), np.float32)
    x = np.random.default_rng(1).standard_normal((3, width), np.float32)
    got, operators = product_of(write_mlp_out, x, weight, None, tmp_path, checkpoint("llama"))
    assert "MatMulNBits" in operators
    assert cosine(got, x @ weight.T) >= 0.999
