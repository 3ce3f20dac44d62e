"""The whole thinker through ONNX Runtime against transformers, token by token."""

from __future__ import annotations

import numpy as np
import pytest

from app.domain import Case, Image, Source, Video, Waveform
from app.encoders.omni import OmniEncoder
from app.encoders.sequence import SequenceLayout
from tests.encoders.thinker import AUDIO, IMAGE, PREFIX, VIDEO

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # transformers, NumPy 2

TOLERANCE = 1e-4
TEXT = "The patient presents with chest pain. 가슴이 아프고 숨이 찹니다."


def _pixels(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def _noise(seed, samples):
    return np.random.default_rng(seed).standard_normal(samples).astype(np.float32) * 0.1


IMAGES = (_pixels(0, 140, 196), _pixels(1, 301, 97))
SOUND, TRACK = _noise(2, 52_345), _noise(3, 61_000)
FRAMES = _pixels(4, 7, 112, 140)


@pytest.fixture(scope="module")
def joint(omni_folder):
    return OmniEncoder.load(omni_folder, threads=1, layout=SequenceLayout.JOINT)


@pytest.fixture(scope="module")
def independent(omni_folder):
    return OmniEncoder.load(omni_folder, threads=1)


def _case(**parts):
    return Case(language="en", **parts)


def _full_case(track):
    return _case(
        text=TEXT,
        images=tuple(Image(image) for image in IMAGES),
        audio=Waveform(SOUND),
        video=Video(FRAMES, fps=2.0, sound=track),
    )


@pytest.mark.parametrize("audio_in_video", [False, True])
def test_text_images_audio_and_video_in_one_sequence(thinker, joint, audio_in_video):
    case = _full_case(Waveform(TRACK) if audio_in_video else None)
    (job,) = joint._jobs.jobs(case)
    (sequence,) = job.sequences()
    ids, states = thinker.run(
        PREFIX + IMAGE * 2 + AUDIO + VIDEO + TEXT,
        audio_in_video=audio_in_video,
        images=list(IMAGES),
        audio=[SOUND, TRACK] if audio_in_video else [SOUND],
        videos=[FRAMES],
    )
    expected = states[joint.manifest.decoder.cut_layer]
    assert np.array_equal(sequence.ids, ids)
    ours = joint.hidden_states(sequence.ids, sequence.media)
    print("whole thinker, audio in video", audio_in_video, "max diff", np.abs(ours - expected).max(), ours.shape)
    assert np.abs(ours - expected).max() <= TOLERANCE
    sources = [Source.OMNI_IMAGE, Source.OMNI_IMAGE, Source.OMNI_AUDIO, Source.OMNI_VIDEO]
    sources += [Source.OMNI_AUDIO] * audio_in_video + [Source.OMNI_TEXT]
    embeddings = joint.encode(case)
    assert [embedding.source for embedding in embeddings] == sources
    for embedding, pool in zip(embeddings, sequence.pools, strict=True):
        assert np.abs(embedding.vector - expected[pool].mean(axis=0)).max() <= TOLERANCE


@pytest.mark.parametrize("fps", [0.5, 2.0, 3.7])
def test_a_video_with_sound_at_any_frame_rate(thinker, joint, fps):
    case = _case(video=Video(FRAMES, fps=fps, sound=Waveform(TRACK)))
    media = {"videos": [FRAMES], "audio": [TRACK]}
    ids, states = thinker.run(PREFIX + VIDEO, audio_in_video=True, fps=fps, **media)
    (sequence,) = joint._jobs.jobs(case)[0].sequences()
    assert np.array_equal(sequence.ids, ids)
    expected = states[joint.manifest.decoder.cut_layer]
    assert np.abs(joint.hidden_states(sequence.ids, sequence.media) - expected).max() <= TOLERANCE


def test_every_segment_on_its_own_equals_transformers_on_it_alone(thinker, independent):
    layer = independent.manifest.decoder.cut_layer
    expected = [
        (Source.OMNI_TEXT, thinker.pooled(layer, None, PREFIX + TEXT)),
        *((Source.OMNI_IMAGE, thinker.pooled(layer, "<|IMAGE|>", PREFIX + IMAGE, images=[image])) for image in IMAGES),
        (Source.OMNI_AUDIO, thinker.pooled(layer, "<|AUDIO|>", PREFIX + AUDIO, audio=[SOUND])),
        (Source.OMNI_VIDEO, thinker.pooled(layer, "<|VIDEO|>", PREFIX + VIDEO, videos=[FRAMES])),
        (Source.OMNI_AUDIO, thinker.pooled(layer, "<|AUDIO|>", PREFIX + AUDIO, audio=[TRACK])),
    ]
    embeddings = independent.encode(_full_case(Waveform(TRACK)))
    assert [embedding.source for embedding in embeddings] == [source for source, _ in expected]
    for embedding, (_, vector) in zip(embeddings, expected, strict=True):
        assert np.abs(embedding.vector - vector).max() <= TOLERANCE


@pytest.mark.parametrize(
    "size", [(56, 56), (448, 448), (90, 400), (733, 500), (112, 112)], ids=lambda size: f"{size[0]}x{size[1]}"
)
def test_images_of_many_sizes(thinker, independent, size):
    image = _pixels(size[0], *size)
    expected = thinker.pooled(independent.manifest.decoder.cut_layer, "<|IMAGE|>", PREFIX + IMAGE, images=[image])
    (embedding,) = independent.encode(_case(images=(Image(image),)))
    assert np.abs(embedding.vector - expected).max() <= TOLERANCE


@pytest.mark.parametrize("samples", [480, 3_333, 31_999, 32_001, 290_000])
def test_audio_of_many_lengths(thinker, independent, samples):
    wave = _noise(samples, samples)
    expected = thinker.pooled(independent.manifest.decoder.cut_layer, "<|AUDIO|>", PREFIX + AUDIO, audio=[wave])
    (embedding,) = independent.encode(_case(audio=Waveform(wave)))
    assert np.abs(embedding.vector - expected).max() <= TOLERANCE


@pytest.mark.parametrize(("quantization", "least"), [("int8", 0.999), ("int4", 0.97)])
def test_quantised_embeddings_point_the_same_way(omni_folder, converted_omni, quantization, least):
    full = OmniEncoder.load(omni_folder, threads=1)
    small = OmniEncoder.load(converted_omni(quantization), threads=1)
    case = _full_case(Waveform(TRACK))
    pairs = zip(full.encode(case), small.encode(case), strict=True)
    cosines = {f"{one.source} {index}": _cosine(one.vector, two.vector) for index, (one, two) in enumerate(pairs)}
    print(quantization, cosines)
    assert min(cosines.values()) >= least


def _cosine(one, two):
    return float(one @ two / np.linalg.norm(one) / np.linalg.norm(two))
