"""Videos: which frames are taken, how they look, and the sound that comes with them."""

import numpy as np
import pytest

from app.errors import AppError
from app.media import MediaLimits, decode_video
from app.media import frames as frames_module
from app.media.timeline import Timeline, sample
from tests.media_samples import video

LIMITS = MediaLimits()
KINDS = ["mp4", "mov", "webm", "vp8"]


def numbers(frames: np.ndarray) -> list[int]:
    """Which frames of `media_samples.video` these are: frame i has the level 8 * i."""
    return [round(float(level) / 8) for level in frames.mean(axis=(1, 2, 3))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gop", [1, 5, 250])
def test_frames_are_evenly_spaced_and_their_rate_is_stated(kind, gop):
    """Three seconds of ten frames/s, eight parts: their middles are 0.1875 + i * 0.375 s."""
    decoded = decode_video(video(kind, gop=gop), LIMITS)
    assert decoded.frames.shape == (8, 48, 64, 3)
    assert decoded.frames.dtype == np.uint8
    expected = [10 * (0.1875 + 0.375 * part) for part in range(8)]
    assert np.abs(np.array(numbers(decoded.frames)) - expected).max() <= 0.75
    assert decoded.fps == pytest.approx(8 / 3, rel=0.03)
    assert decoded.sound is None


@pytest.mark.parametrize("count", [1, 2, 7, 8])
def test_a_short_video_gives_all_its_frames(count):
    decoded = decode_video(video("mp4", frames=count), LIMITS)
    assert numbers(decoded.frames) == list(range(count))
    assert decoded.fps == pytest.approx(10.0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_sound_track_comes_along(kind):
    decoded = decode_video(video(kind, with_sound=True), LIMITS)
    assert decoded.sound is not None
    assert abs(decoded.sound.seconds - 3.0) < 0.1
    middle = decoded.sound.samples[16_000:32_000]
    assert abs(float(np.abs(np.fft.rfft(middle)).argmax()) - 440) <= 2


@pytest.mark.parametrize(
    "flags", ["faststart", "frag_keyframe+empty_moov", "frag_keyframe+empty_moov+default_base_moof"]
)
def test_every_layout_of_an_mp4_gives_the_same_frames(flags):
    plain = decode_video(video("mp4", with_sound=True), LIMITS)
    other = decode_video(video("mp4", with_sound=True, muxer={"movflags": flags}), LIMITS)
    assert np.array_equal(plain.frames, other.frames)
    assert other.sound is not None


def test_a_webm_without_length_or_index_is_read_as_browsers_write_it():
    data = video("webm", with_sound=True, muxer={"live": "1"})
    decoded = decode_video(data, LIMITS)
    assert decoded.fps == pytest.approx(8 / 3, rel=0.03)
    assert len(decoded.frames) == 8


def test_large_frames_are_scaled_down_and_keep_their_shape():
    decoded = decode_video(video("mp4", frames=3, size=(640, 320)), MediaLimits(kept_video_pixels=200 * 100))
    assert decoded.frames.shape == (3, 100, 200, 3)
    assert numbers(decoded.frames) == [0, 1, 2]


def test_only_what_leads_to_a_chosen_frame_is_decoded(monkeypatch):
    """Every frame is a key frame here: eight are decoded of sixty."""
    decoded = []
    original = frames_module._frames

    def counting(*args):
        for frame in original(*args):
            decoded.append(frame)
            yield frame

    monkeypatch.setattr(frames_module, "_frames", counting)
    decode_video(video("mp4", frames=60, gop=1), LIMITS)
    assert len(decoded) == 8


def test_a_rotated_film_is_turned_upright():
    """A phone held upright: the matrix, written by hand into the muxer's header, takes (x, y) to (-y, x), so that the
    left edge of what is stored is the top of what is seen (ISO 14496-12, 6.2.2)."""
    left_white = np.zeros((48, 64, 3), np.uint8)
    left_white[:, :32] = 255
    data = bytearray(video("mp4", frames=2, shade=left_white))
    start = data.index(b"tkhd") + 4 + 40
    turned = (0, 0x10000, 0, 0xFFFF0000, 0, 0, 0, 0, 0x40000000)
    data[start : start + 36] = b"".join(value.to_bytes(4, "big") for value in turned)
    frames = decode_video(bytes(data), LIMITS).frames
    assert frames.shape == (2, 64, 48, 3)
    assert frames[:, :24].mean() > 240
    assert frames[:, 40:].mean() < 15


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (MediaLimits(max_video_seconds=2.0), "video_too_long"),
        (MediaLimits(max_video_pixels=64 * 47), "video_too_many_pixels"),
        (MediaLimits(max_video_bytes=100), "video_too_large"),
        (MediaLimits(max_decode_seconds=1e-9), "video_too_complex"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_limits(kind, limits, code):
    with pytest.raises(AppError) as caught:
        decode_video(video(kind), limits)
    assert caught.value.code == code


def test_the_length_is_counted_where_the_header_says_nothing():
    with pytest.raises(AppError) as caught:
        decode_video(video("webm", muxer={"live": "1"}), MediaLimits(max_video_seconds=2.0))
    assert caught.value.code == "video_too_long"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("muxer", [{}, {"movflags": "faststart"}], ids=["plain", "faststart"])
def test_a_file_that_is_cut_off_is_damaged(kind, share, muxer):
    data = video(kind, with_sound=True, muxer=muxer if kind in {"mp4", "mov"} else {})
    with pytest.raises(AppError) as caught:
        decode_video(data[: int(len(data) * share)], LIMITS)
    assert caught.value.code == "video_damaged"


def test_frames_shown_before_their_key_frame_are_not_chosen():
    """Decoding order of an open group: the two frames after the second key frame are shown before it."""
    timeline = Timeline(times=[0, 10, 40, 20, 30, 50], keys=[True, False, True, False, False, False], last_duration=10,
                        time_base=0.01)  # fmt: skip
    sampling = sample(timeline, 6)
    assert [segment.wanted for segment in sampling.segments] == [(0, 10), (40, 50)]
    assert sampling.segments[1].stop == 6
    assert sampling.fps == pytest.approx(4 / 0.6)
