"""What to convert and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.conversion.quantization import BLOCK_SIZES
from app.encoders.manifest import Architecture, Quantization
from app.errors import ArtifactError

CutLayer = int | Literal["third"] | None
Slot = Literal["omni", "medical"]
SLOTS: dict[Slot, frozenset[Architecture]] = {
    "omni": frozenset({"Qwen2_5OmniThinkerForConditionalGeneration"}),
    "medical": frozenset({"LlamaForCausalLM", "Qwen2ForCausalLM", "MistralForCausalLM"}),
}
"""Which classes can serve as which of the two encoders."""


@dataclass(frozen=True, slots=True)
class ConversionRequest:
    """One conversion. `source` and `source_revision` name where the weights came from; they go into the manifest.

    `cut_layer` K keeps the first K layers (None: all, "third": `manifest.a_third`). `prompt_prefix` and `prompt_suffix`
    are the constant text around the user's own. `max_pixels` lowers the preprocessor's limit on an image. `block_size`
    is int4's. `slot`, where given, refuses a checkpoint that could not serve there; `max_memory` bytes, one whose
    result would need more.
    """

    checkpoint: Path
    output: Path
    quantization: Quantization
    source: str
    source_revision: str
    block_size: int = 128
    cut_layer: CutLayer = None
    prompt_prefix: str = ""
    prompt_suffix: str = ""
    max_pixels: int | None = None
    slot: Slot | None = None
    max_memory: int | None = None

    def check(self) -> None:
        """ArtifactError for settings that make no sense, whatever the checkpoint."""
        if self.block_size not in BLOCK_SIZES:
            raise ArtifactError("conversion_block_size", block_size=self.block_size, allowed=str(BLOCK_SIZES))
        if self.max_pixels is not None and self.max_pixels <= 0:
            raise ArtifactError("conversion_max_pixels", max_pixels=self.max_pixels)
        checkpoint, output = self.checkpoint.resolve(), self.output.resolve()
        if output == checkpoint or output in checkpoint.parents:
            raise ArtifactError("conversion_output", reason="it holds the checkpoint itself", folder=str(output))

    def check_slot(self, architecture: Architecture) -> None:
        """ArtifactError where a checkpoint of this class cannot serve in the slot."""
        if self.slot is not None and architecture not in SLOTS[self.slot]:
            raise ArtifactError("conversion_slot", slot=self.slot, architecture=architecture)
