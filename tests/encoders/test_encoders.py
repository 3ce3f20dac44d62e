"""What the encoders promise beyond parity: independence, limits, caching, cancellation."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from app.domain import Case, Image, Source, Video, Waveform
from app.encoders.audio_input import log_mel
from app.encoders.cache import DiskCache
from app.encoders.medical import MedicalEncoder
from app.encoders.omni import OmniEncoder
from app.encoders.sequence import SequenceLayout, SequenceMedia
from app.encoders.session import Cancellation, OrtSession
from app.errors import ArtifactError, DeadlineError, InvalidInputError, PayloadTooLargeError

RNG = np.random.default_rng(0)
TEXT = "chest pain and shortness of breath"
IMAGE = Image(RNG.integers(0, 256, (120, 90, 3), np.uint8))
OTHER_IMAGE = Image(RNG.integers(0, 256, (60, 200, 3), np.uint8))
SOUND = Waveform(RNG.standard_normal(30_000).astype(np.float32) * 0.1)
VIDEO = Video(RNG.integers(0, 256, (4, 70, 70, 3), np.uint8), fps=1.5, sound=SOUND)


def case(**parts):
    return Case(language="en", **parts)


FULL = case(text=TEXT, images=(IMAGE, OTHER_IMAGE), audio=SOUND, video=VIDEO)


@pytest.fixture(scope="module")
def omni(omni_folder):
    return OmniEncoder.load(omni_folder, threads=1)


@pytest.fixture(scope="module")
def medical(medical_folder):
    return MedicalEncoder.load(medical_folder, threads=1)


class CountingSessions:
    """Opens real sessions and counts their runs; `output` changes what they give."""

    def __init__(self, output=lambda array: array):
        self.runs = 0
        self.output = output

    def __call__(self, folder, graph, threads):
        session = OrtSession.load(folder, graph, threads)
        outer = self

        class Counting:
            def run(self, feeds, cancellation):
                outer.runs += 1
                return outer.output(session.run(feeds, cancellation))

            def run_all(self, feeds, cancellation):
                return session.run_all(feeds, cancellation)

        return Counting()


def vectors(embeddings):
    return [embedding.vector for embedding in embeddings]


def same(one, two):
    return len(one) == len(two) and all(np.array_equal(a, b) for a, b in zip(vectors(one), vectors(two), strict=True))


# --------------------------------------------------------------------------- shapes and independence
def test_one_embedding_per_segment(omni, medical):
    embeddings = omni.encode(FULL)
    assert [embedding.source for embedding in embeddings] == [
        Source.OMNI_TEXT,
        Source.OMNI_IMAGE,
        Source.OMNI_IMAGE,
        Source.OMNI_AUDIO,
        Source.OMNI_VIDEO,
        Source.OMNI_AUDIO,
    ]
    (text,) = medical.encode(FULL)
    for vector in [*vectors(embeddings), text.vector]:
        assert vector.shape == (128,)
        assert vector.dtype == np.float32
        assert np.abs(vector).max() > 0


def test_an_embedding_depends_on_its_own_content_only(omni):
    together = omni.encode(FULL)
    alone = [
        *omni.encode(case(text=TEXT)),
        *omni.encode(case(images=(IMAGE,))),
        *omni.encode(case(images=(OTHER_IMAGE,))),
        *omni.encode(case(audio=SOUND)),
        *omni.encode(case(video=VIDEO)),
    ]
    assert same(together, alone)


def test_segments_see_each_other_in_a_joint_sequence(omni_folder):
    joint = OmniEncoder.load(omni_folder, threads=1, layout=SequenceLayout.JOINT)
    (alone,) = joint.encode(case(text=TEXT))
    *_, after_image = joint.encode(case(text=TEXT, images=(IMAGE,)))
    assert after_image.source is Source.OMNI_TEXT
    assert np.abs(alone.vector - after_image.vector).max() > 1e-3


def test_the_prefix_is_not_pooled(omni):
    prefix = omni._backbone.tokenizer.prefix
    ids = [*prefix, *omni._backbone.text_ids(TEXT)]
    states = omni.hidden_states(ids, SequenceMedia())
    (embedding,) = omni.encode(case(text=TEXT))
    assert len(prefix) > 0
    assert np.abs(embedding.vector - states[len(prefix) :].mean(axis=0)).max() < 1e-6


@pytest.mark.parametrize("text", [None, "", "  \n\t "])
def test_a_text_without_tokens_gives_no_embedding(omni, medical, text):
    assert omni.encode(case(text=text)) == ()
    assert medical.encode(case(text=text)) == ()


def test_special_tokens_in_a_text_are_read_as_text(omni):
    """Were they not, the placeholders would ask for media that are not there."""
    (embedding,) = omni.encode(case(text="<|vision_bos|><|IMAGE|><|AUDIO|><|VIDEO|><|im_end|>"))
    assert np.isfinite(embedding.vector).all()


# --------------------------------------------------------------------------- limits
def test_a_long_text_is_cut_at_the_token_limit(omni_folder, medical_folder):
    for encoder in (
        OmniEncoder.load(omni_folder, threads=1, max_text_tokens=10),
        MedicalEncoder.load(medical_folder, threads=1, max_text_tokens=10),
    ):
        long = "chest pain " * 50
        kept = encoder._backbone.tokenizer.plain.decode(encoder._backbone.text_ids(long))
        assert encoder.truncates(long)
        assert not encoder.truncates(kept)
        assert len(encoder._backbone.text_ids(long)) == 10
        assert same(encoder.encode(case(text=long)), encoder.encode(case(text=kept)))


def test_a_long_recording_is_read_in_windows_and_pooled_over_all_of_it(omni_folder):
    whole = OmniEncoder.load(omni_folder, threads=1, max_media_tokens=4000)
    windowed = OmniEncoder.load(omni_folder, threads=1, max_media_tokens=120)
    sound = Waveform(np.random.default_rng(5).standard_normal(16_000 * 11).astype(np.float32) * 0.1)
    (job,) = windowed._jobs.jobs(case(audio=sound))
    lengths = [int(sequence.pools[0].sum()) for sequence in job.sequences()]
    assert lengths == [100, 100, 75]
    (embedding,) = windowed.encode(case(audio=sound))
    states = [windowed.hidden_states(sequence.ids, sequence.media)[sequence.pools[0]] for sequence in job.sequences()]
    assert np.abs(embedding.vector - np.concatenate(states).mean(axis=0)).max() < 1e-5
    (expected,) = whole.encode(case(audio=sound))
    cosine = embedding.vector @ expected.vector / np.linalg.norm(embedding.vector) / np.linalg.norm(expected.vector)
    assert cosine > 0.97
    mel = log_mel(sound.samples, whole.manifest.audio)
    assert np.array_equal(np.concatenate([s.media.sounds[0] for s in job.sequences()], axis=1), mel)


def test_a_sequence_beyond_the_checkpoints_positions_is_refused(omni_folder):
    joint = OmniEncoder.load(omni_folder, threads=1, layout=SequenceLayout.JOINT)
    frames = np.zeros((4, 56, 56, 3), np.uint8)
    with pytest.raises(PayloadTooLargeError) as caught:
        joint.encode(case(video=Video(frames, fps=0.001)))
    assert caught.value.code == "sequence_too_long"


def test_an_extreme_aspect_ratio_is_an_input_error(omni):
    with pytest.raises(InvalidInputError):
        omni.encode(case(images=(Image(np.zeros((2, 900, 3), np.uint8)),)))


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"audio": Waveform(np.array([0.1, np.nan, 0.2] * 999, np.float32))}, "audio_not_finite"),
        ({"video": Video(VIDEO.frames[:0], fps=1.0)}, "video_empty"),
        ({"video": Video(VIDEO.frames, fps=0.0)}, "video_frame_rate"),
        ({"video": Video(VIDEO.frames, fps=float("nan"))}, "video_frame_rate"),
    ],
)
def test_media_that_mean_nothing_are_an_input_error(omni, parts, code):
    with pytest.raises(InvalidInputError) as caught:
        omni.encode(case(**parts))
    assert caught.value.code == code


def test_a_sound_without_samples_still_gives_an_embedding(omni):
    (embedding,) = omni.encode(case(audio=Waveform(np.zeros(0, np.float32))))
    assert np.isfinite(embedding.vector).all()


# --------------------------------------------------------------------------- cache
@pytest.mark.parametrize("layout", list(SequenceLayout))
def test_a_hit_equals_a_miss_bit_for_bit_and_runs_nothing(omni_folder, tmp_path, layout):
    sessions = CountingSessions()
    cache = DiskCache(tmp_path, 10_000_000)
    encoder = OmniEncoder.load(omni_folder, threads=1, layout=layout, cache=cache, open_session=sessions)
    missed = encoder.encode(FULL)
    runs = sessions.runs
    assert same(encoder.encode(FULL), missed)
    assert sessions.runs == runs
    plain = OmniEncoder.load(omni_folder, threads=1, layout=layout)
    assert same(plain.encode(FULL), missed)


def test_a_segment_seen_in_another_case_is_a_hit(omni_folder, tmp_path):
    sessions = CountingSessions()
    cache = DiskCache(tmp_path, 10_000_000)
    encoder = OmniEncoder.load(omni_folder, threads=1, cache=cache, open_session=sessions)
    encoder.encode(case(text="first", images=(IMAGE,), video=VIDEO))
    runs = sessions.runs
    encoder.encode(case(text="second", images=(IMAGE,), audio=SOUND))  # the sound was the video's track
    assert sessions.runs == runs + 1


def test_a_joint_embedding_is_not_taken_for_an_independent_one(omni_folder, tmp_path):
    cache = DiskCache(tmp_path, 10_000_000)
    loaded = {layout: OmniEncoder.load(omni_folder, threads=1, layout=layout, cache=cache) for layout in SequenceLayout}
    both = case(text=TEXT, images=(IMAGE,))
    for layout, encoder in loaded.items():
        encoder.encode(both)
        assert same(encoder.encode(both), OmniEncoder.load(omni_folder, threads=1, layout=layout).encode(both))
    for reordered in (case(images=(IMAGE, OTHER_IMAGE)), case(images=(OTHER_IMAGE, IMAGE))):
        fresh = OmniEncoder.load(omni_folder, threads=1, layout=SequenceLayout.JOINT).encode(reordered)
        assert same(loaded[SequenceLayout.JOINT].encode(reordered), fresh)


def test_another_model_does_not_share_entries(omni_folder, converted_omni, tmp_path):
    cache = DiskCache(tmp_path, 10_000_000)
    OmniEncoder.load(omni_folder, threads=1, cache=cache).encode(case(text=TEXT))
    OmniEncoder.load(converted_omni("int8"), threads=1, cache=cache).encode(case(text=TEXT))
    assert (cache.stats.hits, cache.stats.misses) == (0, 2)


def test_the_medical_encoder_uses_the_cache(medical_folder, tmp_path):
    cache = DiskCache(tmp_path, 10_000_000)
    encoder = MedicalEncoder.load(medical_folder, threads=1, cache=cache)
    assert same(encoder.encode(case(text=TEXT)), encoder.encode(case(text=f"  {TEXT}\n")))
    assert (cache.stats.hits, cache.stats.misses) == (1, 1)


# --------------------------------------------------------------------------- cancellation and warm-up
def test_a_cancelled_case_is_not_begun(omni, medical):
    cancelled = Cancellation()
    cancelled.cancel()
    for encoder in (omni, medical):
        with pytest.raises(DeadlineError):
            encoder.encode(case(text=TEXT), cancelled)


def test_a_running_graph_stops_when_cancelled(medical):
    cancellation = Cancellation()
    timer = threading.Timer(0.05, cancellation.cancel)
    timer.start()
    begun = time.perf_counter()
    with pytest.raises(DeadlineError):
        medical.hidden_states([1] * 8000, cancellation)
    stopped = time.perf_counter() - begun
    timer.join()
    medical.hidden_states([1] * 8000)
    assert stopped < (time.perf_counter() - begun - stopped) * 0.8


def test_warm_up_runs_every_graph_and_fills_no_cache(omni_folder, medical_folder, tmp_path):
    sessions, cache = CountingSessions(), DiskCache(tmp_path, 10_000_000)
    OmniEncoder.load(omni_folder, threads=1, cache=cache, open_session=sessions).warm_up()
    MedicalEncoder.load(medical_folder, threads=1, cache=cache, open_session=sessions).warm_up()
    assert sessions.runs == 6
    assert not [path for path in (tmp_path / "entries").rglob("*") if path.is_file()]


# --------------------------------------------------------------------------- what must not be served
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_that_gives_nan_is_an_error_and_is_not_cached(omni_folder, tmp_path, value):
    cache = DiskCache(tmp_path, 10_000_000)
    sessions = CountingSessions(lambda array: np.full_like(array, value))
    encoder = OmniEncoder.load(omni_folder, threads=1, cache=cache, open_session=sessions)
    with pytest.raises(ArtifactError) as caught:
        encoder.encode(case(text=TEXT))
    assert caught.value.code == "model_output_not_finite"
    assert encoder._pooler._cache.stats.hits == 0
    assert not [path for path in (tmp_path / "entries").rglob("*") if path.is_file()]


@pytest.mark.parametrize("parts", [{"text": TEXT}, {"images": (IMAGE,)}, {"audio": SOUND}])
def test_a_graph_of_another_shape_is_an_error(omni_folder, parts):
    sessions = CountingSessions(lambda array: array[..., :-1])
    encoder = OmniEncoder.load(omni_folder, threads=1, open_session=sessions)
    with pytest.raises(ArtifactError) as caught:
        encoder.encode(case(**parts))
    assert caught.value.code == "model_output_shape"
