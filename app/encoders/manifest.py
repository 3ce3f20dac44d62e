"""`manifest.json`: what an ONNX model folder holds and how it was made.

Written last by the conversion, so a folder without one is a folder that does not load. Shared by `app.conversion`
(writes) and `app.encoders` (reads and verifies).

    <folder>/
      manifest.json
      decoder.onnx            inputs_embeds (1, seq, hidden) -> hidden_states (1, seq, hidden) after `cut_layer` layers,
                              no final norm
      decoder.onnx.data
      token_embedding.npy     (vocab, hidden) float16 or float32, memory-mapped
      vision.onnx[.data]      Qwen2.5-Omni only
      audio.onnx[.data]       Qwen2.5-Omni only
      tokenizer.json          plus tokenizer_config.json, preprocessor_config.json, config.json of the checkpoint
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from app.errors import ArtifactError

MANIFEST_NAME = "manifest.json"
FORMAT_VERSION = 1

Architecture = Literal[
    "Qwen2_5OmniThinkerForConditionalGeneration",
    "LlamaForCausalLM",
    "Qwen2ForCausalLM",
    "MistralForCausalLM",
]
Quantization = Literal["none", "fp16", "int8", "int4"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DecoderSpec(_Model):
    """Shape of the decoder as converted."""

    hidden_size: int
    intermediate_size: int
    layers: int
    """Layers of the checkpoint."""
    cut_layer: int
    """K: layers that the ONNX graph holds; the output equals transformers' `hidden_states[K]`."""
    heads: int
    kv_heads: int
    head_dim: int
    vocab_size: int
    rms_norm_eps: float
    rope_theta: float
    rope_inv_freq: tuple[float, ...]
    """(head_dim / 2,) inverse frequencies after any rope scaling (llama3, linear)."""
    mrope_section: tuple[int, ...] | None = None
    """Omni only: head_dim/2 split into temporal, height, width."""
    max_position: int
    sliding_window: int | None = None


class VisionSpec(_Model):
    patch_size: int
    temporal_patch_size: int
    spatial_merge_size: int
    window_size: int
    head_dim: int
    out_hidden_size: int
    min_pixels: int
    max_pixels: int
    image_mean: tuple[float, float, float]
    image_std: tuple[float, float, float]


class AudioSpec(_Model):
    num_mel_bins: int
    n_window: int
    out_hidden_size: int
    n_fft: int
    hop_length: int
    sampling_rate: int


class OmniTokens(_Model):
    """Token ids that Qwen2.5-Omni's sequence layout needs, and its TMRoPE clock."""

    image: int
    audio: int
    video: int
    vision_start: int
    vision_end: int
    audio_start: int
    audio_end: int
    position_id_per_seconds: int
    seconds_per_chunk: float


class Manifest(_Model):
    format_version: Literal[1] = 1
    architecture: Architecture
    quantization: Quantization
    block_size: int | None = None
    decoder: DecoderSpec
    vision: VisionSpec | None = None
    audio: AudioSpec | None = None
    tokens: OmniTokens | None = None
    prompt_prefix: str = ""
    """Constant text before the user's own tokens (special tokens written out); never pooled."""
    prompt_suffix: str = ""
    bos_token_id: int | None = None
    """Put before everything where the checkpoint's tokenizer does so."""
    source: str
    """Repository id or file that the checkpoint came from."""
    source_revision: str
    tool_versions: dict[str, str]
    files: dict[str, str]
    """File name -> SHA-256, every file of the folder but the manifest."""

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical manifest: names this exact encoder in caches and answers."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    def canonical(self) -> str:
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, indent=1)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a folder's manifest. ArtifactError where it is missing, damaged or names missing files."""
        path = folder / MANIFEST_NAME
        try:
            manifest = cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise ArtifactError("model_not_found", folder=str(folder)) from error
        except ValidationError as error:
            raise ArtifactError("model_manifest_invalid", folder=str(folder)) from error
        missing = [name for name in manifest.files if not (folder / name).is_file()]
        if missing:
            raise ArtifactError("model_file_missing", folder=str(folder), file=missing[0])
        return manifest

    def cut(self, layers: int | None) -> Self:
        """The same folder served with its first `layers` layers; None: all that it holds. ArtifactError for more."""
        if layers is None or layers == self.decoder.cut_layer:
            return self
        if not 1 <= layers < self.decoder.cut_layer:
            raise ArtifactError("model_cut_layer", asked=layers, held=self.decoder.cut_layer)
        return self.model_copy(update={"decoder": self.decoder.model_copy(update={"cut_layer": layers})})

    def verify(self, folder: Path) -> None:
        """Hash every file. ArtifactError naming the first one that differs."""
        for name, expected in self.files.items():
            if file_sha256(folder / name) != expected:
                raise ArtifactError("model_file_damaged", folder=str(folder), file=name)


def a_third(layers: int) -> int:
    """Where an encoder is cut unless told otherwise: about the depth at which pooled states classify best, on real
    weights (docs/MODEL_CARD.md), at a third of the time. 9 of 28, 11 of 32."""
    return max(1, round(layers / 3))


def file_sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
