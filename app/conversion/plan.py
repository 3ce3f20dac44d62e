"""What a conversion will do: a checkpoint found whole, and its layouts."""

from __future__ import annotations

import math
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
    _check_vocabulary(plan)
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


def _check_vocabulary(plan: Plan) -> None:
    """A token without a row of the embedding could be in a text, but not be read."""
    tokens, rows = max(plan.tokenizer.get_vocab().values()) + 1, plan.decoder.spec.vocab_size
    if tokens > rows:
        raise invalid(plan.checkpoint.folder, f"the tokenizer has {tokens} tokens, the embedding has {rows} rows")


def _count(shapes: dict[str, tuple[int, ...]]) -> int:
    return sum(math.prod(shape) for shape in shapes.values())
