"""What a conversion will do: a checkpoint found whole, its layouts, and the space that the result takes."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.conversion.architecture import (
    CONFIG_ERRORS,
    OMNI,
    DecoderLayout,
    architecture_of,
    decoder_layout,
    parse_config,
)
from app.conversion.checkpoint import Checkpoint, invalid
from app.conversion.request import ConversionRequest
from app.conversion.text_files import leading_token, load_tokenizer
from app.conversion.towers import AudioLayout, VisionLayout, audio_layout, omni_tokens, vision_layout
from app.encoders.manifest import Architecture, OmniTokens
from app.errors import ArtifactError

SLACK_BYTES = 64 << 20
"""For what the estimate of a folder's size leaves out: settings, tokenizer, convolutions, alignment."""


@dataclass(frozen=True, slots=True)
class Plan:
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


def make_plan(request: ConversionRequest, on_read: Callable[[int], None]) -> Plan:
    """Read every header and check it against config.json; touches no weight. `on_read` hears of weights read later.

    ArtifactError for a checkpoint that is damaged or of another class.
    """
    checkpoint = Checkpoint.open(request.checkpoint, on_read)
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
) -> Plan:
    is_omni = architecture == OMNI
    return Plan(
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


def check_space(plan: Plan) -> None:
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


def _count(shapes: dict[str, tuple[int, ...]]) -> int:
    return sum(math.prod(shape) for shape in shapes.values())
