"""What each part of the service takes, in bytes.

Weights are exact. The rest was measured with Python 3.11, torch 2.13, ONNX Runtime 1.31 and the embedded pair on Linux
x86-64 (RssAnon, RssFile and VmHWM of proc(5) around each step), and holds for other pairs by its dependence on their
sizes; tests/memory_plan/test_measured.py compares the plan with a running service.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.encoders.backbone import EMBEDDING_NAME
from app.encoders.manifest import Manifest
from app.encoders.session import AUDIO_GRAPH, VISION_GRAPH
from app.media import MediaLimits
from app.media.turns import LARGE_PIXELS
from app.memory_plan.graph_file import Weight, block_outputs, layer_bytes, read_weights

PartKind = Literal["anonymous", "file_backed", "working"]
"""On the heap; mapped from a file, which must stay resident to be fast; on the heap only while the largest case that
the limits allow is read, decoded and encoded."""

MIB = 1024 * 1024
DECODER_FILE, TOKENIZER_FILE = "decoder.onnx", "tokenizer.json"

PROCESS_BYTES = 215 * MIB
"""Interpreter and packages: 99 with everything but torch, 1 the open database, 115 torch."""
LIBRARY_BYTES = 125 * MIB
"""Code and constants of their shared libraries, as far as it is used: 49 without torch, 58 torch, 18 at work."""
KNOWLEDGE_FACTOR = 80
"""Heap for a byte of YAML: 75 MiB for 0.95."""
FUSION_FACTOR = 1.3
"""Heap for a byte of the fusion folder's tensors: 11.6 MiB for 8.7."""
TOKENIZER_FACTOR = 10
"""Heap for a byte of tokenizer.json: 69 MiB for two of 3.4."""
TOUCHED_TOKENS = 4096
"""Rows of a token embedding table that are in use: different tokens of everyday cases. The rest stays on disk."""
PAGE = 4096
ACTIVATION_FACTOR = 2
"""Of one block's outputs at the longest sequence, at the busiest moment: 155 MiB for a Llama-3-8B decoder at 522
tokens, 209 for Qwen2.5-Omni-7B's vision tower at 2048 patches."""
MAX_TOKENS = 512 + 16
"""Of a text, a film or a window of a recording, and the prompt before it."""
CANVAS_BYTES, REDUCED_BYTES = 4.6, 3
"""A pixel while a picture is decoded (158 MiB for an RGBA PNG of 36 Mpx), and after."""
FILM_BYTES = 16
"""A pixel of a frame, all frames that the codec holds together: 128 MiB for 3840 x 2160."""
SOUND_BYTES = 0.5 * MIB
"""A second of sound, decoded and as a spectrum: 143 MiB for 300."""
BODY_FACTOR = 1.75
"""A request body and the files in it, which are base64."""


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    bytes: int
    kind: PartKind


@dataclass(frozen=True, slots=True)
class ServiceSizes:
    """What the parts besides the encoders depend on; bytes."""

    knowledge_bytes: int
    """Of the YAML files."""
    fusion_bytes: int
    """Of the fusion folder's tensors."""
    media: MediaLimits
    media_threads: int
    bodies_bytes: int
    """Request bodies that may be held at once."""


@dataclass(frozen=True, slots=True)
class EncoderSizes:
    """One encoder's folder. `layers` are the bytes of every decoder layer that it holds."""

    manifest: Manifest
    layers: tuple[int, ...]
    towers: int
    tokenizer: int
    embedding: int
    activations: int
    """At the busiest moment of the longest sequence."""

    @classmethod
    def read(cls, folder: Path) -> EncoderSizes:
        """ArtifactError for a folder that is not whole."""
        manifest = Manifest.load(folder)
        decoder = read_weights(folder / DECODER_FILE)
        towers = {file: read_weights(folder / file) for file in _tower_files(manifest)}
        return cls(
            manifest=manifest,
            layers=tuple(layer_bytes(decoder)),
            towers=sum(weight.bytes for weights in towers.values() for weight in weights),
            tokenizer=(folder / TOKENIZER_FILE).stat().st_size,
            embedding=(folder / EMBEDDING_NAME).stat().st_size,
            activations=max(
                _activations(MAX_TOKENS, decoder, manifest),
                *(
                    _activations(_tower_positions(file, manifest), weights, manifest)
                    for file, weights in towers.items()
                ),
                0,
            ),
        )

    def parts(self, name: str, cut_layer: int, *, prepared: bool) -> list[Part]:
        """Of an encoder called `name` whose first `cut_layer` layers run."""
        kind: PartKind = "file_backed" if prepared else "anonymous"
        found = [Part(f"{name}: {cut_layer} of {self.manifest.decoder.layers} layers", self.weights(cut_layer), kind)]
        if self.towers:
            found.append(Part(f"{name}: towers", self.towers, kind))
        return [
            *found,
            Part(f"{name}: token embedding in use", self._embedding_in_use(), "file_backed"),
            Part(f"{name}: tokenizer", TOKENIZER_FACTOR * self.tokenizer, "anonymous"),
        ]

    def weights(self, cut_layer: int) -> int:
        """Of the first `cut_layer` layers."""
        return sum(self.layers[:cut_layer])

    def _embedding_in_use(self) -> int:
        spec = self.manifest.decoder
        row = self.embedding // spec.vocab_size
        return min(self.embedding, TOUCHED_TOKENS * -(-row // PAGE) * PAGE)


def base_parts(sizes: ServiceSizes) -> list[Part]:
    """Everything besides the encoders that is there as soon as the service is ready."""
    return [
        Part("process", PROCESS_BYTES, "anonymous"),
        Part("libraries", LIBRARY_BYTES, "file_backed"),
        Part("knowledge", KNOWLEDGE_FACTOR * sizes.knowledge_bytes, "anonymous"),
        Part("fusion", int(FUSION_FACTOR * sizes.fusion_bytes), "anonymous"),
    ]


def working_parts(sizes: ServiceSizes, encoders: Iterable[EncoderSizes]) -> list[Part]:
    """What the largest case takes while it is answered. One case at a time is encoded, one large picture decoded."""
    media = sizes.media
    small = max(
        min(LARGE_PIXELS, media.max_image_pixels) * CANVAS_BYTES,
        media.max_video_pixels * FILM_BYTES,
        media.max_audio_seconds * SOUND_BYTES,
    )
    large = max(media.max_image_pixels * CANVAS_BYTES + media.kept_image_pixels * REDUCED_BYTES, small)
    decoding = large + (sizes.media_threads - 1) * small
    return [
        Part("request bodies", int(BODY_FACTOR * sizes.bodies_bytes), "working"),
        Part("media decoding", int(decoding), "working"),
        Part("activations", max(encoder.activations for encoder in encoders), "working"),
    ]


def _tower_files(manifest: Manifest) -> list[str]:
    towers = ((manifest.vision, VISION_GRAPH), (manifest.audio, AUDIO_GRAPH))
    return [graph.file for spec, graph in towers if spec is not None]


def _tower_positions(file: str, manifest: Manifest) -> int:
    """Patches of the largest picture or film, or positions of the longest window of sound."""
    if file == AUDIO_GRAPH.file or manifest.vision is None:
        return 2 * MAX_TOKENS
    vision = manifest.vision
    return max(vision.max_pixels // vision.patch_size**2, MAX_TOKENS * vision.spatial_merge_size**2)


def _activations(positions: int, weights: Iterable[Weight], manifest: Manifest) -> int:
    """float32 outputs of a block; float16 weights are made float32 one at a time beside them."""
    weights = tuple(weights)
    widened = 2 * max(weight.bytes for weight in weights) if manifest.quantization == "fp16" else 0
    return ACTIVATION_FACTOR * 4 * positions * block_outputs(weights) + widened
