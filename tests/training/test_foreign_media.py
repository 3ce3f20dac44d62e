import numpy as np

from app.domain import AUDIO_SAMPLE_RATE
from app.training.foreign_pictures import foreign_pictures
from app.training.foreign_sounds import foreign_sounds


def test_pictures_are_reproducible_and_differ_from_one_another() -> None:
    first, again = list(foreign_pictures(24, 3)), list(foreign_pictures(24, 3))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({picture.tobytes() for picture in first}) == 24
    assert all(
        picture.dtype == np.uint8 and picture.shape[2] == 3 and min(picture.shape[:2]) >= 160 for picture in first
    )


def test_held_out_photographs_are_others() -> None:
    pairs = zip(foreign_pictures(12, 5), foreign_pictures(12, 5, held_out=True), strict=True)
    assert any(a.shape != b.shape or not np.array_equal(a, b) for a, b in pairs)


def test_sounds_are_reproducible_finite_and_within_full_scale() -> None:
    first, again = list(foreign_sounds(40, 3)), list(foreign_sounds(40, 3))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    for sound in first:
        assert sound.dtype == np.float32
        assert AUDIO_SAMPLE_RATE <= len(sound) <= 6 * AUDIO_SAMPLE_RATE
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() <= 1.0
