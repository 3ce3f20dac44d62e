"""The vision and audio towers at run time: media features in, decoder-width tokens out."""

from __future__ import annotations

from app.domain import FloatArray
from app.encoders.audio_input import chunk_feeds, collect_chunks
from app.encoders.manifest import AudioSpec, VisionSpec
from app.encoders.session import AUDIO_GRAPH, VISION_GRAPH, Cancellation, Session
from app.encoders.vision_input import Patches, collect_units, window_feeds
from app.errors import ArtifactError


class VisionTower:
    """Images and videos share it: a video is several temporal patches of one grid."""

    def __init__(self, session: Session, spec: VisionSpec) -> None:
        self._session = session
        self.spec = spec

    def tokens(self, patches: Patches, cancellation: Cancellation) -> FloatArray:
        """(t * h/merge * w/merge, hidden) in raster order."""
        feeds = window_feeds(patches, self.spec)
        output = self._session.run(feeds, cancellation)
        frames, windows, slots = feeds["pixel_values"].shape[:3]
        _expect_shape(output, (frames, windows * slots // self.spec.spatial_merge_size**2, self.spec.out_hidden_size))
        return collect_units(output, patches.grid, self.spec)


class AudioTower:
    """Attends inside chunks of 2 * n_window mel frames only, so it may be fed any number of whole chunks."""

    def __init__(self, session: Session, spec: AudioSpec) -> None:
        self._session = session
        self.spec = spec

    def tokens(self, mel: FloatArray, cancellation: Cancellation) -> FloatArray:
        """mel (bins, frames) -> (audio_token_count(frames), hidden)."""
        feeds = chunk_feeds(mel, self.spec)
        output = self._session.run(feeds, cancellation)
        expected = (len(feeds["input_features"]), self.spec.n_window // 2, self.spec.out_hidden_size)
        if output.shape != expected:
            raise ArtifactError("model_output_shape", graph=AUDIO_GRAPH.file)
        return collect_chunks(output, mel.shape[1])


def _expect_shape(output: FloatArray, expected: tuple[int, ...]) -> None:
    if output.shape != expected:
        raise ArtifactError("model_output_shape", graph=VISION_GRAPH.file)
