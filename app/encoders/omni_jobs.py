"""Splits a case into the segments that the multimodal encoder embeds, in either sequence layout."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from app.domain import Case, FloatArray, Image, Source, Waveform
from app.domain import Video as CaseVideo
from app.encoders.audio_input import log_mel
from app.encoders.backbone import Backbone
from app.encoders.cache import Content
from app.encoders.manifest import AudioSpec, OmniTokens, VisionSpec
from app.encoders.pooled import Job
from app.encoders.sequence import Segment, SegmentBuilder, SequenceLayout, Video, join, text_segment
from app.encoders.vision_input import image_patches, video_patches
from app.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Part:
    """One medium of a case. `segments` has one entry, or one per window of a recording."""

    sources: tuple[Source, ...]
    content: Content
    segments: Callable[[], list[Segment]]


class JobBuilder:
    """Decides what is one sequence. Media are resized and turned into spectra only when a job is run."""

    def __init__(
        self,
        backbone: Backbone,
        vision: VisionSpec,
        audio: AudioSpec,
        tokens: OmniTokens,
        *,
        layout: SequenceLayout,
        max_media_tokens: int,
    ) -> None:
        self._backbone = backbone
        self._vision = vision
        self._audio = audio
        self._layout = layout
        self._build = SegmentBuilder(tokens, vision.spatial_merge_size)
        self._max_media_tokens = max_media_tokens
        unit = vision.patch_size * vision.spatial_merge_size
        self._max_video_pixels = max_media_tokens * unit * unit
        self.scope = f"omni {layout} {max_media_tokens}"
        """Names what changes a vector besides the content and the model."""

    def jobs(self, case: Case) -> list[Job]:
        """Independent: one per segment (text, images, audio, video frames, video sound); joint: one, or none."""
        if self._layout is SequenceLayout.INDEPENDENT:
            return [self._independent(part) for part in self._parts(case)]
        parts = self._parts(case)
        return [self._joint(parts)] if parts else []

    def _independent(self, part: Part) -> Job:
        prefix = self._backbone.tokenizer.prefix
        return Job(part.sources, part.content, lambda: [join(prefix, [segment]) for segment in part.segments()])

    def _joint(self, parts: list[Part]) -> Job:
        """Media first, then the text, as in a chat turn."""
        ordered = sorted(parts, key=lambda part: Source.OMNI_TEXT in part.sources)
        sources = tuple(source for part in ordered for source in part.sources)
        content = [piece for part in ordered for piece in (str(len(part.content)).encode(), *part.content)]

        def sequences() -> list[Segment]:
            segments = [segment for part in ordered for segment in part.segments()]
            return [join(self._backbone.tokenizer.prefix, segments)]

        return Job(sources, content, sequences)

    # ----------------------------------------------------------------------- media
    def _parts(self, case: Case) -> list[Part]:
        parts = [self._text(ids)] if (ids := self._backbone.text_ids(case.text)) else []
        parts += [self._image(image) for image in case.images]
        if case.audio is not None:
            parts.append(self._sound(case.audio))
        if case.video is not None:
            parts += self._video(case.video)
        return parts

    def _text(self, ids: list[int]) -> Part:
        segment = text_segment(ids)
        return Part((Source.OMNI_TEXT,), (b"text", segment.ids), lambda: [segment])

    def _image(self, image: Image) -> Part:
        content = (b"image", _shape(image.pixels.shape), image.pixels)
        return Part(
            (Source.OMNI_IMAGE,), content, lambda: [self._build.image(image_patches(image.pixels, self._vision))]
        )

    def _sound(self, sound: Waveform) -> Part:
        def segments() -> list[Segment]:
            mel = log_mel(sound.samples, self._audio)
            return [self._build.audio(window) for window in self._windows(mel)]

        return Part((Source.OMNI_AUDIO,), (b"audio", sound.samples), segments)

    def _video(self, video: CaseVideo) -> list[Part]:
        sound = video.sound if video.sound is not None and len(video.sound.samples) else None
        content = (b"video", _shape(video.frames.shape), repr(video.fps).encode(), video.frames)
        if sound is None or self._layout is SequenceLayout.INDEPENDENT:
            frames = Part((Source.OMNI_VIDEO,), content, lambda: [self._build.video(self._patches(video))])
            return [frames] if sound is None else [frames, self._sound(sound)]
        return [
            Part(
                (Source.OMNI_VIDEO, Source.OMNI_AUDIO),
                (*content, sound.samples),
                lambda: [self._build.video_with_sound(self._patches(video), log_mel(sound.samples, self._audio))],
            )
        ]

    def _patches(self, video: CaseVideo) -> Video:
        if not len(video.frames):
            raise InvalidInputError("video_empty")
        if not (math.isfinite(video.fps) and video.fps > 0):
            raise InvalidInputError("video_frame_rate")
        patches = video_patches(video.frames, self._vision, self._max_video_pixels)
        return Video(patches, self._vision.temporal_patch_size / video.fps)

    def _windows(self, mel: FloatArray) -> list[FloatArray]:
        """Whole chunks of the audio tower, at most `max_media_tokens` tokens each; a joint sequence takes it whole."""
        chunk_tokens = self._audio.n_window // 2
        if self._layout is SequenceLayout.JOINT:
            return [mel]
        size = max(1, self._max_media_tokens // chunk_tokens) * 2 * self._audio.n_window
        windows = [mel[:, start : start + size] for start in range(0, mel.shape[1], size)]
        return [window for window in windows if window.shape[1] >= 3]


def _shape(shape: tuple[int, ...]) -> bytes:
    return np.array(shape, "<i8").tobytes()
