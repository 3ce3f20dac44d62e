"""The multimodal encoder: text, images, audio and video of a case through a Qwen2.5-Omni thinker.

Every segment is mean-pooled over its own tokens: the user's text without prompt, an image's or video's patches, a
recording's audio tokens. Position 0 and the prefix are never pooled. Nothing after a segment changes its hidden states
(the decoder is causal), so the chat suffix is not run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from app.domain import AUDIO_SAMPLE_RATE, Case, Embedding, FloatArray
from app.encoders.backbone import Backbone
from app.encoders.cache import EmbeddingCache, NoCache
from app.encoders.manifest import Manifest, OmniTokens
from app.encoders.omni_jobs import JobBuilder
from app.encoders.pooled import Pooler
from app.encoders.sequence import Segment, SequenceLayout, SequenceMedia
from app.encoders.session import AUDIO_GRAPH, VISION_GRAPH, Cancellation, OrtSession, SessionFactory
from app.encoders.tmrope import position_ids
from app.encoders.towers import AudioTower, VisionTower
from app.encoders.warm_up import warm_up_case
from app.errors import ArtifactError

ARCHITECTURE = "Qwen2_5OmniThinkerForConditionalGeneration"


class OmniEncoder:
    """Text -> omni/text, every image -> omni/image, audio and a video's sound -> omni/audio, frames -> omni/video."""

    def __init__(
        self,
        backbone: Backbone,
        vision: VisionTower,
        audio: AudioTower,
        *,
        tokens: OmniTokens,
        jobs: JobBuilder,
        cache: EmbeddingCache,
    ) -> None:
        self._backbone = backbone
        self._vision = vision
        self._audio = audio
        self._tokens = tokens
        self._jobs = jobs
        self._pooler = Pooler(cache, backbone.manifest, jobs.scope)
        self._uncached = Pooler(NoCache(), backbone.manifest, jobs.scope)

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        threads: int,
        max_text_tokens: int = 512,
        max_media_tokens: int = 512,
        cut_layer: int | None = None,
        layout: SequenceLayout = SequenceLayout.INDEPENDENT,
        cache: EmbeddingCache | None = None,
        verify: bool = True,
        open_session: SessionFactory = OrtSession.load,
    ) -> Self:
        """`max_media_tokens` bounds the tokens of a video and of one window of a recording. `cut_layer` serves
        fewer layers than the folder holds. `verify` hashes every file first. ArtifactError for a folder that must not
        be served."""
        manifest = Manifest.load(folder).cut(cut_layer)
        vision, audio, tokens = manifest.vision, manifest.audio, manifest.tokens
        if manifest.architecture != ARCHITECTURE or vision is None or audio is None or tokens is None:
            raise ArtifactError("model_wrong_architecture", folder=str(folder), found=manifest.architecture)
        if audio.sampling_rate != AUDIO_SAMPLE_RATE:
            raise ArtifactError("model_sampling_rate", folder=str(folder), found=audio.sampling_rate)
        if verify:
            manifest.verify(folder)
        backbone = Backbone.load(
            folder, manifest, threads=threads, max_text_tokens=max_text_tokens, open_session=open_session
        )
        return cls(
            backbone,
            VisionTower(open_session(folder, VISION_GRAPH, threads), vision),
            AudioTower(open_session(folder, AUDIO_GRAPH, threads), audio),
            tokens=tokens,
            jobs=JobBuilder(backbone, vision, audio, tokens, layout=layout, max_media_tokens=max_media_tokens),
            cache=cache or NoCache(),
        )

    @property
    def manifest(self) -> Manifest:
        return self._backbone.manifest

    def encode(
        self, case: Case, cancellation: Cancellation | None = None, *, keep: bool = True
    ) -> tuple[Embedding, ...]:
        """See `base.Encoder`. Order: text, images, audio, video frames, video sound; joint: the text last."""
        return tuple(self._encode(case, self._pooler if keep else self._uncached, cancellation or Cancellation()))

    def _encode(self, case: Case, pooler: Pooler, cancellation: Cancellation) -> Iterator[Embedding]:
        def run(sequence: Segment) -> FloatArray:
            return self.hidden_states(sequence.ids, sequence.media, cancellation)

        for job in self._jobs.jobs(case):
            cancellation.check()
            yield from pooler.embed(job, run)

    def hidden_states(
        self, input_ids: npt.ArrayLike, media: SequenceMedia, cancellation: Cancellation | None = None
    ) -> FloatArray:
        """Hidden states (seq, hidden) of a whole sequence (seq,) after the cut layer.

        Placeholder tokens are replaced by the towers' output, kind by kind in order of appearance. ValueError where the
        two do not match in number.
        """
        stop = cancellation or Cancellation()
        ids = np.asarray(input_ids, np.int64)
        embeddings = self._backbone.embed(ids)
        patches = {
            self._tokens.image: [self._vision.tokens(image, stop) for image in media.images],
            self._tokens.video: [self._vision.tokens(video.patches, stop) for video in media.videos],
            self._tokens.audio: [self._audio.tokens(sound, stop) for sound in media.sounds],
        }
        for token, parts in patches.items():
            if parts:
                embeddings[ids == token] = np.concatenate(parts)
        positions = position_ids(ids, media.positions(), self._tokens, self._vision.spec.spatial_merge_size)
        return self._backbone.hidden_states(ids, embeddings, positions, stop)

    def truncates(self, text: str) -> bool:
        return self._backbone.truncates(text)

    def warm_up(self) -> None:
        """See `base.Encoder`."""
        self.encode(warm_up_case(), keep=False)
