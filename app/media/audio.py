"""Sound bytes -> 16 kHz mono: WAV, FLAC, MP3, Ogg (Vorbis, Opus, FLAC), M4A and sound-only WebM."""

from __future__ import annotations

from typing import Any

import numpy as np
from av import AudioStream
from av.container import InputContainer

from app.domain import Waveform
from app.media import ogg, wav
from app.media.container import (
    AUDIO_CODECS,
    NO_CLAIM,
    Claim,
    Deadline,
    PacketBudget,
    open_container,
    prepare_decoder,
    read_claim,
)
from app.media.limits import MediaLimits
from app.media.quiet import quiet_libraries
from app.media.resample import Resampler
from app.media.sniff import AudioFormat, skip_id3, sniff_audio
from app.media.subject import Subject

MIN_SECONDS = 0.1
"""Shorter than this there is nothing to hear; `audio_too_short`."""
_MAX_PACKETS = 400_000
_COVER_PIXELS = 1
"""Cover art is never decoded."""


def decode_audio(data: bytes, limits: MediaLimits, *, field: str = "audio") -> Waveform:
    """Channels are averaged; a sound whose peak is above full scale is scaled down to it.

    Raises UnsupportedMediaError `audio_unsupported`; InvalidInputError `audio_empty`, `audio_too_short`,
    `audio_damaged` (also: cut off, or not finite); PayloadTooLargeError `audio_too_large`, `audio_too_long`,
    `audio_too_complex`. A header that claims more than the limit is refused unread; a header that claims less than is
    there is not believed, and decoding stops where the limit is passed.
    """
    subject = Subject("audio", field)
    subject.check_size(data, limits.max_audio_bytes)
    with quiet_libraries(), subject.decoding():
        body = skip_id3(data)
        kind = sniff_audio(body)
        if kind is None:
            raise subject.unsupported("unknown")
        _check_frame(body, kind, limits.max_audio_seconds, subject)
        deadline = Deadline.after(limits.max_decode_seconds)
        with open_container(
            body, kind, subject, max_seconds=limits.max_audio_seconds, max_pixels=_COVER_PIXELS, deadline=deadline
        ) as container:
            stream = _only_sound(container, subject)
            claim = read_claim(container) if _is_exact(body, kind) else NO_CLAIM
            claim.check_limit(limits.max_audio_seconds, subject)
            budget = PacketBudget(len(body), _MAX_PACKETS, deadline)
            sound = decode_track(container, stream, budget, limits.max_audio_seconds, subject)
    return _checked(sound, claim, subject)


def decode_track(
    container: InputContainer, stream: AudioStream, budget: PacketBudget, max_seconds: float, subject: Subject
) -> Waveform:
    """All of one track, at most `max_seconds` of it: more is `<kind>_too_long`."""
    prepare_decoder(stream, _COVER_PIXELS)
    resampler = Resampler(subject)
    seconds = 0.0
    for packet in container.demux(stream):
        budget.spend(packet.size)
        for frame in packet.decode():
            seconds += frame.samples / frame.sample_rate
            subject.check_length(seconds, max_seconds)
            resampler.push(frame)
    return Waveform(resampler.finish())


def non_finite(sound: Waveform) -> bool:
    """A float file may hold NaN or infinity; one such sample spoils every number behind it."""
    return not bool(np.isfinite(sound.samples).all())


def _only_sound(container: InputContainer, subject: Subject) -> AudioStream:
    """The first sound track of a file that holds no moving pictures (a cover picture is none)."""
    if any(_is_film(stream) for stream in container.streams.video):
        raise subject.unsupported("video")
    if not container.streams.audio:
        raise subject.unsupported("no_sound")
    stream = container.streams.audio[0]
    if stream.codec_context is None or stream.codec_context.name not in AUDIO_CODECS:
        raise subject.unsupported("codec")
    return stream


def _is_film(stream: Any) -> bool:
    return "attached_pic" not in stream.disposition.name


def _check_frame(body: bytes, kind: AudioFormat, max_seconds: float, subject: Subject) -> None:
    """What the file's own frame gives away before FFmpeg sees it."""
    if kind == "ogg" and ogg.is_cut_off(body):
        raise subject.damaged("truncated")
    if kind != "wav":
        return
    claim = wav.read_claim(body)
    if claim is None:
        raise subject.damaged("no_data_chunk")
    subject.check_length(claim.seconds or 0.0, max_seconds)
    if claim.claimed_bytes is not None and claim.claimed_bytes > claim.present_bytes:
        raise subject.damaged("truncated")
    if claim.present_bytes == 0 or claim.claimed_bytes == 0:
        raise subject.empty()


def _is_exact(body: bytes, kind: AudioFormat) -> bool:
    """False where FFmpeg estimates the duration: for WAV always, for an MP3 without a Xing or Info frame."""
    if kind == "mp3":
        return b"Xing" in body[:4096] or b"Info" in body[:4096]
    return kind != "wav"


def _checked(sound: Waveform, claim: Claim, subject: Subject) -> Waveform:
    if len(sound.samples) == 0:
        raise subject.empty()
    claim.check_complete(sound.seconds, subject)
    if non_finite(sound):
        raise subject.damaged("not_finite")
    if sound.seconds < MIN_SECONDS:
        raise subject.invalid("too_short", min_seconds=MIN_SECONDS)
    return sound
