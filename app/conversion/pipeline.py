"""checkpoint folder -> ONNX folder with a manifest."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from app.conversion.architecture import (
    CONFIG_ERRORS,
    OMNI,
    DecoderLayout,
    architecture_of,
    decoder_layout,
    parse_config,
)
from app.conversion.checkpoint import Checkpoint, invalid
from app.conversion.decoder_graph import build_decoder
from app.conversion.graph import GraphBuilder
from app.conversion.progress import Progress
from app.conversion.quantization import decoder_scheme, tower_scheme
from app.conversion.request import ConversionRequest
from app.conversion.staging import staged_folder
from app.conversion.text_files import (
    EMBEDDING_NAME,
    copy_settings,
    leading_token,
    load_tokenizer,
    write_embedding,
    write_tokenizer,
)
from app.conversion.tower_graphs import build_audio, build_vision
from app.conversion.towers import AudioLayout, VisionLayout, audio_layout, omni_tokens, vision_layout
from app.encoders.manifest import MANIFEST_NAME, Architecture, Manifest, OmniTokens, file_sha256
from app.errors import ArtifactError

TOOLS = ("onnx", "onnxruntime", "safetensors", "tokenizers", "torch", "transformers")
SLACK_BYTES = 64 << 20
"""For what the estimate of a folder's size leaves out: settings, tokenizer, convolutions, alignment."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """A checkpoint that was found whole, and everything that its graphs and its manifest need."""

    request: ConversionRequest
    checkpoint: Checkpoint
    architecture: Architecture
    decoder: DecoderLayout
    vision: VisionLayout | None
    audio: AudioLayout | None
    tokens: OmniTokens | None
    tokenizer: Any
    bos_token_id: int | None

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor that is read."""
        towers = [layout.tensors() for layout in (self.vision, self.audio) if layout is not None]
        return {name: shape for part in (self.decoder.tensors(), *towers) for name, shape in part.items()}

    @property
    def weights(self) -> dict[str, int]:
        """Stage -> number of weights that it reads, in the order of the stages."""
        embedding = self.decoder.spec.vocab_size * self.decoder.spec.hidden_size
        stages = {"token embedding": embedding, "decoder": _count(self.decoder.tensors()) - embedding}
        if self.vision is not None:
            stages["vision tower"] = _count(self.vision.tensors())
        if self.audio is not None:
            stages["audio tower"] = _count(self.audio.tensors())
        return stages


def convert(request: ConversionRequest, progress: Progress) -> Manifest:
    """Convert a checkpoint; the output folder appears only when it is whole, its manifest written last.

    The same checkpoint, request and tool versions give the same bytes. Memory holds one slice of one weight (int8: one
    weight), whatever the depth. ArtifactError for a checkpoint that is damaged or of another class, for settings that
    make no sense and for a disk that is too full; before anything is written, but for damage inside a weight.
    """
    request.check()
    plan = _plan(request, progress)
    _check_space(plan)
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


def _plan(request: ConversionRequest, progress: Progress) -> _Plan:
    """Read every header and check it against config.json; touches no weight."""
    checkpoint = Checkpoint.open(request.checkpoint, progress.advance)
    architecture = architecture_of(checkpoint)
    request.check_slot(architecture)
    config = parse_config(checkpoint, architecture)
    tokenizer = load_tokenizer(request.checkpoint)
    try:
        plan = _layouts(request, checkpoint, architecture, config, tokenizer)
    except CONFIG_ERRORS as error:
        raise invalid(checkpoint.folder, f"config.json holds a value that makes no sense: {error}") from error
    checkpoint.require(plan.tensors())
    return plan


def _layouts(
    request: ConversionRequest, checkpoint: Checkpoint, architecture: Architecture, config: Any, tokenizer: Any
) -> _Plan:
    is_omni = architecture == OMNI
    return _Plan(
        request=request,
        checkpoint=checkpoint,
        architecture=architecture,
        decoder=decoder_layout(checkpoint, architecture, config, request.cut_layer),
        vision=vision_layout(checkpoint, config, request.max_pixels) if is_omni else None,
        audio=audio_layout(checkpoint, config) if is_omni else None,
        tokens=omni_tokens(checkpoint, config, tokenizer.get_vocab()) if is_omni else None,
        tokenizer=tokenizer,
        bos_token_id=leading_token(tokenizer, request.checkpoint),
    )


def _check_space(plan: _Plan) -> None:
    """Against an upper estimate of the folder's size. ArtifactError `disk_full` with both numbers in MiB."""
    quantization = plan.request.quantization
    is_exact = quantization == "none"
    towers = 4.0 if is_exact else 1.2
    decoder = {"none": 4.0, "int8": 1.2, "int4": 0.65 + 4 / plan.request.block_size}[quantization]
    rates = {"token embedding": 4.0 if is_exact else 2.0, "decoder": decoder}
    needed = SLACK_BYTES + sum(count * rates.get(stage, towers) for stage, count in plan.weights.items())
    parent = next(folder for folder in plan.request.output.absolute().parents if folder.is_dir())
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise ArtifactError("disk_full", needed_mib=math.ceil(needed / 2**20), free_mib=free >> 20)


def _write_weights(plan: _Plan, folder: Path, progress: Progress) -> None:
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


def _manifest(plan: _Plan, hashes: dict[str, str]) -> Manifest:
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


def _count(shapes: dict[str, tuple[int, ...]]) -> int:
    return sum(math.prod(shape) for shape in shapes.values())
