"""checkpoint folder -> ONNX folder with a manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from app.conversion.checkpoint import Matrix, invalid
from app.conversion.decoder_graph import build_decoder
from app.conversion.footprint import check_memory, check_space, stored_bytes
from app.conversion.graph import GraphBuilder, Scheme
from app.conversion.identity import identity_of, tool_versions
from app.conversion.journal import Journal
from app.conversion.plan import Plan, make_plan
from app.conversion.progress import Progress
from app.conversion.quantization import decoder_scheme, tower_scheme
from app.conversion.request import ConversionRequest
from app.conversion.staging import Staging, staged_folder
from app.conversion.text_files import EMBEDDING_NAME, copy_settings, write_tokenizer
from app.conversion.token_embedding import write_embedding
from app.conversion.tower_graphs import build_audio, build_vision
from app.encoders.manifest import MANIFEST_NAME, Manifest, file_sha256

CHECKING, HASHING = "checking earlier work", "hashing"
WEIGHT_COST = {"none": 5.0, "fp16": 5.0, "int8": 8.0, "int4": 11.0}
"""Nanoseconds to read, quantise and write a weight of a decoder, compared with BYTE_COST and EMBEDDING_COST."""
EMBEDDING_COST = 6.0
BYTE_COST = 1.0
"""To read and hash a byte."""


def convert(request: ConversionRequest, progress: Progress) -> Manifest:
    """Convert a checkpoint; the output folder appears only when it is whole, its manifest written last.

    The same checkpoint, request and tool versions give the same bytes. Memory holds one slice of one weight (int8: one
    weight), whatever the depth. An interrupted conversion goes on after the last whole layer. ArtifactError for a
    checkpoint that is damaged or of another class, for settings that make no sense and for a disk or a memory that is
    too small; before anything is written, but for damage inside a weight.
    """
    request.check()
    plan = make_plan(request, progress.advance)
    check_memory(plan)
    check_space(plan)
    identity = identity_of(plan)
    try:
        with staged_folder(request.output) as staging:
            journal = _earlier_work(plan, staging, identity, progress)
            _write_weights(plan, staging.model, journal, progress)
            copy_settings(request.checkpoint, staging.model)
            write_tokenizer(plan.tokenizer, staging.model)
            manifest = _manifest(plan, _hashes(staging.model, progress))
            if identity_of(plan) != identity:
                raise invalid(request.checkpoint, "it was changed while it was being converted")
            (staging.model / MANIFEST_NAME).write_text(manifest.canonical(), encoding="utf-8")
    finally:
        progress.close()
    return manifest


def _earlier_work(plan: Plan, staging: Staging, identity: str, progress: Progress) -> Journal:
    """What an interrupted run of this identity has finished, read again; a run of another one is forgotten."""
    journal = Journal.open(staging.journal, identity)
    if not journal.bytes:
        staging.empty()
    progress.plan(_costs(plan, journal.bytes))
    if journal.bytes:
        progress.stage(CHECKING, journal.bytes)
    journal.keep_whole(staging.model, progress.advance)
    return journal


def _costs(plan: Plan, checked: int) -> dict[str, float]:
    """Of every stage, in nanoseconds."""
    weight = WEIGHT_COST[plan.request.quantization]
    costs = {CHECKING: BYTE_COST * checked} if checked else {}
    for stage, weights in plan.weights.items():
        costs[stage] = weights * (EMBEDDING_COST if stage == "token embedding" else weight)
    return {**costs, HASHING: BYTE_COST * stored_bytes(plan)}


def _write_weights(plan: Plan, model: Path, journal: Journal, progress: Progress) -> None:
    request, checkpoint = plan.request, plan.checkpoint
    towers = tower_scheme(request.quantization)

    def graph(name: str, scheme: Scheme) -> GraphBuilder:
        return GraphBuilder(model / name, checkpoint, scheme, journal, progress)

    for stage, weights in plan.weights.items():
        progress.stage(stage, weights)
        if stage == "token embedding":
            dtype = np.float32 if request.quantization == "none" else np.float16
            table = Matrix(checkpoint, [plan.decoder.embedding])
            write_embedding(table, model / EMBEDDING_NAME, dtype, journal, progress)
        elif stage == "decoder":
            with graph("decoder.onnx", decoder_scheme(request.quantization, request.block_size)) as decoder:
                build_decoder(decoder, plan.decoder)
        elif stage == "vision tower" and plan.vision is not None:
            with graph("vision.onnx", towers) as vision:
                build_vision(vision, plan.vision)
        elif stage == "audio tower" and plan.audio is not None:
            with graph("audio.onnx", towers) as audio:
                build_audio(audio, plan.audio)


def _hashes(model: Path, progress: Progress) -> dict[str, str]:
    paths = sorted(model.iterdir())
    progress.stage(HASHING, sum(path.stat().st_size for path in paths))
    hashes = {}
    for path in paths:
        progress.detail(path.name)
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
        tool_versions=tool_versions(),
        files=hashes,
    )
