"""Media of nothing medical: as many as promised, readable by the service, no two alike, the same every time."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest

from app.domain import AUDIO_SAMPLE_RATE, CaseRequest
from app.evaluation.non_medical_media import HEIGHT, VIDEO_FRAMES, WIDTH, NonMedicalMedium, non_medical_media
from app.evaluation.non_medical_pictures import SIDE
from app.evaluation.non_medical_sounds import SECONDS
from app.media import MediaLimits
from app.services.decoding import CaseDecoder


@pytest.fixture(scope="module")
def media() -> tuple[NonMedicalMedium, ...]:
    return tuple(non_medical_media())


def of_kind(media: tuple[NonMedicalMedium, ...], kind: str) -> list[NonMedicalMedium]:
    return [medium for medium in media if medium.kind == kind]


def test_forty_eight_of_three_kinds(media: tuple[NonMedicalMedium, ...]) -> None:
    assert Counter(medium.kind for medium in media) == {"image": 22, "audio": 16, "video": 10}
    assert len({medium.case_id for medium in media}) == 48


def test_no_two_are_alike(media: tuple[NonMedicalMedium, ...]) -> None:
    assert len({hashlib.sha256(medium.data).digest() for medium in media}) == 48


def test_made_again_they_are_the_same(media: tuple[NonMedicalMedium, ...]) -> None:
    assert tuple(non_medical_media()) == media


def test_pictures_decode(media: tuple[NonMedicalMedium, ...]) -> None:
    decoder = CaseDecoder(MediaLimits())
    for medium in of_kind(media, "image"):
        (image,) = decoder.decode(CaseRequest(images=(medium.data,)), "en").images
        assert image.pixels.shape == (SIDE, SIDE, 3), medium.case_id
        assert (image.pixels.std() == 0) == (medium.case_id in {"image_flat_black", "image_flat_white"}), medium.case_id


def test_sounds_decode_and_only_silence_is_silent(media: tuple[NonMedicalMedium, ...]) -> None:
    decoder = CaseDecoder(MediaLimits())
    for medium in of_kind(media, "audio"):
        sound = decoder.decode(CaseRequest(audio=medium.data), "en").audio
        assert sound is not None
        assert len(sound.samples) == SECONDS * AUDIO_SAMPLE_RATE
        assert np.isfinite(sound.samples).all()
        loudest = float(np.abs(sound.samples).max())
        assert (loudest < 0.01) == (medium.case_id == "audio_silence"), medium.case_id


def test_videos_decode_and_all_but_the_black_one_move(media: tuple[NonMedicalMedium, ...]) -> None:
    decoder = CaseDecoder(MediaLimits())
    for medium in of_kind(media, "video"):
        video = decoder.decode(CaseRequest(video=medium.data), "en").video
        assert video is not None
        assert 2 <= len(video.frames) <= VIDEO_FRAMES
        assert video.frames.shape[1:] == (HEIGHT, WIDTH, 3)
        moved = np.abs(video.frames.astype(int) - video.frames[0]).mean(axis=(1, 2, 3)).max()
        assert (moved < 1) == (medium.case_id == "video_black"), medium.case_id
