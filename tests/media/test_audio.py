"""Sound of every container, rate, depth and channel count comes out as 16 kHz mono."""

import struct

import numpy as np
import pytest

from app.errors import AppError, PayloadTooLargeError
from app.media import MediaLimits, decode_audio
from app.media import audio as audio_module
from tests.media_samples import sound, tone, wav, wav_float, with_data_size

LIMITS = MediaLimits()
KINDS = ["flac", "mp3", "ogg", "vorbis", "m4a", "alac", "webm"]


def loudest_hertz(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() / (len(samples) / 16_000))


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_keeps_length_pitch_and_loudness(kind):
    decoded = decode_audio(sound(kind), LIMITS)
    assert decoded.samples.dtype == np.float32
    assert abs(decoded.seconds - 1.0) < 0.08
    assert abs(loudest_hertz(decoded.samples) - 440) < 2
    assert abs(np.abs(decoded.samples[2000:-2000]).max() - 0.5) < 0.06


@pytest.mark.parametrize("rate", [2_000, 8_000, 11_025, 16_000, 44_100, 48_000, 96_000, 192_000])
def test_every_rate_is_resampled(rate):
    decoded = decode_audio(wav(tone(rate=rate), rate), LIMITS)
    assert abs(decoded.seconds - 1.0) < 0.02
    assert abs(loudest_hertz(decoded.samples) - 440) < 2


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 7, 8])
def test_channels_are_averaged(channels):
    """Eight separate planes crash PyAV 18: this test also holds that they are never asked for."""
    many = np.zeros((16_000, channels), np.float32)
    many[:, 0] = tone()
    decoded = decode_audio(wav(many.ravel(), channels=channels), LIMITS)
    assert abs(float(np.abs(decoded.samples).max()) - 0.5 / channels) < 0.01
    same = decode_audio(wav(np.repeat(tone(), channels), channels=channels), LIMITS)
    assert abs(float(np.abs(same.samples).max()) - 0.5) < 0.01


def test_lossless_samples_come_back():
    for data in (wav(tone()), sound("flac"), wav_float(tone())):
        assert np.abs(decode_audio(data, LIMITS).samples - tone()).max() < 1e-4


def test_a_peak_above_full_scale_is_scaled_down_not_clipped():
    decoded = decode_audio(wav_float(tone() * 65_536), LIMITS)
    assert np.allclose(decoded.samples, tone() * 2, atol=1e-3)


@pytest.mark.parametrize("size", [0xFFFF_FFFF, 0x7FFF_FFD8, 0], ids=["ffmpeg", "sox", "unset"])
def test_a_wav_written_to_a_pipe_has_no_length_and_is_read_to_its_end(size):
    assert decode_audio(with_data_size(wav(), size), LIMITS).seconds == 1.0


def test_chunks_before_the_data_are_skipped():
    data = wav()
    extra = b"LIST" + struct.pack("<I", 5) + b"hello\0"
    assert decode_audio(data[:36] + extra + data[36:], LIMITS).seconds == 1.0


def test_tags_and_pictures_are_passed_over():
    tag = b"ID3\x04\x00\x00\x00\x00\x02\x01" + bytes(257)
    for kind in ("mp3", "flac"):
        assert abs(decode_audio(tag + tag + sound(kind), LIMITS).seconds - 1.0) < 0.08


@pytest.mark.parametrize("kind", [*KINDS, "wav"])
def test_the_limit_holds_for_what_is_really_there(kind):
    """Two seconds pass a limit of two and not one of one and a half; streams without a length in the header too."""
    rate = 48_000 if kind in {"ogg", "webm"} else 16_000
    data = wav(tone(2.0)) if kind == "wav" else sound(kind, tone(2.0, rate))
    assert decode_audio(data, MediaLimits(max_audio_seconds=2.0)).seconds == pytest.approx(2.0, abs=0.13)
    with pytest.raises(PayloadTooLargeError) as caught:
        decode_audio(data, MediaLimits(max_audio_seconds=1.5))
    assert caught.value.code == "audio_too_long"
    assert caught.value.params == {"field": "audio", "limit_seconds": 1.5}


def test_decoding_stops_where_the_limit_is_passed(monkeypatch):
    """A streamed WAV that says nothing: the rest is never decoded."""
    seen = []
    original = audio_module.Resampler.push

    def counting(self, frame):
        seen.append(frame.samples)
        original(self, frame)

    monkeypatch.setattr(audio_module.Resampler, "push", counting)
    with pytest.raises(PayloadTooLargeError):
        decode_audio(with_data_size(wav(tone(60.0)), 0xFFFF_FFFF), MediaLimits(max_audio_seconds=1.0))
    assert sum(seen) <= 1.5 * 16_000


def test_a_header_of_ten_hours_is_refused_before_anything_is_opened(monkeypatch):
    monkeypatch.setattr("av.open", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(PayloadTooLargeError) as caught:
        decode_audio(with_data_size(wav(), 36_000 * 32_000), LIMITS)
    assert caught.value.code == "audio_too_long"


@pytest.mark.parametrize("kind", [*KINDS, "wav"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.8])
def test_a_file_that_is_cut_off_is_damaged(kind, share):
    data = wav() if kind == "wav" else sound(kind)
    with pytest.raises(AppError) as caught:
        decode_audio(data[: int(len(data) * share)], LIMITS)
    assert caught.value.code == "audio_damaged"
