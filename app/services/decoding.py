"""A case request's files to pixels, samples and frames. Blocking: runs on the media threads."""

from __future__ import annotations

from app.domain import Case, CaseRequest, Language
from app.media import LargePictureTurns, MediaLimits, decode_audio, decode_image, decode_video


class CaseDecoder:
    """Implements `MediaDecoder` with `app.media`. One for the process: its threads take turns at large pictures."""

    def __init__(self, limits: MediaLimits) -> None:
        self._limits = limits
        self._turns = LargePictureTurns()

    def decode(self, request: CaseRequest, language: Language) -> Case:
        """InvalidInputError, PayloadTooLargeError, UnsupportedMediaError: `field` names the part of the request."""
        limits = self._limits
        return Case(
            language=language,
            text=request.text,
            images=tuple(
                decode_image(data, limits, field=image_field(index, len(request.images)), turns=self._turns)
                for index, data in enumerate(request.images)
            ),
            audio=None if request.audio is None else decode_audio(request.audio, limits),
            video=None if request.video is None else decode_video(request.video, limits),
            patient=request.patient,
        )


def image_field(index: int, count: int) -> str:
    """What an error calls one of `count` images."""
    return f"image[{index}]" if count > 1 else "image"
