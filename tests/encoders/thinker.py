"""The thinker in transformers, with its own processor, offline and without torchvision."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, BatchFeature, Qwen2_5OmniProcessor
from transformers.video_processing_utils import BaseVideoProcessor

from tests.checkpoints import load_reference
from tests.encoders.reference import VISION, feature_extractor, image_processor

PREFIX = "<|im_start|>user\n"
IMAGE = "<|vision_bos|><|IMAGE|><|vision_eos|>"
VIDEO = "<|vision_bos|><|VIDEO|><|vision_eos|>"
AUDIO = "<|audio_bos|><|AUDIO|><|audio_eos|>"
MULTIMODAL_TOKENS = {
    "image_token": "<|IMAGE|>",
    "audio_token": "<|AUDIO|>",
    "video_token": "<|VIDEO|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}


class _SlowVideoProcessor(BaseVideoProcessor):
    """The slow image processor's arithmetic on the frames of a video: torchvision is not installed."""

    merge_size = 2
    temporal_patch_size = 2
    patch_size = 14

    def __init__(self) -> None:
        """No settings of the base class: it needs torchvision for them."""

    def __call__(self, videos: Any = None, **_: Any) -> BatchFeature:
        values, grids = zip(*[_video_patches(video) for video in videos], strict=True)
        return BatchFeature(
            {"pixel_values_videos": torch.from_numpy(np.concatenate(values)), "video_grid_thw": torch.tensor(grids)}
        )


class _Processor(Qwen2_5OmniProcessor):
    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
        return type(argument)


class Thinker:
    """Runs prompts with media; nothing of `app` takes part."""

    def __init__(self, folder: Path) -> None:
        self.model = load_reference(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        for name, token in MULTIMODAL_TOKENS.items():
            setattr(tokenizer, name, token)
        self.processor = _Processor(
            image_processor=image_processor(),
            video_processor=_SlowVideoProcessor(),
            feature_extractor=feature_extractor(60),
            tokenizer=tokenizer,
        )

    def run(self, prompt: str, *, audio_in_video: bool = False, fps: float = 2.0, **media: Any):
        """Token ids (seq,) and the list of hidden states, each (seq, hidden): embeddings, then after every layer."""
        inputs = self.processor(
            text=prompt,
            return_tensors="pt",
            videos_kwargs={"use_audio_in_video": audio_in_video, "fps": fps},
            audio_kwargs={"sampling_rate": 16_000},
            **media,
        )
        self.model.rope_deltas = None
        with torch.no_grad():
            output = self.model(**inputs, use_audio_in_video=audio_in_video, output_hidden_states=True, use_cache=False)
        return inputs["input_ids"][0].numpy(), [state[0].numpy() for state in output.hidden_states]

    def pooled(self, layer: int, token: str | None, prompt: str, **media: Any) -> np.ndarray:
        """Mean after `layer` over one kind of placeholder; with None, over everything after the prefix."""
        ids, states = self.run(prompt, **media)
        if token is None:
            start = len(self.processor.tokenizer(PREFIX)["input_ids"])
            return states[layer][start:].mean(axis=0)
        return states[layer][ids == self.processor.tokenizer.convert_tokens_to_ids(token)].mean(axis=0)


def _video_patches(frames: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int]]:
    size = {"shortest_edge": VISION.min_pixels, "longest_edge": VISION.max_pixels}
    processor = image_processor()
    names = set(inspect.signature(processor._preprocess).parameters)
    settings = {name: value for name, value in vars(processor).items() if name in names}
    return processor._preprocess(list(frames), **{**settings, "size": size, "input_data_format": "channels_last"})
