"""GGUF files of random blocks, and reading what llama-bench says of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader, dequantize

from app.evaluation.full_size_shapes import LLAMA_3_8B, OMNI_7B, TextShape
from app.evaluation.llama_cpp import gguf_tensors, parse_llama_bench, run_llama_bench, write_gguf

TINY = TextShape(512, 768, 8, 4, 2, 1024, 900, 5e5, 1e-5, 2048, qkv_bias=False)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(path, TINY)
    return path


def test_the_reader_finds_the_shapes_and_types_of_the_q4_k_m_mix(file: Path):
    reader = GGUFReader(file)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    assert len(tensors) == 3 + 9 * 8
    assert tensors["blk.0.ffn_down.weight"].shape.tolist() == [768, 512]
    assert tensors["blk.0.attn_k.weight"].shape.tolist() == [512, 256]
    kinds = {name: tensor.tensor_type for name, tensor in tensors.items()}
    assert kinds["output.weight"] == kinds["blk.0.ffn_down.weight"] == GGMLQuantizationType.Q6_K
    assert kinds["token_embd.weight"] == kinds["blk.1.ffn_down.weight"] == GGMLQuantizationType.Q4_K
    better = [n for n in range(8) if kinds[f"blk.{n}.attn_v.weight"] == GGMLQuantizationType.Q6_K]
    assert better == [0, 3, 6, 7]
    assert reader.fields["llama.block_count"].contents() == 8


def test_weights_are_random_and_about_as_large_as_real_ones(file: Path):
    tensors = {tensor.name: tensor for tensor in GGUFReader(file).tensors}
    ups = [
        dequantize(tensors[f"blk.{n}.ffn_{kind}.weight"].data, tensors[f"blk.{n}.ffn_{kind}.weight"].tensor_type)
        for n, kind in ((0, "up"), (1, "up"), (0, "down"))
    ]
    assert not np.array_equal(ups[0], ups[1])
    for weights in ups:
        assert np.isfinite(weights).all()
        assert 0.01 < weights.std() < 0.04
    assert np.array_equal(tensors["output_norm.weight"].data, np.ones(512, np.float32))


def test_biases_make_it_a_qwen2(tmp_path: Path):
    write_gguf(tmp_path / "q.gguf", replace(TINY, qkv_bias=True, layers=1))
    reader = GGUFReader(tmp_path / "q.gguf")
    assert reader.fields["general.architecture"].contents() == "qwen2"
    assert {f"blk.0.attn_{kind}.bias" for kind in "qkv"} <= {tensor.name for tensor in reader.tensors}


def test_sizes_are_those_of_published_q4_k_m_files():
    """Llama-3-8B's is 4.92 GB; Qwen2.5-7B's 4.68 GB."""
    bits = {"Q4_K": 4.5, "Q6_K": 6.5625, "F32": 32.0}
    for shape, size in ((LLAMA_3_8B, 4.92e9), (OMNI_7B.text, 4.68e9)):
        total = sum(np.prod(dims) * bits[kind] / 8 for _, dims, kind in gguf_tensors(shape))
        assert total == pytest.approx(size, rel=0.01)


def llama_bench_row(**changes: object) -> str:
    row = {"n_prompt": 100, "n_gen": 0, "n_threads": 2, "repack": False, "samples_ns": [1_950_000_000, 2_050_000_000]}
    return json.dumps([row | changes])


def test_timings_are_read(file: Path):
    timing = parse_llama_bench(llama_bench_row(), file)
    assert (timing.layers, timing.tokens, timing.threads, timing.repack) == (8, 100, 2, False)
    assert timing.seconds == (1.95, 2.05)


@pytest.mark.parametrize("changes", [{"n_gen": 5}, {"samples_ns": []}])
def test_another_test_is_refused(file: Path, changes: dict[str, object]):
    with pytest.raises(ValueError, match="one prompt"):
        parse_llama_bench(llama_bench_row(**changes), file)


def test_llama_bench_is_asked_for_one_prompt(file: Path, tmp_path: Path):
    program = tmp_path / "llama-bench"
    program.write_text(f"#!/bin/sh\necho \"$@\" > {tmp_path}/arguments\necho '{llama_bench_row()}'\n")
    program.chmod(0o755)
    run_llama_bench(program, file, tokens=100, threads=2, repetitions=2, repack=False)
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments == f"-m {file} -p 100 -n 0 -t 2 -r 2 --repack 0 -ngl 0 -o json".split()


def test_a_failing_llama_bench_is_quoted(file: Path):
    with pytest.raises(RuntimeError, match="exit code 2"):
        run_llama_bench(Path("/bin/ls"), file, tokens=1, threads=1, repetitions=1, repack=True)
