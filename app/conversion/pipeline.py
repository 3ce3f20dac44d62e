"""checkpoint folder -> ONNX folder with a manifest."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np

from app.conversion.decoder_graph import build_decoder
from app.conversion.graph import GraphBuilder
from app.conversion.plan import Plan, check_space, make_plan
from app.conversion.progress import Progress
from app.conversion.quantization import decoder_scheme, tower_scheme
from app.conversion.request import ConversionRequest
from app.conversion.staging import staged_folder
from app.conversion.text_files import EMBEDDING_NAME, copy_settings, write_embedding, write_tokenizer
from app.conversion.tower_graphs import build_audio, build_vision
from app.encoders.manifest import MANIFEST_NAME, Manifest, file_sha256

TOOLS = ("onnx", "onnxruntime", "safetensors", "tokenizers", "torch", "transformers")


def convert(request: ConversionRequest, progress: Progress) -> Manifest:
    """Convert a checkpoint; the output folder appears only when it is whole, its manifest written last.

    The same checkpoint, request and tool versions give the same bytes. Memory holds one slice of one weight (int8: one
    weight), whatever the depth. ArtifactError for a checkpoint that is damaged or of another class, for settings that
    make no sense and for a disk that is too full; before anything is written, but for damage inside a weight.
    """
    request.check()
    plan = make_plan(request, progress.advance)
    check_space(plan)
    try:
        with staged_folder(request.output) as folder:
            _write_weights(plan, folder, progress)
            copy_settings(request.checkpoint, folder)
            write_tokenizer(plan.tokenizer, folder)
            manifest = _manifest(plan, _hashes(folder, progress))
            (folder / MANIFEST_NAME).write_text(manifest.canonical(), encoding="utf-8")
    finally:
        progress.close()
    return manifest


def _write_weights(plan: Plan, folder: Path, progress: Progress) -> None:
    request, checkpoint = plan.request, plan.checkpoint
    dtype = np.float32 if request.quantization == "none" else np.float16
    for stage, weights in plan.weights.items():
        progress.stage(stage, weights, "weights")
        if stage == "token embedding":
            write_embedding(checkpoint, plan.decoder.embedding, folder / EMBEDDING_NAME, dtype)
        elif stage == "decoder":
            scheme = decoder_scheme(request.quantization, request.block_size)
            with GraphBuilder(folder / "decoder.onnx", checkpoint, scheme) as graph:
                build_decoder(graph, plan.decoder)
        elif stage == "vision tower" and plan.vision is not None:
            with GraphBuilder(folder / "vision.onnx", checkpoint, tower_scheme(request.quantization)) as graph:
                build_vision(graph, plan.vision)
        elif stage == "audio tower" and plan.audio is not None:
            with GraphBuilder(folder / "audio.onnx", checkpoint, tower_scheme(request.quantization)) as graph:
                build_audio(graph, plan.audio)


def _hashes(folder: Path, progress: Progress) -> dict[str, str]:
    paths = sorted(folder.iterdir())
    progress.stage("hashing", sum(path.stat().st_size for path in paths), "B")
    hashes = {}
    for path in paths:
        hashes[path.name] = file_sha256(path)
        progress.advance(path.stat().st_size)
    return hashes


def _manifest(plan: Plan, hashes: dict[str, str]) -> Manifest:
    request = plan.request
    return Manifest(
        architecture=plan.architecture,
        quantization=request.quantization,
        block_size=request.block_size if request.quantization == "int4" else None,
        decoder=plan.decoder.spec,
        vision=plan.vision.spec if plan.vision else None,
        audio=plan.audio.spec if plan.audio else None,
        tokens=plan.tokens,
        prompt_prefix=request.prompt_prefix,
        prompt_suffix=request.prompt_suffix,
        bos_token_id=plan.bos_token_id,
        source=request.source,
        source_revision=request.source_revision,
        tool_versions={tool: version(tool) for tool in TOOLS},
        files=hashes,
    )
